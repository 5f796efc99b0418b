"""The simulated section keeps what its documentation promises, and its planted truth is really planted."""

from __future__ import annotations

import subprocess
import sys

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse, stats
from scipy.spatial import cKDTree

from spacex._infra.errors import InputError
from spacex.datasets import simulate_section

SMALL = {"n_genes": 60, "n_spots": 300, "n_modules": 4, "n_domains": 3}


@pytest.fixture(scope="module")
def section() -> AnnData:
    return simulate_section(n_genes=800, n_spots=2000, n_modules=12, n_domains=6, seed=4)


def residuals(adata: AnnData) -> np.ndarray:
    """Poisson residuals (S, G) around the exposure of the simulation."""
    counts = adata.X.toarray().astype(float)
    library = adata.obs["true_library"].to_numpy()
    mean = np.outer(library, counts.sum(0) / library.sum())
    return (counts - mean) / np.sqrt(mean)


def same_bytes(a: AnnData, b: AnnData) -> bool:
    matrices = all(
        getattr(a.X, part).tobytes() == getattr(b.X, part).tobytes() for part in ("data", "indices", "indptr")
    )
    obsm = set(a.obsm) == set(b.obsm) and all(a.obsm[key].tobytes() == b.obsm[key].tobytes() for key in a.obsm)
    return matrices and obsm and a.obs.equals(b.obs) and a.var.equals(b.var)


def test_counts_are_sparse_whole_numbers_and_sizes_are_exact(section: AnnData) -> None:
    assert section.shape == (2000, 800)
    assert sparse.issparse(section.X)
    assert section.X.format == "csr"
    assert section.X.dtype == np.float32
    assert (section.X.data > 0).all()
    assert (section.X.data == np.round(section.X.data)).all()
    assert section.X.has_sorted_indices
    assert 0.85 < 1 - section.X.nnz / np.prod(section.shape) < 0.95
    assert (section.X.sum(0) > 0).all()
    assert section.obs_names.is_unique
    assert section.var_names.is_unique
    assert section.var_names[0] == "gene0001"


def test_truth_columns_agree_with_each_other(section: AnnData) -> None:
    var = section.var
    assert np.issubdtype(var["module"].dtype, np.integer)
    assert var["spatially_variable"].dtype == bool
    assert set(var["module"]) == set(range(-1, 12))
    assert var["spatially_variable"].sum() == 400
    spatial = (var["module"] >= 0).to_numpy()
    assert (var["spatially_variable"].to_numpy() == spatial).all()
    assert ((var["pattern"] != "none").to_numpy() == spatial).all()
    assert ((var["effect"] > 0).to_numpy() == spatial).all()
    assert (var.groupby("module")["pattern"].nunique() == 1).all()
    assert var["module"].value_counts().nunique() > 3  # modules differ in size
    assert var["pattern"].nunique() == 7
    assert section.obs["domain"].nunique() == 6
    assert section.uns["simulation"]["seed"] == 4


def test_neither_order_nor_expression_gives_the_truth_away(section: AnnData) -> None:
    spatial = section.var["spatially_variable"].to_numpy()
    module = section.var["module"].to_numpy()
    total = np.asarray(section.X.sum(0)).ravel()
    order = np.arange(len(spatial))
    assert stats.mannwhitneyu(order[spatial], order[~spatial]).pvalue > 0.01
    assert stats.mannwhitneyu(total[spatial], total[~spatial]).pvalue > 0.01
    assert stats.kruskal(*(order[module == m] for m in range(12))).pvalue > 0.01
    assert (module[1:] == module[:-1])[spatial[1:]].mean() < 0.2


def test_same_seed_same_bytes() -> None:
    assert same_bytes(simulate_section(**SMALL, seed=1), simulate_section(**SMALL, seed=1))
    assert not same_bytes(simulate_section(**SMALL, seed=1), simulate_section(**SMALL, seed=2))


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    simulate_section(**SMALL)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_visium_is_a_hexagonal_array_in_pixels(section: AnnData) -> None:
    row, col = section.obs["array_row"].to_numpy(), section.obs["array_col"].to_numpy()
    assert ((row + col) % 2 == 0).all()
    assert row.max() < 78
    assert col.max() < 128
    tree = cKDTree(section.obsm["spatial"])
    distance = tree.query(section.obsm["spatial"], 7)[0][:, 1:]
    np.testing.assert_allclose(distance[:, 0], 137, atol=1.5)
    assert np.mean(distance[:, 5] < 140) > 0.8  # inside the tissue a spot has six neighbors
    slope = np.linalg.lstsq(np.column_stack([col, np.ones(len(col))]), section.obsm["spatial"][:, 0])[0][0]
    assert slope == pytest.approx(137 / 2, rel=0.1)  # x runs with the column


def test_st_is_a_slightly_jittered_square_array() -> None:
    xy = simulate_section(**SMALL, technology="st").obsm["spatial"]
    off = np.abs(xy - np.round(xy))
    assert 0 < off.max() < 0.2
    assert len(np.unique(np.round(xy), axis=0)) == 300


def test_cells_lie_freely_with_varying_density() -> None:
    xy = simulate_section(**{**SMALL, "n_spots": 3000}, technology="cells").obsm["spatial"]
    assert len(np.unique(xy, axis=0)) == 3000
    gap = cKDTree(xy).query(xy, 15)[0][:, -1]
    assert np.quantile(gap, 0.9) > 1.4 * np.quantile(gap, 0.1)


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
def test_outline_is_irregular_and_the_size_exact(technology: str) -> None:
    adata = simulate_section(**{**SMALL, "n_spots": 997}, technology=technology, seed=3)
    assert adata.n_obs == 997
    xy = adata.obsm["spatial"] - adata.obsm["spatial"].mean(0)
    sector = np.digitize(np.arctan2(xy[:, 1], xy[:, 0]), np.linspace(-np.pi, np.pi, 25)[1:-1])
    reach = np.array([np.hypot(*xy[sector == s].T).max() for s in range(24)])
    assert reach.std() / reach.mean() > 0.04  # a disc has about .01


def test_library_size_varies_smoothly_and_with_domains(section: AnnData) -> None:
    library = section.obs["true_library"].to_numpy()
    assert (library > 0).all()
    log = np.log(library)
    assert 0.35 < log.std() < 0.9
    assert stats.f_oneway(*(log[section.obs["domain"] == d] for d in section.obs["domain"].cat.categories))[1] < 1e-6
    neighbors = cKDTree(section.obsm["spatial"]).query(section.obsm["spatial"], 7)[1][:, 1:]
    assert np.corrcoef(log, log[neighbors].mean(1))[0, 1] > 0.3
    assert np.corrcoef(library, np.asarray(section.X.sum(1)).ravel())[0, 1] > 0.9


def test_genes_of_one_module_look_alike(section: AnnData) -> None:
    spatial = section.var["spatially_variable"].to_numpy()
    module = section.var["module"].to_numpy()[spatial]
    maps = residuals(section)[:, spatial].clip(-10, 10)
    similarity = np.corrcoef(maps.T)
    same = (module[:, None] == module) & ~np.eye(len(module), dtype=bool)
    for m in range(12):
        rows = np.flatnonzero(module == m)
        within, between = similarity[rows][same[rows]], similarity[rows][:, module != m].ravel()
        assert stats.mannwhitneyu(within, between, alternative="greater").pvalue < 1e-6, m


def expected_counts(adata: AnnData, module: int, pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (S,) of the counts of a module, summed over its genes, given the total of each gene."""
    genes = np.flatnonzero(adata.var["module"] == module)
    total = np.asarray(adata.X[:, genes].sum(axis=0)).ravel()
    fold = np.exp(adata.var["effect"].to_numpy()[genes] * pattern[:, None])
    mean = fold * (adata.obs["true_library"] * adata.obs["spatial_budget"]).to_numpy()[:, None]
    mean *= total / mean.sum(axis=0)
    return mean.sum(axis=1), (mean + adata.var["dispersion"].to_numpy()[genes] * mean**2).sum(axis=1)


def test_stored_patterns_and_budget_reproduce_the_mean_of_every_module(section: AnnData) -> None:
    patterns, module = section.obsm["module_pattern"], section.var["module"].to_numpy()
    assert patterns.shape == (2000, 12)
    assert patterns.dtype == np.float32
    assert patterns.min() >= 0
    assert patterns.max() <= 1
    fit = np.zeros((12, 12))  # mean squared standardized residual of a module with the pattern of another
    for m, other in np.ndindex(12, 12):
        counts = np.asarray(section.X[:, module == m].sum(axis=1)).ravel()
        mean, variance = expected_counts(section, m, patterns[:, other])
        fit[m, other] = np.mean((counts - mean) ** 2 / variance)
    assert (fit.argmin(axis=1) == np.arange(12)).all()
    np.testing.assert_allclose(fit.diagonal(), 1, atol=0.15)
    assert fit.diagonal().mean() == pytest.approx(1, abs=0.04)  # 1.11 without the budget


def test_half_a_module_finds_its_other_half() -> None:
    # Deep, so that the patterns and not the noise of the rarer modules decide.
    deep = simulate_section(n_genes=800, n_spots=2000, n_modules=12, n_domains=6, seed=4, depth=3.0)
    module, maps = deep.var["module"].to_numpy(), residuals(deep).clip(-10, 10)
    members = [np.flatnonzero(module == m) for m in range(12)]
    first, second = (np.array([maps[:, rows[part::2]].mean(1) for rows in members]) for part in (0, 1))
    assert (np.corrcoef(first, second)[:12, 12:].argmax(1) == np.arange(12)).all()


def test_genes_without_a_module_know_nothing_of_domains(section: AnnData) -> None:
    null = ~section.var["spatially_variable"].to_numpy()
    expressed = np.asarray(section.X.sum(0)).ravel() > 50
    domain = section.obs["domain"]
    maps = residuals(section)

    def pvalues(genes: np.ndarray) -> np.ndarray:
        return stats.f_oneway(*(maps[(domain == d).to_numpy()][:, genes] for d in domain.cat.categories))[1]

    p = pvalues(null & expressed)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert (p < 0.05).mean() < 0.1
    drawn = section.var["pattern"].isin(["domain", "union"]).to_numpy()
    assert (pvalues(drawn & expressed) < 0.05).mean() > 0.9  # the same test sees what there is


def test_counts_are_overdispersed_by_the_planted_amount(section: AnnData) -> None:
    counts = section.X.toarray().astype(float)
    null = ~section.var["spatially_variable"].to_numpy() & (counts.mean(0) > 0.5)
    library = section.obs["true_library"].to_numpy()
    counts = counts[:, null]
    mean = np.outer(library, counts.sum(0) / library.sum())
    excess = ((counts - mean) ** 2 - mean).sum(0) / (mean**2).sum(0)
    planted = section.var["dispersion"].to_numpy()[null]
    assert (excess > 0).mean() > 0.9
    assert np.median(excess / planted) == pytest.approx(1, abs=0.25)


def test_depth_and_effect_do_what_they_say() -> None:
    shallow, deep = (simulate_section(**SMALL, depth=d) for d in (0.1, 1.0))
    assert deep.X.mean() == pytest.approx(1.0, rel=0.25)
    assert shallow.X.mean() == pytest.approx(0.1, rel=0.25)
    strong = simulate_section(**SMALL, effect=3.0).var["effect"]
    assert np.median(strong[strong > 0]) == pytest.approx(3.0, rel=0.3)


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
@pytest.mark.parametrize("n_modules", [0, 1, 8])
def test_small_sections_work(technology: str, n_modules: int) -> None:
    adata = simulate_section(30, 250, n_modules, 7, technology, 5)
    assert adata.shape == (250, 30)
    assert (adata.X.sum(0) > 0).all()
    assert adata.var["module"].max() == n_modules - 1
    assert set(range(n_modules)) <= set(adata.var["module"])
    assert adata.obsm["module_pattern"].shape == (250, n_modules)
    assert n_modules > 1 or (adata.obs["spatial_budget"] == 1).all()
    assert adata.obs["domain"].nunique() == 7


def test_defaults_fit_a_small_panel_and_one_domain() -> None:
    adata = simulate_section(n_genes=30, n_spots=250)  # twenty modules: one gene each
    assert adata.var["module"].nunique() == 21
    plain = simulate_section(**{**SMALL, "n_domains": 1})
    assert plain.obs["domain"].nunique() == 1
    assert "domain" not in set(plain.var["pattern"])


def test_very_shallow_sections_keep_every_gene() -> None:
    adata = simulate_section(**SMALL, depth=1e-4)
    assert (adata.X.sum(0) > 0).all()


def test_arrays_grow_beyond_the_slide() -> None:
    for technology in ("visium", "st"):
        assert simulate_section(30, 6001, 3, technology=technology).n_obs == 6001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_genes": 1}, "n_genes=1"),
        ({"n_genes": 50.0}, "n_genes=50.0"),
        ({"n_spots": 3}, "n_spots=3"),
        ({"n_modules": -1}, "n_modules=-1"),
        ({"n_modules": 61}, "n_modules=61.*pass n_modules<=60"),
        ({"n_modules": 13, "spatial_fraction": 0.2}, "pass n_modules<=12"),
        ({"n_modules": 0, "spatial_fraction": 0.5}, "n_modules=0"),
        ({"n_domains": 0}, "n_domains=0"),
        ({"n_domains": 31}, "n_domains=31"),
        ({"technology": "merfish"}, "technology='merfish'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"depth": 0.0}, "depth=0.0"),
        ({"depth": float("nan")}, "depth=nan"),
        ({"effect": -1.0}, "effect=-1.0"),
        ({"spatial_fraction": 1.5}, "spatial_fraction=1.5"),
    ],
)
def test_impossible_arguments_are_refused_in_one_line(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        simulate_section(**{**SMALL, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_modules", [0, 4])
def test_h5ad_round_trip(tmp_path, n_modules: int) -> None:
    adata = simulate_section(**{**SMALL, "n_genes": np.int64(60), "n_modules": n_modules}, seed=np.int64(3))
    adata.write_h5ad(tmp_path / "section.h5ad")
    back = ad.read_h5ad(tmp_path / "section.h5ad")
    assert same_bytes(adata, back)
    assert back.uns["simulation"]["technology"] == "visium"
    assert back.uns["simulation"]["n_genes"] == 60


def test_import_is_light() -> None:
    code = "import sys, spacex.datasets; print([m for m in ('torch', 'matplotlib', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
