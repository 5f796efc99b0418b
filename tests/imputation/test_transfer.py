"""Transfer: it is kernel ridge regression over genes, and its moments say what cells would."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from sklearn.kernel_ridge import KernelRidge

from spacex.imaging.residuals import log_normalize
from spacex.imputation import Cells, calibrate, cell_components, fit_reference, transfer
from spacex.imputation.features import BATCH, N_NEIGHBORS
from spacex.imputation.transfer import _weights


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def low_rank(rng: np.random.Generator, n_cells: int, vectors: np.ndarray, noise: float) -> np.ndarray:
    """Values (N, G) with covariance vectors @ vectors.T plus noise."""
    return rng.standard_normal((n_cells, vectors.shape[1])) @ vectors.T + noise * rng.standard_normal(
        (n_cells, len(vectors))
    )


def cells_of(values: np.ndarray, xy: np.ndarray | None = None) -> Cells:
    return Cells.of(sp.csr_array(values), xy, np.zeros(len(values), dtype=int))


def test_weights_are_those_of_kernel_ridge_over_genes(rng):
    panel, wanted = rng.standard_normal((20, 5)), rng.standard_normal((7, 5))
    maps = rng.standard_normal((20, 300))
    theirs = KernelRidge(alpha=0.7, kernel="linear").fit(panel, maps).predict(wanted)
    np.testing.assert_allclose(_weights(panel, wanted, 0.7).T @ maps, theirs, atol=1e-8)


def test_predicted_genes_that_join_the_panel_change_nothing(rng):
    """Why there is no growth in the linear prediction: its own guesses tell it nothing new."""
    panel, near, far = (rng.standard_normal((n, 5)) for n in (20, 8, 6))
    maps = rng.standard_normal((20, 300))
    guessed = _weights(panel, near, 0.7).T @ maps
    grown = _weights(np.vstack([panel, near]), far, 0.7).T @ np.vstack([maps, guessed])
    np.testing.assert_allclose(grown, _weights(panel, far, 0.7).T @ maps, atol=1e-8)


def test_components_of_cells_have_variance_one_and_are_uncorrelated(rng):
    cells = cells_of(low_rank(rng, 500, rng.standard_normal((20, 4)), 0.5), rng.random((500, 2)))
    panel, mean = cells.panel(np.arange(20))
    axes = cell_components(panel, 6)
    scores = np.concatenate([used for _, _, used in cells.batches()]) - mean
    np.testing.assert_allclose((scores @ axes).T @ (scores @ axes) / 500, np.eye(6), atol=1e-4)


def test_moments_say_what_cells_would(rng):
    n = BATCH + 500
    vectors = rng.standard_normal((30, 4))
    xy = rng.random((n, 2))
    values = low_rank(rng, n, vectors, 1.0)
    panel_cells = Cells.of(sp.csr_array(values[:, :25]), xy, np.zeros(n, dtype=int))
    panel, mean = panel_cells.panel(np.arange(25))
    found = transfer({"true": vectors}, panel, np.arange(25, 30), np.random.default_rng(1))
    used = np.concatenate([used for _, _, used in panel_cells.batches()])
    predicted = (used - mean) @ found.weights
    np.testing.assert_allclose(predicted.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.traits[:, 0], predicted.std(axis=0), rtol=1e-4)
    assert (found.traits[:, 1] <= 1 + 1e-9).all()
    measured = np.array([[np.corrcoef(p, values[:, j])[0, 1] for j in range(25)] for p in predicted.T])
    np.testing.assert_allclose(found.traits[:, 2], np.sort(measured, axis=1)[:, -5:].mean(axis=1), atol=1e-4)
    truth = np.array([np.corrcoef(predicted[:, g], values[:, 25 + g])[0, 1] for g in range(5)])
    assert (truth > 0.3).all()
    # A held-out gene of the panel is judged as if its fold were predicted cell by cell.
    folds = np.array_split(np.random.default_rng(1).permutation(25), 5)
    rest = np.setdiff1d(np.arange(25), folds[0])
    chosen = found.tried[found.tried["chosen"]]
    weights = np.mean([_weights(vectors[rest], vectors[folds[0]], ridge) for ridge in chosen["ridge"]], axis=0)
    guess = used[:, rest] @ weights
    want = [np.corrcoef(guess[:, i], values[:, gene])[0, 1] for i, gene in enumerate(folds[0])]
    np.testing.assert_allclose(found.held_out.loc[folds[0], "pcc"], want, atol=1e-4)


def test_true_vectors_are_chosen_over_wrong_ones(rng):
    vectors = rng.standard_normal((60, 4))
    cells = cells_of(low_rank(rng, 400, vectors, 0.5)[:, :50])
    panel, _ = cells.panel(np.arange(50))
    wrong = {"wrong": rng.standard_normal((60, 4)), "true": vectors}
    found = transfer(wrong, panel, np.arange(50, 60), rng)
    best = found.tried.sort_values("pcc").iloc[-1]
    assert best["vectors"] == "true"
    assert (found.tried.loc[found.tried["vectors"] == "true", "chosen"]).all()


def test_constant_genes_have_no_say_and_no_correlation(rng):
    values = low_rank(rng, 200, rng.standard_normal((20, 3)), 0.5)
    values[:, 4] = 0.0
    panel, _ = cells_of(values).panel(np.arange(20))
    found = transfer({"any": rng.standard_normal((25, 3))}, panel, np.arange(20, 25), rng)
    assert np.isfinite(found.weights).all()
    assert np.isfinite(found.traits).all()


def test_neighbourhoods_are_of_one_section_and_empty_cells_take_theirs(rng):
    values = rng.random((60, 3)) + 0.5
    values[7] = 0.0
    section = np.repeat([0, 1], 30)
    cells = Cells.of(sp.csr_array(values), np.tile(rng.random((30, 2)), (2, 1)), section)
    rows = cells.around.toarray()
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    assert ((rows > 0).sum(axis=1) == N_NEIGHBORS).all()
    assert rows[:30, 30:].sum() == 0
    ((_, own, used),) = cells.batches()
    near = rows @ own
    np.testing.assert_allclose(used[7], near[7], atol=1e-5)
    np.testing.assert_allclose(used[8], 0.5 * own[8] + 0.5 * near[8], atol=1e-5)


def test_log_normalise_is_scanpy_s(rng):
    counts = sp.csr_matrix(rng.poisson(1.0, (50, 30)).astype(np.float32))
    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    values = log_normalize(counts).toarray()
    np.testing.assert_allclose(values, adata.X.toarray(), rtol=1e-5)
    np.testing.assert_allclose(np.expm1(values).sum(axis=1), np.median(np.asarray(counts.sum(axis=1))), rtol=1e-5)


def test_vectors_hold_the_covariances_that_are_not_noise(rng):
    signal = np.repeat(np.eye(3), 20, axis=0)  # three programmes of 20 genes, and 40 genes of noise
    rate = np.exp(0.8 * rng.standard_normal((600, 3)) @ signal.T)
    counts = sp.csr_matrix(np.hstack([rng.poisson(3 * rate), rng.poisson(3.0, (600, 40))]).astype(np.float32))
    learnt = fit_reference(counts, True, rng)
    vectors = learnt.vectors["10 components"]
    product = vectors @ vectors.T
    same = np.kron(np.eye(3), np.ones((20, 20))).astype(bool) & ~np.eye(60, dtype=bool)
    assert product[:60, :60][same].min() > 0.3
    assert np.abs(product[:60, 60:]).mean() < 0.1
    length = np.diag(product)
    assert length[:60].mean() > 2 * length[60:].mean()
    assert length[:60].min() > length[60:].max()
    z = log_normalize(counts).toarray()
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    full = learnt.vectors["80 components"]
    assert np.corrcoef((full @ full.T)[:60, :60][same], (z.T @ z / 600)[:60, :60][same])[0, 1] > 0.9


def test_genes_that_are_hardly_seen_have_no_vector(rng):
    counts = rng.poisson(2.0, (100, 30)).astype(np.float32)
    counts[:, 5] = 0
    counts[:3, 5] = 1
    learnt = fit_reference(sp.csr_matrix(counts), True, rng)
    assert not learnt.seen[5]
    assert all((vectors[5] == 0).all() for vectors in learnt.vectors.values())


def test_calibration_is_a_line_that_never_falls(rng):
    traits = rng.standard_normal((50, 2))
    score = ((traits - traits.mean(axis=0)) / traits.std(axis=0)).sum(axis=1)
    line = calibrate(traits, 0.4 + 0.1 * score)
    np.testing.assert_allclose(line.reliability(traits), np.clip(0.4 + 0.1 * score, 0, 1), atol=1e-9)
    falling = calibrate(traits, 0.4 - 0.1 * score)
    np.testing.assert_allclose(falling.reliability(traits), 0.4, atol=1e-9)
    pcc = 0.4 + 0.1 * score
    pcc[3] = np.nan
    np.testing.assert_allclose(calibrate(traits, pcc).slope, 0.1, atol=1e-2)
