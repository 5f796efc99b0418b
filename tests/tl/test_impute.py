"""`tl.impute`: accuracy, independence from held-out values, storage and validation of arguments."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import spearmanr

from spacex import InputError, datasets, tl
from spacex.cli import main
from spacex.tl import _imputed_result

N_GENES = 60


@pytest.fixture(scope="module")
def section() -> AnnData:
    return datasets.simulate_section(260, 700, 6, 4, "st", 3, depth=6.0)


@pytest.fixture(scope="module")
def split(section: AnnData) -> tuple[AnnData, AnnData, list[str]]:
    """Return a target and a reference of disjoint spots, and names of genes to impute."""
    rng = np.random.default_rng(0)
    order = rng.permutation(section.n_obs)
    target, reference = section[np.sort(order[:350])].copy(), section[np.sort(order[350:])].copy()
    names = list(rng.permutation(section.var_names)[:N_GENES])
    return target, reference, names


def correlations(imputed: AnnData, target: AnnData) -> np.ndarray:
    counts = target.X.toarray()
    values = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * np.median(counts.sum(axis=1)))
    truth = values[:, target.var_names.get_indexer(imputed.var_names)]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(np.asarray(imputed.X).T, truth.T, strict=True)])


@pytest.fixture(scope="module")
def imputed(split) -> AnnData:
    target, reference, names = split
    return tl.impute(target, reference, genes=names, progress=False)


def test_simulated_genes_are_recovered_and_reliability_follows_accuracy(split, imputed):
    target, _, names = split
    assert list(imputed.var_names) == names
    assert imputed.X.dtype == np.float32
    assert (imputed.X >= 0).all()
    pcc = correlations(imputed, target)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert pcc[spatial].mean() > 0.4
    assert abs(np.nanmean(pcc[~spatial])) < 0.1
    reliability = imputed.var["reliability"].to_numpy()
    assert ((reliability >= 0) & (reliability <= 1)).all()
    is_finite = np.isfinite(pcc)
    assert spearmanr(pcc[is_finite], reliability[is_finite])[0] > 0.5
    assert abs(reliability[spatial].mean() - pcc[spatial].mean()) < 0.15


def test_target_values_of_requested_genes_are_not_used(split, imputed):
    target, reference, names = split
    changed = target.copy()
    counts = changed.X.tolil()
    rng = np.random.default_rng(1)
    counts[:, changed.var_names.get_indexer(names)] = rng.poisson(50.0, (target.n_obs, len(names)))
    changed.X = sp.csr_matrix(counts)
    without = target[:, ~target.var_names.isin(names)].copy()
    for other in (changed, without):
        again = tl.impute(other, reference, genes=names, progress=False)
        np.testing.assert_array_equal(again.X, imputed.X)
        np.testing.assert_array_equal(again.var["reliability"], imputed.var["reliability"])


def test_requested_genes_are_not_held_out(split):
    target, reference, names = split
    one = tl.impute(target, reference, genes=names[:1], progress=False)
    assert names[0] not in one.uns["spacex"]["impute"]["held_out"].index
    assert names[1] in one.uns["spacex"]["impute"]["held_out"].index


def test_reference_without_coordinates(split):
    target, reference, names = split
    cells = AnnData(reference.X, var=reference.var[[]])
    imputed = tl.impute(target, cells, genes=names, progress=False)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(imputed, target)[spatial].mean() > 0.4
    assert "embedding" not in set(imputed.uns["spacex"]["impute"]["tried"]["vectors"])


def test_small_panel_in_few_spots(split):
    target, reference, names = split
    few = target[:250, [n for n in target.var_names if n not in names][:30]].copy()
    imputed = tl.impute(few, reference, genes=names, progress=False)
    assert imputed.shape == (250, N_GENES)
    assert np.isfinite(imputed.X).all()


def test_target_of_intensities(split):
    target, reference, names = split
    intensities = target.copy()
    intensities.X = sp.csr_matrix(np.sqrt(target.X.toarray()) * 1.7)
    imputed = tl.impute(intensities, reference, genes=names, progress=False)
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(imputed, target)[spatial].mean() > 0.3


def test_unmeasured_genes_are_imputed_by_default(split):
    target, reference, names = split
    panel = target[:, ~target.var_names.isin(names)].copy()
    panel.var_names = panel.var_names.str.upper()
    imputed = tl.impute(panel, reference, progress=False)
    assert list(imputed.var_names) == [n for n in reference.var_names if n in set(names)]
    assert list(imputed.obs_names) == list(panel.obs_names)
    np.testing.assert_array_equal(imputed.obsm["spatial"], panel.obsm["spatial"])


def test_learned_correction_is_used_only_if_it_improves_held_out_genes(split, imputed):
    target, reference, names = split
    again = tl.impute(target, reference, genes=names, learned=True, rounds=2, progress=False)
    entry = again.uns["spacex"]["impute"]
    assert {"linear", "learned"} <= set(entry)
    if entry["learned"] <= entry["linear"]:
        np.testing.assert_array_equal(again.X, imputed.X)
    assert "learned" in imputed.uns["spacex"]["impute"] or imputed.uns["spacex"]["impute"]["n_panel"] < 200
    spatial = (target[:, names].var["module"] >= 0).to_numpy()
    assert correlations(again, target)[spatial].mean() > correlations(imputed, target)[spatial].mean() - 0.02


def test_aliases_are_matched(split, imputed):
    target, reference, names = split
    renamed = target.copy()
    aliases = {f"alias{i}": name for i, name in enumerate(target.var_names[:150])}
    renamed.var_names = [*aliases, *target.var_names[150:]]
    again = tl.impute(renamed, reference, genes=names, aliases=aliases, progress=False)
    np.testing.assert_array_equal(again.X, imputed.X)


def test_counts_are_expm1_of_log_values(split, imputed):
    target, reference, names = split
    counts = tl.impute(target, reference, genes=names, counts=True, progress=False)
    np.testing.assert_allclose(counts.X, np.expm1(imputed.X), rtol=1e-5)


def test_same_seed_gives_equal_values_and_inputs_are_unchanged(split, imputed):
    target, reference, names = split
    before = (target.X.copy(), reference.X.copy(), list(reference.varm), list(target.uns))
    again = tl.impute(target, reference, genes=names, progress=False)
    np.testing.assert_array_equal(again.X, imputed.X)
    assert (before[0] != target.X).nnz == 0
    assert (before[1] != reference.X).nnz == 0
    assert before[2:] == (list(reference.varm), list(target.uns))


def test_spots_without_counts_are_predicted_from_their_neighbors(split):
    target, reference, names = split
    with_empty_spot = target.copy()
    counts = with_empty_spot.X.toarray()
    counts[40] = 0
    with_empty_spot.X = sp.csr_matrix(counts)
    values = np.asarray(tl.impute(with_empty_spot, reference, genes=names, progress=False).X)
    assert np.isfinite(values).all()
    assert np.corrcoef(values[40], values.mean(axis=0))[0, 1] > 0.5


def test_gene_without_counts_in_the_reference_is_unreliable(split):
    target, reference, names = split
    reference_without_gene = reference.copy()
    counts = reference_without_gene.X.tolil()
    counts[:, reference_without_gene.var_names.get_loc(names[0])] = 0
    reference_without_gene.X = sp.csr_matrix(counts)
    var = tl.impute(target, reference_without_gene, genes=names, progress=False).var
    assert var.loc[names[0], "reliability"] == 0
    assert not var.loc[names[0], "predictable"]


def test_result_is_streamed_to_a_file(split, imputed, tmp_path, monkeypatch):
    target, reference, names = split
    path = tmp_path / "result.h5ad"
    backed = tl.impute(target, reference, genes=names, path=path, progress=False)
    assert backed.isbacked
    backed.file.close()
    read = ad.read_h5ad(path)
    np.testing.assert_array_equal(read.X, imputed.X)
    columns = ["pcc", "spread", "agreement", "support", "reliability"]
    assert list(read.uns["spacex"]["impute"]["held_out"].columns) == columns
    assert [p.name for p in tmp_path.iterdir()] == ["result.h5ad"]
    monkeypatch.setattr(_imputed_result, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"path=.result\.h5ad"):
        tl.impute(target, reference, genes=names, progress=False)


def test_failed_writing_leaves_no_file(split, tmp_path, monkeypatch):
    target, reference, names = split

    def fail(*args: object, **kwargs: object):
        yield slice(0, 1), np.zeros((1, N_GENES), dtype=np.float32)
        raise RuntimeError("disk full")

    monkeypatch.setattr(_imputed_result.Imputer, "predict", fail)
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
def test_invalid_arguments_raise(split, change, message):
    target, reference, names = split
    with pytest.raises(InputError, match=message):
        tl.impute(target, reference, **{"genes": names, "progress": False, **change})


def test_target_with_all_genes_raises(split):
    target, reference, _ = split
    with pytest.raises(InputError, match="every gene"):
        tl.impute(target, reference, progress=False)


def test_counts_from_a_reference_of_intensities_raise(split):
    target, reference, names = split
    intensities = reference.copy()
    intensities.X = sp.csr_matrix(reference.X * 0.5)
    with pytest.raises(InputError, match="counts=True"):
        tl.impute(target, intensities, genes=names, counts=True, progress=False)


def test_command_line(split, imputed, tmp_path, capsys):
    target, reference, names = split
    target.write_h5ad(tmp_path / "target.h5ad")
    reference.write_h5ad(tmp_path / "reference.h5ad")
    (tmp_path / "genes.txt").write_text("\n".join(names) + "\n\n")
    files = [str(tmp_path / name) for name in ("target.h5ad", "reference.h5ad")]
    command = ["impute", *files, "-o", str(tmp_path / "out.h5ad"), "--genes", str(tmp_path / "genes.txt")]
    assert main(command) == 0
    assert "predictable" in capsys.readouterr().err
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "out.h5ad").X, imputed.X)
    assert main(["impute", *files, "-o", str(tmp_path / "out.csv")]) == 2
    assert main(["impute", *files, "-o", str(tmp_path / "new.h5ad"), "--genes", str(tmp_path / "none.txt")]) == 2
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    assert main(["impute", *files, "-o", str(tmp_path / "new.h5ad"), "--genes", str(tmp_path / "picture.png")]) == 2
    assert "not a text file" in capsys.readouterr().err


def test_imputed_genes_are_not_taken_for_measured(
    split: tuple[AnnData, AnnData, list[str]], imputed: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    target, _, names = split
    measured = target[:, ~target.var_names.isin(names)].copy()
    joined = ad.concat([measured, imputed], axis=1, join="outer", merge="first")
    tl.svg(joined)
    assert f"{N_GENES} of {joined.n_vars} gene(s) are imputed" in caplog.text
    caplog.clear()
    tl.svg(joined[:, ~joined.var_names.isin(names)].copy())
    assert "imputed" not in caplog.text
