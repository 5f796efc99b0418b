"""`tl.embed`: slots, recovered structure, reproducibility, several sections and unusual inputs."""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy
import torch
from anndata import AnnData
from packaging.version import Version
from scipy import stats
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from tests.embedding.clusters import calibration_error
from threadpoolctl import threadpool_limits

import spacex as sx
from spacex import Config

FAST = Config(epochs=1, boost_rounds=1)
RARE = ("gene0010", "gene0077")  # genes with too few counts to be embedded


def embedded_section(adata: AnnData, **settings: Any) -> tuple[AnnData, sx.SpaCEX]:
    adata = adata.copy()
    return adata, sx.tl.embed(adata, **{"n_modules": 3, "config": FAST, "progress": False, **settings})


@pytest.fixture(scope="session")
def section() -> AnnData:
    adata = sx.datasets.simulate_section(
        n_genes=150, n_spots=400, n_modules=3, n_domains=3, seed=4, depth=1.0, effect=2.5, spatial_fraction=0.6
    )
    counts = adata.X.toarray()
    counts[:, adata.var_names.isin(RARE)] = 0
    counts[::100, adata.var_names == RARE[0]] = 1  # four counts, one fewer than min_counts
    adata.X = counts
    return adata


@pytest.fixture(scope="session")
def fitted(section: AnnData) -> tuple[AnnData, sx.SpaCEX]:
    return embedded_section(section)


@pytest.fixture(scope="session")
def embedded(fitted: tuple[AnnData, sx.SpaCEX]) -> AnnData:
    return fitted[0]


def spatial_genes(adata: AnnData) -> np.ndarray:
    return ((adata.var["module"] >= 0) & ~adata.var_names.isin(RARE)).to_numpy()


def directions(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


# -- slots -------------------------------------------------------------------------------------------------


def test_shapes_and_types_of_slots(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    adata, model = fitted
    z = adata.varm["X_spacex"]
    assert z.shape == (150, model.transform(sx.pp.gene_images(adata)).shape[1])
    assert z.dtype == np.float32
    assert adata.obsm["spacex_pixel"].shape == (400, 2)
    assert adata.obsm["spacex_pixel"].dtype.kind == "i"
    module, probability = adata.var["spacex_module"], adata.var["spacex_module_prob"]
    assert isinstance(module.dtype, pd.CategoricalDtype)
    assert module.cat.categories[-1] == "unassigned"
    assert set(module.cat.categories) <= {"0", "1", "2", "unassigned"}
    assert probability.dtype == np.float64
    is_embedded = ~adata.var_names.isin(RARE)
    assert probability[is_embedded].between(0, 1).all()
    assert (module != "unassigned").sum() > 60
    level = adata.var["spacex_expression_level"]
    assert level.dtype == np.int8
    assert level.tolist() == np.where(is_embedded, 0, -1).tolist()  # few genes have one level
    null_genes = adata.uns["spacex"]["null_genes"]
    assert null_genes["embedding"].shape == (100, z.shape[1])
    assert null_genes["embedding"].dtype == np.float32
    assert null_genes["level"].tolist() == [0] * 100
    assert 1 <= null_genes["n_smooth"] <= z.shape[1]


def test_genes_with_too_few_counts_are_not_embedded(embedded: AnnData) -> None:
    rare = embedded.var_names.isin(RARE)
    missing = np.isnan(embedded.varm["X_spacex"])
    assert missing[rare].all()
    assert not missing[~rare].any()
    assert (embedded.var["spacex_module"][rare] == "unassigned").all()
    assert embedded.var["spacex_module_prob"][rare].isna().all()


def test_min_counts_can_be_changed(section: AnnData) -> None:
    adata, _ = embedded_section(section, config=Config(epochs=0, boost_rounds=0, n_layers=0, min_counts=4))
    assert np.isnan(adata.varm["X_spacex"]).any(axis=1).sum() == 1
    assert np.isfinite(adata.varm["X_spacex"][adata.var_names == RARE[0]]).all()


def test_the_input_is_unchanged(section: AnnData, embedded: AnnData) -> None:
    np.testing.assert_array_equal(embedded.X, section.X)
    pd.testing.assert_frame_equal(embedded.obs, section.obs)
    pd.testing.assert_frame_equal(embedded.var[section.var.columns], section.var)
    assert set(embedded.obsm) - set(section.obsm) == {"spacex_pixel", "spacex_components"}
    assert set(embedded.varm) - set(section.varm) == {"X_spacex", "X_spacex_cofunction"}
    assert set(embedded.uns) - set(section.uns) == {"spacex"}
    new = {"spacex_module", "spacex_module_prob", "spacex_expression_level", "spacex_from_reference"}
    assert set(embedded.var) - set(section.var) == new


def test_slots_equal_the_fitted_attributes(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    adata, model = fitted
    is_embedded = ~adata.var_names.isin(RARE)
    np.testing.assert_array_equal(model.embedding_, adata.varm["X_spacex"][is_embedded])
    np.testing.assert_array_equal(model.probabilities_, adata.var["spacex_module_prob"][is_embedded])
    module = adata.var["spacex_module"][is_embedded].astype(str)
    assert np.where(model.labels_ < 0, "unassigned", model.labels_.astype(str)).tolist() == module.tolist()


def test_module_probabilities_equal_the_posterior(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    adata, model = fitted
    is_embedded = ~adata.var_names.isin(RARE)
    chance = model.predict_proba(sx.pp.gene_images(adata))[is_embedded]
    module = adata.var["spacex_module"][is_embedded].astype(str).to_numpy()
    background = module == "unassigned"
    assert (chance[background, :-1].max(1) <= FAST.min_module_prob).all()
    assert (chance[~background, :-1].max(1) > FAST.min_module_prob).all()
    np.testing.assert_array_equal(chance[~background, :-1].argmax(1), module[~background].astype(int))
    column = np.where(background, chance.shape[1] - 1, chance[:, :-1].argmax(1))
    np.testing.assert_allclose(
        adata.var["spacex_module_prob"][is_embedded], chance[np.arange(len(chance)), column], atol=1e-5
    )


def test_modules_are_numbered_by_evidence(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    """Evidence is the expected number of correctly assigned genes."""
    evidence = fitted[0].var.groupby("spacex_module", observed=True)["spacex_module_prob"].sum()
    assert (np.diff(evidence.drop("unassigned")) <= 0).all()


def test_null_genes_have_norm_one_and_levels_of_genes(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    state = fitted[1].state_
    assert np.mean(np.sum(state.null_embedding.astype(np.float64) ** 2, axis=1)) == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_array_equal(state.null_embedding, fitted[0].uns["spacex"]["null_genes"]["embedding"])


# -- recovered structure -----------------------------------------------------------------------------------------


def test_planted_modules_are_recovered(embedded: AnnData) -> None:
    spatial = spatial_genes(embedded)
    truth, labels = embedded.var["module"][spatial], embedded.var["spacex_module"][spatial].astype(str)
    assert adjusted_rand_score(truth, labels) > 0.75


def test_nearest_neighbors_share_a_module(embedded: AnnData) -> None:
    spatial = spatial_genes(embedded)
    direction, module = directions(embedded.varm["X_spacex"][spatial]), embedded.var["module"].to_numpy()[spatial]
    similarity = direction @ direction.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    assert (module[nearest] == module[:, None]).mean() > 0.8  # 0.33 by chance


def test_genes_without_a_pattern_are_weak(embedded: AnnData) -> None:
    is_embedded = ~embedded.var_names.isin(RARE)
    norm = np.linalg.norm(embedded.varm["X_spacex"], axis=1)[is_embedded]
    spatial = spatial_genes(embedded)[is_embedded]
    assert roc_auc_score(spatial, norm) > 0.85
    assert 0.5 < np.median(norm[~spatial]) < 2.5
    assert np.median(norm[spatial]) > 1.5 * np.median(norm[~spatial])


def test_genes_without_a_pattern_have_norm_one() -> None:
    """The basis partly fits the noise of few genes, so maps that did not contribute to it have smaller norms."""
    adata = sx.datasets.simulate_section(n_genes=600, n_spots=900, n_modules=6, n_domains=4, technology="st", seed=3)
    model = sx.tl.embed(adata, n_modules=6, progress=False)
    flat = np.flatnonzero(adata.var["module"] < 0)
    norm = np.linalg.norm(adata.varm["X_spacex"][flat], axis=1)
    norm = norm[np.isfinite(norm)]
    assert np.mean(norm**2) == pytest.approx(1.0, abs=0.15)
    assert model.state_.null_embedding.shape == (len(model.labels_) // 4, adata.varm["X_spacex"].shape[1])
    images = sx.pp.gene_images(adata)
    new_maps = np.random.default_rng(99).permuted(images.residuals(flat), axis=1)
    assert np.mean(np.linalg.norm(model.transform(images.layout.to_images(new_maps)), axis=1) ** 2) < 0.9


@pytest.fixture(scope="module", params=[0, 1])
def large_section(request: pytest.FixtureRequest) -> AnnData:
    adata = sx.datasets.simulate_section(n_genes=1000, n_spots=1500, n_modules=10, seed=request.param)
    sx.tl.embed(adata, progress=False)
    return adata


def test_genes_without_a_pattern_are_in_no_module(large_section: AnnData) -> None:
    var = large_section.var[np.isfinite(large_section.varm["X_spacex"]).all(axis=1)]
    is_assigned = var["spacex_module"] != "unassigned"
    is_spatial = var["module"] >= 0
    assert is_assigned[~is_spatial].mean() <= 0.08
    # The Bayes classifier that knows the planted patterns leaves 0.21 to 0.26 of the spatial genes in none.
    assert (~is_assigned)[is_spatial].mean() <= 0.35
    assert (~is_assigned)[is_spatial & (var["spacex_expression_level"] >= 2)].mean() <= 0.25
    assert 7 <= len(var["spacex_module"].cat.categories) - 1 <= 15
    assert set(var["spacex_expression_level"]) == {0, 1, 2, 3, 4}


def test_module_probabilities_are_calibrated(large_section: AnnData) -> None:
    """A gene is right in the module that is matched to its planted one, or in none if it has no pattern."""
    var = large_section.var[np.isfinite(large_section.varm["X_spacex"]).all(axis=1)]
    labels = np.where(var["spacex_module"] == "unassigned", -1, var["spacex_module"].cat.codes)
    planted = var["module"].to_numpy()
    common = pd.crosstab(labels[(labels >= 0) & (planted >= 0)], planted[(labels >= 0) & (planted >= 0)])
    rows, columns = linear_sum_assignment(common.to_numpy(), maximize=True)
    partner = dict(zip(common.index[rows], common.columns[columns], strict=True))
    is_right = np.array([partner.get(label, -2) if label >= 0 else -1 for label in labels]) == planted
    assert calibration_error(var["spacex_module_prob"].to_numpy(), is_right) <= 0.08


def test_redrawn_genes_are_in_no_module() -> None:
    """Half of the genes of a section, redrawn with overdispersion and a mean proportional to the library size."""
    adata = sx.datasets.simulate_section(n_genes=600, n_spots=900, n_modules=6, spatial_fraction=0.9, seed=5)
    rng, counts = np.random.default_rng(0), adata.X.toarray()
    redrawn = rng.random(600) < 0.5
    mean = np.outer(counts.sum(1) / counts.sum(), counts.sum(0)[redrawn])
    dispersion = rng.uniform(0.05, 1.0, mean.shape[1])
    counts[:, redrawn] = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape))
    adata.X = counts
    sx.tl.embed(adata, progress=False)
    is_embedded = np.isfinite(adata.varm["X_spacex"]).all(axis=1)
    is_assigned = (adata.var["spacex_module"] != "unassigned").to_numpy()
    assert is_assigned[redrawn & is_embedded].mean() <= 0.08
    assert is_assigned[~redrawn & is_embedded].mean() > 0.4


def test_the_norm_is_not_expression(embedded: AnnData) -> None:
    null = (embedded.var["module"] < 0).to_numpy() & ~embedded.var_names.isin(RARE)
    norm = np.linalg.norm(embedded.varm["X_spacex"][null], axis=1)
    assert abs(stats.spearmanr(norm, embedded.X.sum(0)[null]).statistic) < 0.6


def test_the_number_of_modules_is_selected(section: AnnData) -> None:
    adata, model = embedded_section(section, n_modules="auto")
    assert 2 <= model.n_modules_ <= 12
    assert len(model.history_.records["modules"]) >= 2
    spatial = spatial_genes(adata)
    labels = adata.var["spacex_module"][spatial].astype(str)
    assert adjusted_rand_score(adata.var["module"][spatial], labels) > 0.3


# -- reproducibility -------------------------------------------------------------------------------------


def global_state() -> tuple:
    """Return the states of the global random generators."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    return random.getstate(), numpy_state[1].tobytes(), numpy_state[2:], torch.get_rng_state().numpy().tobytes()


def test_the_same_seed_gives_the_same_bytes(section: AnnData, embedded: AnnData) -> None:
    """Global random generators have no effect and are not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        before = global_state()
        again, _ = embedded_section(section, seed=0)
        assert global_state() == before
    assert again.varm["X_spacex"].tobytes() == embedded.varm["X_spacex"].tobytes()
    pd.testing.assert_frame_equal(again.var, embedded.var)
    assert json.dumps(again.uns["spacex"]["history"], default=list) == json.dumps(
        embedded.uns["spacex"]["history"], default=list
    )


def test_another_seed_gives_similar_modules(section: AnnData, embedded: AnnData) -> None:
    other, _ = embedded_section(section, seed=np.int64(1))
    assert other.varm["X_spacex"].tobytes() != embedded.varm["X_spacex"].tobytes()
    spatial = spatial_genes(embedded)
    labels = [a.var["spacex_module"][spatial].astype(str) for a in (embedded, other)]
    assert adjusted_rand_score(*labels) > 0.7


# SciPy before 1.16.3 includes an OpenBLAS that crashes when the number of threads is increased.
more_threads = pytest.mark.skipif(
    Version(scipy.__version__) < Version("1.16.3"), reason="OpenBLAS of this SciPy cannot increase its threads"
)


@more_threads
def test_the_number_of_threads_does_not_matter(section: AnnData) -> None:
    one, many = section.copy(), section.copy()
    for adata, n_threads in ((one, 1), (many, 4)):
        with threadpool_limits(n_threads):
            sx.tl.embed(adata, n_modules=4, progress=False)
    np.testing.assert_allclose(many.varm["X_spacex"], one.varm["X_spacex"], atol=1e-5)
    assert (many.var["spacex_module"] == one.var["spacex_module"]).all()


@more_threads
def test_the_number_of_threads_hardly_changes_a_trained_model(section: AnnData, embedded: AnnData) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with threadpool_limits(3):
            again, _ = embedded_section(section)
    finally:
        torch.set_num_threads(before)
    # Training amplifies rounding in single precision, which also depends on the processor (up to 1.6e-4 observed).
    np.testing.assert_allclose(again.varm["X_spacex"], embedded.varm["X_spacex"], atol=1e-3, rtol=1e-3)
    # A gene between two modules may change its module, which can swap the labels of modules of equal size.
    assert adjusted_rand_score(again.var["spacex_module"], embedded.var["spacex_module"]) > 0.97


def test_the_order_of_genes_permutes_the_linear_initialization(section: AnnData) -> None:
    """Up to random draws: thinned counts, and the genes that are permuted to calibrate the norm."""
    config = Config(epochs=0, boost_rounds=0, n_layers=0, n_dims=8, theta=50)
    order = np.random.default_rng(3).permutation(section.n_vars)
    plain, _ = embedded_section(section, config=config)
    permuted, _ = embedded_section(section[:, order], config=config)
    is_embedded = ~plain.var_names[order].isin(RARE)
    first, second = plain.varm["X_spacex"][order][is_embedded], permuted.varm["X_spacex"][is_embedded]
    np.testing.assert_allclose(directions(second), directions(first), atol=1e-3)
    ratio = np.linalg.norm(second, axis=1) / np.linalg.norm(first, axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)  # the constant of the calibration
    assert ratio[0] == pytest.approx(1.0, abs=0.05)


def test_the_order_of_genes_hardly_changes_a_trained_model(section: AnnData, embedded: AnnData) -> None:
    order = np.random.default_rng(3).permutation(section.n_vars)
    permuted, _ = embedded_section(section[:, order])
    spatial = spatial_genes(permuted)
    labels = [a.var["spacex_module"][permuted.var_names][spatial].astype(str) for a in (embedded, permuted)]
    assert adjusted_rand_score(*labels) > 0.7


def test_the_order_of_spots_does_not_matter(section: AnnData, embedded: AnnData) -> None:
    order = np.random.default_rng(3).permutation(section.n_obs)
    permuted, _ = embedded_section(section[order])
    np.testing.assert_array_equal(permuted.obsm["spacex_pixel"], embedded.obsm["spacex_pixel"][order])
    np.testing.assert_allclose(permuted.varm["X_spacex"], embedded.varm["X_spacex"], atol=1e-5)


def test_a_new_embedding_removes_old_interactions(fitted: tuple[AnnData, sx.SpaCEX]) -> None:
    adata = fitted[0].copy()
    sx.tl.interactions(adata)
    assert "spacex_interactions" in adata.varp
    sx.tl.embed(adata, n_modules=3, config=FAST, seed=1, progress=False)
    assert "spacex_interactions" not in adata.varp


# -- several sections --------------------------------------------------------------------------------------


def test_one_embedding_over_several_sections(section: AnnData) -> None:
    half = np.arange(400) % 2 == 0
    both = ad.concat([section[half], section[~half]], keys=["b", "a"], label="library", index_unique="-", merge="same")
    both.obsm["spatial"] = both.obsm["spatial"] * np.where(both.obs["library"] == "a", 2.0, 1.0)[:, None]
    model = sx.tl.embed(both, n_modules=3, library_key="library", config=FAST, progress=False)
    assert both.varm["X_spacex"].shape[0] == 150
    grid = both.uns["spacex"]["grid"]
    assert grid["library_key"] == "library"
    assert sorted(grid["section"]) == ["a", "b"]
    images = sx.pp.gene_images(both)
    assert len(images.layout.grids) == 2
    is_embedded = np.isfinite(both.varm["X_spacex"]).all(axis=1)
    np.testing.assert_allclose(model.transform(images)[is_embedded], both.varm["X_spacex"][is_embedded], atol=1e-5)
    spatial = spatial_genes(both) & is_embedded
    labels = both.var["spacex_module"][spatial].astype(str)
    assert adjusted_rand_score(both.var["module"][spatial], labels) > 0.5


def test_the_grid_is_reused_unless_library_key_changes(section: AnnData) -> None:
    adata = section.copy()
    adata.obs["library"] = np.where(adata.obsm["spatial"][:, 0] > np.median(adata.obsm["spatial"][:, 0]), "r", "l")
    sx.pp.rasterize(adata, grid=12)
    linear = Config(epochs=0, boost_rounds=0, n_layers=0)
    sx.tl.embed(adata, n_modules=2, config=linear, progress=False)
    assert adata.uns["spacex"]["grid"]["kind"].tolist() == ["bins"]
    sx.tl.embed(adata, n_modules=2, config=linear, library_key="library", progress=False)
    assert len(adata.uns["spacex"]["grid"]["kind"]) == 2


# -- other inputs -----------------------------------------------------------------------------------


def test_views_are_embedded_like_copies(section: AnnData, embedded: AnnData) -> None:
    view = section[:, :]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ad.ImplicitModificationWarning)
        sx.tl.embed(view, n_modules=3, config=FAST, progress=False)
    assert view.varm["X_spacex"].tobytes() == embedded.varm["X_spacex"].tobytes()
    assert "X_spacex" not in section.varm


def test_intensities_are_embedded(section: AnnData) -> None:
    normalized = section.copy()
    normalized.X = np.log1p(section.X / section.X.sum(1, keepdims=True) * 100)
    adata, _ = embedded_section(normalized)
    spatial = spatial_genes(adata)
    assert not adata.uns["spacex"]["embed"]["is_count"]
    labels = adata.var["spacex_module"][spatial].astype(str)
    assert adjusted_rand_score(adata.var["module"][spatial], labels) > 0.4


@pytest.mark.parametrize("n_genes", [2, 3, 4, 5, 7, 10])
@pytest.mark.parametrize("n_modules", ["auto", 1, 2])
def test_few_genes_are_embedded(n_genes: int, n_modules: int | str) -> None:
    adata = sx.datasets.simulate_section(n_genes=n_genes, n_spots=100, n_modules=1, n_domains=2, depth=2.0)
    config = Config(epochs=0, boost_rounds=0, n_layers=0, n_null_genes=50)
    sx.tl.embed(adata, n_modules=n_modules, config=config, progress=False)
    assert np.isfinite(adata.varm["X_spacex"]).all()
    assert adata.var["spacex_module_prob"].between(0, 1).all()


@pytest.mark.parametrize("n_spots", [10, 11, 25])
def test_few_spots_are_embedded(section: AnnData, n_spots: int) -> None:
    adata, _ = embedded_section(
        section[:n_spots], n_modules=2, config=Config(epochs=1, boost_rounds=1, n_null_genes=50)
    )
    z = adata.varm["X_spacex"]
    is_embedded = np.isfinite(z).all(axis=1)
    assert is_embedded.sum() > 50
    assert np.isnan(z[~is_embedded]).all()


def test_as_many_modules_as_genes(section: AnnData) -> None:
    config = Config(epochs=0, boost_rounds=0, n_layers=0, n_null_genes=50)
    adata, model = embedded_section(section[:, 20:45], n_modules=25, config=config)
    assert model.n_modules_ == 25
    assert adata.var["spacex_module_prob"].between(0, 1).all()
