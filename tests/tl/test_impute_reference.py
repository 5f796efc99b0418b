"""`tl.impute` from a `Reference`, from several sections, and from both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import spearmanr

import spacex as sx
from spacex import ImputationParams, InputError, tl
from spacex.cli import main
from spacex.imaging.residuals import log_normalize

N_GENES, N_MODULES = 240, 5


def simulate(seed: int, n_spots: int = 500) -> AnnData:
    """Simulate a section whose genes are named by module and number; modules have other maps in every section."""
    adata = sx.datasets.simulate_section(N_GENES, n_spots, N_MODULES, 4, seed=seed, depth=2.0, effect=2.0)
    module = adata.var["module"].to_numpy()
    number = adata.var.groupby("module").cumcount().to_numpy()
    names = [f"MOD{'ABCDE'[m]}{n}" if m >= 0 else f"NULL{n}" for m, n in zip(module, number, strict=True)]
    adata.var_names = names
    return adata


@pytest.fixture(scope="module")
def sections() -> list[AnnData]:
    return [simulate(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def reference(sections: list[AnnData]) -> sx.Reference:
    return sx.Reference.fit({"one": sections[0], "two": sections[1]}, progress=False)


@pytest.fixture(scope="module")
def target(sections: list[AnnData]) -> AnnData:
    return sections[2]


@pytest.fixture(scope="module")
def names(sections: list[AnnData], reference: sx.Reference) -> list[str]:
    known = [name for name in sections[2].var_names if all(name in one.var_names for one in sections[:2])]
    known = [name for name in known if name in reference.genes]
    return sorted(np.random.default_rng(0).permutation(known)[:80])


@pytest.fixture(scope="module")
def imputed(target, reference, names) -> AnnData:
    return tl.impute(target, reference, genes=names, progress=False)


def correlations(imputed: AnnData, target: AnnData) -> np.ndarray:
    truth = log_normalize(sp.csr_matrix(target.X)).toarray()[:, target.var_names.get_indexer(imputed.var_names)]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(np.asarray(imputed.X).T, truth.T, strict=True)])


def is_spatial(names: list[str]) -> np.ndarray:
    return np.array([name.startswith("MOD") for name in names])


def permuted(reference: sx.Reference) -> sx.Reference:
    """Return the reference with its genes in a random order, the same in every group."""
    order = np.random.default_rng(1).permutation(len(reference.genes))
    groups = tuple(
        type(group)(group.name, group.factor[order], group.weight[order], group.n_sections[order])
        for group in reference.state.groups
    )
    return sx.Reference(replace(reference.state, groups=groups))


def test_held_out_genes_are_predicted_and_reliability_follows_accuracy(target, reference, names, imputed):
    pcc, spatial = correlations(imputed, target), is_spatial(names)
    assert pcc[spatial].mean() > 0.3
    assert abs(pcc[~spatial].mean()) < 0.1
    reliability = imputed.var["reliability"].to_numpy()
    assert ((reliability >= 0) & (reliability <= 1)).all()
    assert spearmanr(pcc, reliability)[0] > 0.5
    assert abs(reliability.mean() - pcc.mean()) < 0.1
    by_chance = tl.impute(target, permuted(reference), genes=names, progress=False)
    assert correlations(by_chance, target)[spatial].mean() < 0.5 * pcc[spatial].mean()
    assert by_chance.var["reliability"].mean() < 0.5 * reliability.mean()


def test_values_are_relative(imputed):
    values = np.asarray(imputed.X, dtype=np.float64)
    assert imputed.X.dtype == np.float32
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), np.maximum(imputed.var["reliability"], 0.01), rtol=1e-3)
    entry = imputed.uns["spacex"]["impute"]
    assert entry["values"] == "relative"
    assert entry["sources"]["weight"].max() == 1.0
    assert {"pcc", "reliability"} <= set(entry["held_out"])


def test_target_values_of_requested_genes_are_not_used_and_inputs_are_unchanged(target, reference, names, imputed):
    before = target.copy()
    without = target[:, ~target.var_names.isin(names)].copy()
    again = tl.impute(without, reference, genes=names, progress=False)
    np.testing.assert_array_equal(again.X, imputed.X)
    np.testing.assert_array_equal(again.var["reliability"], imputed.var["reliability"])
    assert (target.X != before.X).nnz == 0
    assert list(target.uns) == list(before.uns)
    assert set(target.obsm) == set(before.obsm)


def test_default_genes_are_the_reliable_ones(target, reference, names, imputed, monkeypatch):
    panel = target[:, ~target.var_names.isin(names)].copy()
    result = tl.impute(panel, reference, progress=False)
    assert result.n_vars < len(reference.genes)
    assert not set(result.var_names) & set(panel.var_names)
    assert (result.var["reliability"] >= 0.1).all()
    few = tl.impute(panel, reference, params=ImputationParams(max_reported_genes=5), progress=False)
    assert set(few.var_names) == set(result.var["reliability"].nlargest(5).index)
    with pytest.raises(InputError, match="pass genes="):
        tl.impute(panel, reference, params=ImputationParams(min_reliability=1.0), progress=False)


def test_saved_reference_and_command_line(target, reference, names, imputed, tmp_path, capsys):
    path, genes, out = tmp_path / "reference.safetensors", tmp_path / "genes.txt", tmp_path / "out.h5ad"
    reference.save(path)
    genes.write_text("\n".join(names))
    target.write_h5ad(tmp_path / "target.h5ad")
    by_path = tl.impute(target, path, genes=names, progress=False)
    np.testing.assert_array_equal(by_path.X, imputed.X)
    command = ["impute", str(tmp_path / "target.h5ad"), str(path), "-o", str(out), "--genes", str(genes)]
    assert main(command) == 0
    np.testing.assert_allclose(sx.read(out).X, imputed.X, atol=1e-6)
    assert main(["impute", str(tmp_path / "target.h5ad"), "mouse", "-o", str(tmp_path / "no.h5ad")]) == 2
    assert "species" in capsys.readouterr().err
    assert not (tmp_path / "no.h5ad").exists()


def test_shipped_reference_by_name():
    genes = sx.datasets.reference("mouse").genes[:60]
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(rng.poisson(1.0, (200, 60)).astype(np.float32))
    target = AnnData(counts, obsm={"spatial": rng.random((200, 2))})
    target.var_names = genes
    result = tl.impute(target, "mouse", genes=["Mbp", "Plp1"], progress=False)
    assert result.shape == (200, 2)
    assert np.isfinite(result.X).all()


def test_invalid_arguments(target, reference, names):
    calls = {
        "not in the reference": {"genes": ["nothing"]},
        "genes is empty": {"genes": []},
        "counts=True": {"counts": True},
        "learned=True": {"learned": True},
    }
    for message, settings in calls.items():
        with pytest.raises(InputError, match=message):
            tl.impute(target, reference, **{"genes": names, "progress": False, **settings})
    few = target[:, np.isin(target.var_names, reference.genes)][:, :20].copy()
    with pytest.raises(InputError, match="at least 30"):
        tl.impute(few, reference, progress=False)
    with pytest.raises(InputError, match="species"):
        tl.impute(target, "mouse", progress=False)
    with pytest.raises(InputError, match="reference is empty"):
        tl.impute(target, [], progress=False)
    with pytest.raises(InputError, match=r"sx\.read"):
        tl.impute(target, "section.h5ad", progress=False)
    with pytest.raises(InputError, match=r"none\.safetensors"):
        tl.impute(target, "none.safetensors", progress=False)


def test_several_sections_are_at_least_as_good_as_the_best(target, sections, names):
    spatial = is_spatial(names)
    pcc = [
        correlations(tl.impute(target, section, genes=names, learned=False, progress=False), target)[spatial].mean()
        for section in sections[:2]
    ]
    both = tl.impute(target, sections[:2], genes=names, progress=False)
    assert both.uns["spacex"]["impute"]["values"] == "log1p"
    assert (both.X >= 0).all()
    assert correlations(both, target)[spatial].mean() > max(pcc) - 0.01
    counts = tl.impute(target, sections[:2], genes=names, counts=True, progress=False)
    np.testing.assert_allclose(counts.X, np.expm1(both.X), rtol=1e-5)


def test_section_with_reference_covers_the_genes_of_both(target, sections, reference, names):
    part = sections[0][:, ~sections[0].var_names.isin(names[:5])].copy()
    together = tl.impute(target, [part, reference], genes=names, progress=False)
    spatial = is_spatial(names)
    pcc = correlations(together, target)
    assert pcc[spatial].mean() > 0.3
    entry = together.uns["spacex"]["impute"]
    assert entry["values"] == "relative"
    assert len(entry["sources"]) == 2


def test_irrelevant_section_has_a_small_weight(target, sections, names):
    noise = sections[0].copy()
    rng = np.random.default_rng(0)
    noise.X = sp.csr_matrix(np.stack([rng.permutation(column) for column in noise.X.toarray().T], axis=1))
    result = tl.impute(target, [noise, sections[1]], genes=names, progress=False)
    weight = result.uns["spacex"]["impute"]["sources"]["weight"]
    assert weight.iloc[0] < 0.3 * weight.iloc[1]
