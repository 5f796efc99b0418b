"""Imputation: planted genes come back, what is held out is not looked at, and bad input is one clear error."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import spearmanr

from spacex import InputError, datasets, tl
from spacex.cli import main
from spacex.tl import _impute

WANTED = 60


@pytest.fixture(scope="module")
def section() -> AnnData:
    return datasets.simulate_section(260, 700, 6, 4, "st", 3, depth=6.0)


@pytest.fixture(scope="module")
def split(section: AnnData) -> tuple[AnnData, AnnData, list[str]]:
    """A target and a reference of disjoint spots, and genes to hold out."""
    rng = np.random.default_rng(0)
    order = rng.permutation(section.n_obs)
    target, reference = section[np.sort(order[:350])].copy(), section[np.sort(order[350:])].copy()
    names = list(rng.permutation(section.var_names)[:WANTED])
    return target, reference, names


def correlations(found: AnnData, target: AnnData) -> np.ndarray:
    counts = target.X.toarray()
    values = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * np.median(counts.sum(axis=1)))
    truth = values[:, target.var_names.get_indexer(found.var_names)]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(np.asarray(found.X).T, truth.T, strict=True)])


@pytest.fixture(scope="module")
def found(split) -> AnnData:
    target, reference, names = split
    return tl.impute(target, reference, genes=names, progress=False)


def test_planted_genes_come_back_and_reliability_tells_which(split, found):
    target, _, names = split
    assert list(found.var_names) == names
    assert found.X.dtype == np.float32
    assert (found.X >= 0).all()
    pcc = correlations(found, target)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert pcc[spatial].mean() > 0.4
    assert abs(np.nanmean(pcc[~spatial])) < 0.1
    reliability = found.var["reliability"].to_numpy()
    assert ((reliability >= 0) & (reliability <= 1)).all()
    known = np.isfinite(pcc)
    assert spearmanr(pcc[known], reliability[known])[0] > 0.5
    assert abs(reliability[spatial].mean() - pcc[spatial].mean()) < 0.15


def test_what_the_target_holds_of_a_wanted_gene_is_not_looked_at(split, found):
    target, reference, names = split
    changed = target.copy()
    counts = changed.X.tolil()
    rng = np.random.default_rng(1)
    counts[:, changed.var_names.get_indexer(names)] = rng.poisson(50.0, (target.n_obs, len(names)))
    changed.X = sp.csr_matrix(counts)
    without = target[:, ~target.var_names.isin(names)].copy()
    for other in (changed, without):
        again = tl.impute(other, reference, genes=names, progress=False)
        np.testing.assert_array_equal(again.X, found.X)
        np.testing.assert_array_equal(again.var["reliability"], found.var["reliability"])


def test_a_held_out_gene_is_not_in_the_prediction_of_itself_but_others_are(split):
    target, reference, names = split
    one = tl.impute(target, reference, genes=names[:1], progress=False)
    assert names[0] not in one.uns["spacex"]["impute"]["held_out"].index
    assert names[1] in one.uns["spacex"]["impute"]["held_out"].index


def test_dissociated_reference(split):
    target, reference, names = split
    cells = AnnData(reference.X, var=reference.var[[]])
    found = tl.impute(target, cells, genes=names, progress=False)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(found, target)[spatial].mean() > 0.4
    assert "embedding" not in set(found.uns["spacex"]["impute"]["tried"]["vectors"])


def test_a_small_panel_in_few_cells(split):
    target, reference, names = split
    few = target[:250, [n for n in target.var_names if n not in names][:30]].copy()
    found = tl.impute(few, reference, genes=names, progress=False)
    assert found.shape == (250, WANTED)
    assert np.isfinite(found.X).all()


def test_intensities(split):
    target, reference, names = split
    level = target.copy()
    level.X = sp.csr_matrix(np.sqrt(target.X.toarray()) * 1.7)
    found = tl.impute(level, reference, genes=names, progress=False)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(found, target)[spatial].mean() > 0.35


def test_default_genes_are_those_that_the_target_lacks(split):
    target, reference, names = split
    panel = target[:, ~target.var_names.isin(names)].copy()
    panel.var_names = panel.var_names.str.upper()
    found = tl.impute(panel, reference, progress=False)
    assert list(found.var_names) == [n for n in reference.var_names if n in set(names)]
    assert list(found.obs_names) == list(panel.obs_names)
    np.testing.assert_array_equal(found.obsm["spatial"], panel.obsm["spatial"])


def test_the_generator_is_asked_and_never_trusted_blindly(split, found):
    target, reference, names = split
    again = tl.impute(target, reference, genes=names, learned=True, rounds=2, progress=False)
    told = again.uns["spacex"]["impute"]
    assert {"linear", "learned"} <= set(told)
    if told["learned"] <= told["linear"]:
        np.testing.assert_array_equal(again.X, found.X)
    assert "learned" in found.uns["spacex"]["impute"] or found.uns["spacex"]["impute"]["n_panel"] < 200
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(again, target)[spatial].mean() > correlations(found, target)[spatial].mean() - 0.02


def test_aliases(split, found):
    target, reference, names = split
    renamed = target.copy()
    old = {f"alias{i}": name for i, name in enumerate(target.var_names[:150])}
    renamed.var_names = [*old, *target.var_names[150:]]
    again = tl.impute(renamed, reference, genes=names, aliases=old, progress=False)
    np.testing.assert_array_equal(again.X, found.X)


def test_expected_counts(split, found):
    target, reference, names = split
    counts = tl.impute(target, reference, genes=names, counts=True, progress=False)
    np.testing.assert_allclose(counts.X, np.expm1(found.X), rtol=1e-5)


def test_same_seed_same_bytes_and_inputs_unchanged(split, found):
    target, reference, names = split
    before = (target.X.copy(), reference.X.copy(), list(reference.varm), list(target.uns))
    again = tl.impute(target, reference, genes=names, progress=False)
    np.testing.assert_array_equal(again.X, found.X)
    assert (before[0] != target.X).nnz == 0
    assert (before[1] != reference.X).nnz == 0
    assert before[2:] == (list(reference.varm), list(target.uns))


def test_cells_without_counts_are_predicted_from_their_neighbours(split):
    target, reference, names = split
    holed = target.copy()
    counts = holed.X.toarray()
    counts[40] = 0
    holed.X = sp.csr_matrix(counts)
    values = np.asarray(tl.impute(holed, reference, genes=names, progress=False).X)
    assert np.isfinite(values).all()
    assert np.corrcoef(values[40], values.mean(axis=0))[0, 1] > 0.5


def test_a_gene_that_the_reference_hardly_sees_is_reported(split):
    target, reference, names = split
    poor = reference.copy()
    counts = poor.X.tolil()
    counts[:, poor.var_names.get_loc(names[0])] = 0
    poor.X = sp.csr_matrix(counts)
    var = tl.impute(target, poor, genes=names, progress=False).var
    assert var.loc[names[0], "reliability"] == 0
    assert not var.loc[names[0], "predictable"]


def test_streamed_to_a_file(split, found, tmp_path, monkeypatch):
    target, reference, names = split
    path = tmp_path / "result.h5ad"
    backed = tl.impute(target, reference, genes=names, path=path, progress=False)
    assert backed.isbacked
    backed.file.close()
    read = ad.read_h5ad(path)
    np.testing.assert_array_equal(read.X, found.X)
    assert list(read.uns["spacex"]["impute"]["held_out"].columns) == [
        "pcc",
        "spread",
        "agreement",
        "support",
        "reliability",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["result.h5ad"]
    monkeypatch.setattr(_impute, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"path=.result\.h5ad"):
        tl.impute(target, reference, genes=names, progress=False)


def test_nothing_is_left_behind_when_writing_fails(split, tmp_path, monkeypatch):
    target, reference, names = split

    def broken(*args: object, **kwargs: object):
        yield slice(0, 1), np.zeros((1, WANTED), dtype=np.float32)
        raise RuntimeError("disk full")

    monkeypatch.setattr(_impute.Imputer, "predict", broken)
    with pytest.raises(RuntimeError, match="disk full"):
        tl.impute(target, reference, genes=names, path=tmp_path / "result.h5ad", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genes": ["nothing"]}, "not in the reference"),
        ({"genes": []}, "genes is empty"),
        ({"genes": "gene0001"}, "one name"),
        ({"genes": ["gene0001", "GENE0001"]}, "more than once"),
        ({"seed": -1}, "seed=-1"),
        ({"rounds": 0}, "rounds=0"),
        ({"learned": "yes"}, "learned='yes'"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"path": "result.csv"}, r"ends in \.h5ad"),
        ({"path": "nowhere/result.h5ad"}, "does not exist"),
        ({"library_key": "slide"}, "library_key='slide'"),
    ],
)
def test_wrong_arguments_are_named(split, change, message):
    target, reference, names = split
    with pytest.raises(InputError, match=message):
        tl.impute(target, reference, **{"genes": names, "progress": False, **change})


def test_a_target_that_lacks_nothing(split):
    target, reference, _ = split
    with pytest.raises(InputError, match="every gene"):
        tl.impute(target, reference, progress=False)


def test_counts_of_a_reference_of_intensities(split):
    target, reference, names = split
    level = reference.copy()
    level.X = sp.csr_matrix(reference.X * 0.5)
    with pytest.raises(InputError, match="counts=True"):
        tl.impute(target, level, genes=names, counts=True, progress=False)


def test_command_line(split, found, tmp_path, capsys):
    target, reference, names = split
    target.write_h5ad(tmp_path / "target.h5ad")
    reference.write_h5ad(tmp_path / "reference.h5ad")
    (tmp_path / "genes.txt").write_text("\n".join(names) + "\n\n")
    files = [str(tmp_path / name) for name in ("target.h5ad", "reference.h5ad")]
    command = ["impute", *files, "-o", str(tmp_path / "out.h5ad"), "--genes", str(tmp_path / "genes.txt")]
    assert main(command) == 0
    assert "predictable" in capsys.readouterr().err
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "out.h5ad").X, found.X)
    assert main(["impute", *files, "-o", str(tmp_path / "out.csv")]) == 2
    assert main(["impute", *files, "-o", str(tmp_path / "new.h5ad"), "--genes", str(tmp_path / "none.txt")]) == 2
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    assert main(["impute", *files, "-o", str(tmp_path / "new.h5ad"), "--genes", str(tmp_path / "picture.png")]) == 2
    assert "not a text file" in capsys.readouterr().err
