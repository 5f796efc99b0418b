"""Linear prediction is kernel ridge regression over genes; panel moments agree with cell-wise computation."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from sklearn.kernel_ridge import KernelRidge

from spacex.imaging.residuals import log_normalize
from spacex.imputation import Cells, ImputationParams, fit_reference
from spacex.imputation.cells import CELLS_PER_BLOCK
from spacex.imputation.kernels import LinearKernel
from spacex.imputation.linear import LinearModel, fit_linear, make_folds, ridge_weights
from spacex.imputation.panel import Panel
from spacex.imputation.reliability import calibrate

PARAMS = ImputationParams()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def low_rank(rng: np.random.Generator, n_cells: int, vectors: np.ndarray, noise: float) -> np.ndarray:
    """Values (N, G) with covariance vectors @ vectors.T plus noise."""
    return rng.standard_normal((n_cells, vectors.shape[1])) @ vectors.T + noise * rng.standard_normal(
        (n_cells, len(vectors))
    )


def cells_of(values: np.ndarray, xy: np.ndarray | None = None) -> Cells:
    return Cells.from_values(sp.csr_array(values), xy, np.zeros(len(values), dtype=int), PARAMS)


def fit(vectors: dict[str, np.ndarray], panel: Panel, rng: np.random.Generator) -> LinearModel:
    """Fit candidate vectors (G, D) to the panel genes."""
    kernels = {name: LinearKernel(values) for name, values in vectors.items()}
    return fit_linear(kernels, PARAMS.ridges, panel, make_folds(len(panel), rng, PARAMS), PARAMS)


def weights_of(panel: np.ndarray, genes: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (P, G) of panel genes with vectors (P, D) for genes with vectors (G, D)."""
    return ridge_weights(panel @ panel.T, panel @ genes.T, ridge)


def test_weights_equal_kernel_ridge_over_genes(rng):
    panel, genes = rng.standard_normal((20, 5)), rng.standard_normal((7, 5))
    maps = rng.standard_normal((20, 300))
    expected = KernelRidge(alpha=0.7, kernel="linear").fit(panel, maps).predict(genes)
    np.testing.assert_allclose(weights_of(panel, genes, 0.7).T @ maps, expected, atol=1e-8)


def test_adding_predicted_genes_to_the_panel_changes_nothing(rng):
    """Linear predictions add no information, so the linear prediction needs no rounds."""
    panel, near, far = (rng.standard_normal((n, 5)) for n in (20, 8, 6))
    maps = rng.standard_normal((20, 300))
    predicted = weights_of(panel, near, 0.7).T @ maps
    extended = weights_of(np.vstack([panel, near]), far, 0.7).T @ np.vstack([maps, predicted])
    np.testing.assert_allclose(extended, weights_of(panel, far, 0.7).T @ maps, atol=1e-8)


def test_cell_components_are_uncorrelated_with_variance_one(rng):
    cells = cells_of(low_rank(rng, 500, rng.standard_normal((20, 4)), 0.5), rng.random((500, 2)))
    panel, mean = cells.panel(np.arange(20))
    axes = panel.cell_components(6)
    scores = np.concatenate([predictors for _, _, predictors in cells.blocks()]) - mean
    np.testing.assert_allclose((scores @ axes).T @ (scores @ axes) / 500, np.eye(6), atol=1e-4)


def test_panel_moments_agree_with_cells(rng):
    n = CELLS_PER_BLOCK + 500
    vectors = rng.standard_normal((30, 4))
    xy = rng.random((n, 2))
    values = low_rank(rng, n, vectors, 1.0)
    panel_cells = cells_of(values[:, :25], xy)
    panel, mean = panel_cells.panel(np.arange(25))
    linear = fit({"true": vectors}, panel, np.random.default_rng(1))
    weights, features = linear.predict(np.arange(25, 30))
    predictors = np.concatenate([predictors for _, _, predictors in panel_cells.blocks()])
    predicted = (predictors - mean) @ weights
    np.testing.assert_allclose(predicted.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features[:, 0], predicted.std(axis=0), rtol=1e-4)
    assert (features[:, 1] <= 1 + 1e-9).all()
    measured = np.array([[np.corrcoef(p, values[:, j])[0, 1] for j in range(25)] for p in predicted.T])
    np.testing.assert_allclose(features[:, 2], np.sort(measured, axis=1)[:, -5:].mean(axis=1), atol=1e-4)
    truth = np.array([np.corrcoef(predicted[:, g], values[:, 25 + g])[0, 1] for g in range(5)])
    assert (truth > 0.3).all()
    # Out-of-fold correlations equal those of the first fold predicted cell by cell.
    folds = np.array_split(np.random.default_rng(1).permutation(25), 5)
    rest = np.setdiff1d(np.arange(25), folds[0])
    ridges = linear.candidates.loc[linear.candidates["chosen"], "ridge"]
    averaged = np.mean([weights_of(vectors[rest], vectors[folds[0]], ridge) for ridge in ridges], axis=0)
    predicted = predictors[:, rest] @ averaged
    expected = [np.corrcoef(predicted[:, i], values[:, gene])[0, 1] for i, gene in enumerate(folds[0])]
    np.testing.assert_allclose(linear.held_out.loc[folds[0], "pcc"], expected, atol=1e-4)


def test_true_vectors_are_chosen_over_wrong_ones(rng):
    vectors = rng.standard_normal((60, 4))
    cells = cells_of(low_rank(rng, 400, vectors, 0.5)[:, :50])
    panel, _ = cells.panel(np.arange(50))
    candidates = {"wrong": rng.standard_normal((60, 4)), "true": vectors}
    table = fit(candidates, panel, rng).candidates
    assert table.sort_values("pcc").iloc[-1]["vectors"] == "true"
    assert table.loc[table["vectors"] == "true", "chosen"].all()


def test_constant_panel_genes_give_finite_predictions(rng):
    values = low_rank(rng, 200, rng.standard_normal((20, 3)), 0.5)
    values[:, 4] = 0.0
    panel, _ = cells_of(values).panel(np.arange(20))
    weights, features = fit({"any": rng.standard_normal((25, 3))}, panel, rng).predict(np.arange(20, 25))
    assert np.isfinite(weights).all()
    assert np.isfinite(features).all()


def test_neighborhoods_stay_within_sections_and_replace_empty_cells(rng):
    values = rng.random((60, 3)) + 0.5
    values[7] = 0.0
    section = np.repeat([0, 1], 30)
    cells = Cells.from_values(sp.csr_array(values), np.tile(rng.random((30, 2)), (2, 1)), section, PARAMS)
    rows = cells.neighbor_average.toarray()
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    assert ((rows > 0).sum(axis=1) == PARAMS.n_neighbors).all()
    assert rows[:30, 30:].sum() == 0
    ((_, standardized, predictors),) = cells.blocks()
    neighbor_mean = rows @ standardized
    np.testing.assert_allclose(predictors[7], neighbor_mean[7], atol=1e-5)
    np.testing.assert_allclose(predictors[8], 0.5 * standardized[8] + 0.5 * neighbor_mean[8], atol=1e-5)


def test_log_normalize_agrees_with_scanpy(rng):
    counts = sp.csr_matrix(rng.poisson(1.0, (50, 30)).astype(np.float32))
    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    values = log_normalize(counts).toarray()
    np.testing.assert_allclose(values, adata.X.toarray(), rtol=1e-5)
    np.testing.assert_allclose(np.expm1(values).sum(axis=1), np.median(np.asarray(counts.sum(axis=1))), rtol=1e-5)


def test_inner_products_are_noise_free_covariances(rng):
    signal = np.repeat(np.eye(3), 20, axis=0)  # three programs of 20 genes; 40 more genes are noise
    rate = np.exp(0.8 * rng.standard_normal((600, 3)) @ signal.T)
    counts = sp.csr_matrix(np.hstack([rng.poisson(3 * rate), rng.poisson(3.0, (600, 40))]).astype(np.float32))
    reference = fit_reference(counts, True, rng, params=PARAMS)
    vectors = reference.vectors["10 components"]
    product = vectors @ vectors.T
    same = np.kron(np.eye(3), np.ones((20, 20))).astype(bool) & ~np.eye(60, dtype=bool)
    assert product[:60, :60][same].min() > 0.3
    assert np.abs(product[:60, 60:]).mean() < 0.1
    length = np.diag(product)
    assert length[:60].mean() > 2 * length[60:].mean()
    assert length[:60].min() > length[60:].max()
    z = log_normalize(counts).toarray()
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    full = reference.vectors["80 components"]
    assert np.corrcoef((full @ full.T)[:60, :60][same], (z.T @ z / 600)[:60, :60][same])[0, 1] > 0.9


def test_undetected_genes_have_zero_vectors(rng):
    counts = rng.poisson(2.0, (100, 30)).astype(np.float32)
    counts[:, 5] = 0
    counts[:3, 5] = 1
    reference = fit_reference(sp.csr_matrix(counts), True, rng, params=PARAMS)
    assert not reference.is_detected[5]
    assert all((vectors[5] == 0).all() for vectors in reference.vectors.values())


def test_calibration_is_linear_with_nonnegative_slope(rng):
    features = rng.standard_normal((50, 2))
    score = ((features - features.mean(axis=0)) / features.std(axis=0)).sum(axis=1)
    line = calibrate(features, 0.4 + 0.1 * score)
    np.testing.assert_allclose(line.predict(features), np.clip(0.4 + 0.1 * score, 0, 1), atol=1e-9)
    falling = calibrate(features, 0.4 - 0.1 * score)
    np.testing.assert_allclose(falling.predict(features), 0.4, atol=1e-9)
    pcc = 0.4 + 0.1 * score
    pcc[3] = np.nan
    np.testing.assert_allclose(calibrate(features, pcc).slope, 0.1, atol=1e-2)
