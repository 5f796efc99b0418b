"""Shared patterns: power, calibration, and their kernel against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy import stats

from spacex import pp
from spacex.datasets import simulate_section
from spacex.imaging.gene_images import GeneImages
from spacex.svg import spatial_variability_test
from spacex.svg.design import Design
from spacex.svg.library_error import LibraryError
from spacex.svg.maps import StandardizedMaps
from spacex.svg.pattern_kernel import PatternKernel
from spacex.svg.pattern_test import SharedPatternTest, gene_folds
from spacex.svg.shared_patterns import learn_patterns, pattern_weights, rms_correlation


def images_of(counts: np.ndarray, side: int = 20) -> GeneImages:
    xy = np.argwhere(np.ones((side, side))).astype(float)
    return pp.gene_images(AnnData(counts.astype(np.float32), obsm={"spatial": xy}))


def standard(images: GeneImages) -> StandardizedMaps:
    return StandardizedMaps(images, Design.from_covariates(images.layout.section))


def test_kernel_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    images = images_of(rng.poisson(1.0, (144, 30)), side=12)
    patterns = np.linalg.qr(rng.standard_normal((144, 4)))[0]
    weight, d = np.array([0.9, 0.5, 0.2, 0.0]), rng.uniform(-0.5, 0.5, 144)
    kernel = PatternKernel(images.layout, patterns, weight, d, seed=0)
    exact = (patterns * weight) @ patterns.T
    np.fill_diagonal(exact, 0)
    r = rng.standard_normal((6, 144))
    result = kernel.statistic((r @ patterns) ** 2, r**2 @ patterns**2)
    np.testing.assert_allclose(result, np.einsum("bi,ij,bj->b", r, exact, r), rtol=1e-8)
    skewness, slope = np.full((1, 1), 0.7), np.full((1, 1), 0.6)
    v = 1 + 0.6 * d
    null = kernel.null(skewness, slope, np.ones((1, 1)))
    assert null.variance[0] == pytest.approx(2 * np.einsum("ij,i,j->", exact**2, v, v))
    level = kernel.null(skewness, 0 * slope, np.ones((1, 1)))
    assert level.gaussian[0] == pytest.approx(8 * np.trace(exact @ exact @ exact))
    assert level.third[0] - level.gaussian[0] == pytest.approx(4 * 0.49 * np.sum(exact**3))


def test_sampled_rows_give_unbiased_traces() -> None:
    rng = np.random.default_rng(0)
    images = images_of(rng.poisson(1.0, (900, 30)), side=30)
    local = np.exp(-np.square(images.layout.pixel - 7).sum(axis=1) / 8)  # a pattern in few pixels
    patterns = np.linalg.qr(np.column_stack([local, rng.standard_normal((900, 2))]))[0]
    exact = PatternKernel(images.layout, patterns, np.ones(3), np.zeros(900), seed=0).third
    sampled = [
        PatternKernel(images.layout, patterns, np.ones(3), np.zeros(900), n_rows=300, seed=s).third[0, 0]
        for s in range(8)
    ]
    assert np.mean(sampled) == pytest.approx(exact[0, 0], rel=0.1)


def test_weak_genes_with_shared_pattern_are_detected() -> None:
    """Many genes share a pattern, each with a signal too weak to be detected alone."""
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((20, 20)))
    pattern = np.where((xy // 5).sum(axis=1) % 2, 1.0, -1.0)
    rate = np.ones((400, 300))
    sign = np.where(np.arange(100) % 2, 1.0, -1.0)  # library sizes are unchanged
    rate[:, :100] *= np.exp(0.25 * pattern[:, None] * sign)
    result = spatial_variability_test(images_of(rng.poisson(rate)))
    spatial = np.arange(300) < 100
    alone = result.log_p_by_scale.min(axis=1)
    auroc = [
        stats.mannwhitneyu(-score[spatial], -score[~spatial]).statistic / (100 * 200)
        for score in (result.log_p_shared, alone)
    ]
    assert auroc[0] > auroc[1] + 0.05
    assert np.mean(result.log_p[~spatial] < np.log(0.05)) < 0.09


def test_correlated_genes_without_spatial_order_share_no_pattern() -> None:
    """Programs of randomly placed cells correlate genes, but are not spatial."""
    rng = np.random.default_rng(1)
    kind = rng.random((400, 4)) < 0.25
    rate = np.exp(0.8 * kind[:, np.arange(200) % 4]) * rng.lognormal(0, 0.4, (400, 1))
    images = images_of(rng.poisson(rate))
    result = spatial_variability_test(images)
    assert np.isnan(result.log_p_shared).all()
    assert np.mean(result.log_p < np.log(0.05)) < 0.09


def test_patterns_are_orthonormal_and_from_other_folds() -> None:
    images = pp.gene_images(simulate_section(n_genes=300, n_spots=400, n_modules=4, seed=0))
    maps = standard(images)
    no_error = LibraryError(np.zeros((0, images.n_pixels), np.float32), np.ones((images.n_genes, 1)))
    shared = SharedPatternTest(maps, no_error, enabled=True, seed=0)
    for fold, patterns in enumerate(shared.patterns):
        np.testing.assert_allclose(patterns.T @ patterns, np.eye(patterns.shape[1]), atol=1e-4)
        again = learn_patterns(maps, np.flatnonzero(shared.fold != fold), patterns.shape[1], 0)
        np.testing.assert_array_equal(patterns, again)


def test_insignificant_patterns_have_weight_zero() -> None:
    rng = np.random.default_rng(0)
    excess = rng.chisquare(1, (200, 4)) - 1 + np.array([8.0, 2.0, 0.1, 0.0])
    weight = pattern_weights(excess, 0.0)
    assert weight[0] == pytest.approx(8 / 10, abs=0.05)
    assert weight[0] > weight[1] > 0
    assert (weight[2:] == 0).all()
    np.testing.assert_array_equal(pattern_weights(excess, 0.5) > 0, [True, False, False, False])


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_rms_correlation_is_estimated(effect: float) -> None:
    rng = np.random.default_rng(0)
    program = rng.standard_normal((400, 1)) * np.where(np.arange(80) % 2, 1, -1)
    maps = standard(images_of(rng.poisson(3 * np.exp(effect * program))))
    residuals, _ = maps.residuals(slice(None))
    expected = np.corrcoef(residuals)[~np.eye(80, dtype=bool)]
    exact = np.sqrt(max(np.mean(expected**2) - 1 / 400, 0))
    assert rms_correlation(maps, 0) == pytest.approx(exact, rel=0.3, abs=0.03)


def test_few_genes_share_no_pattern() -> None:
    result = spatial_variability_test(pp.gene_images(simulate_section(n_genes=6, n_spots=200, n_modules=1, seed=0)))
    assert np.isnan(result.log_p_shared).all()
    assert np.isfinite(result.log_p).all()


@pytest.mark.parametrize(("n_genes", "n_folds"), [(600, 5), (4200, 2)])
def test_folds_are_balanced_and_follow_genes(n_genes: int, n_folds: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(-2, 1, n_genes), (400, n_genes)).astype(np.float32)
    images = images_of(counts)
    fold = gene_folds(images)
    share = np.bincount(fold, minlength=n_folds) / n_genes
    assert np.abs(share - 1 / n_folds).max() < 0.06
    order, flipped = rng.permutation(n_genes), counts.reshape(20, 20, -1).transpose(1, 0, 2)[::-1].reshape(400, -1)
    np.testing.assert_array_equal(gene_folds(images.take(order)), fold[order])
    np.testing.assert_array_equal(gene_folds(images_of(flipped)), fold)
