"""Shared statistics against direct computation and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from spacex.stats import (
    benjamini_hochberg,
    calibration_bins,
    direction_variance,
    fix_signs,
    group_mean,
    l2_normalize,
    match_labels,
    nearest_neighbors,
    signal_share,
    stratified_overlap_pvalue,
    weak_genes,
)


def test_l2_normalize_keeps_zero_rows() -> None:
    np.testing.assert_allclose(l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_group_mean_ignores_missing_groups() -> None:
    rng = np.random.default_rng(0)
    values, group, weights = rng.random((2, 3, 40)), rng.choice([-1, 0, 1, 3], 40), rng.random(40)
    mean, weighted = group_mean(values, group, 5), group_mean(values, group, 5, weights)
    assert mean.shape == weighted.shape == (2, 3, 5)
    for g in (0, 1, 3):
        np.testing.assert_allclose(mean[..., g], values[..., group == g].mean(axis=-1))
        expected = np.average(values[..., group == g], axis=-1, weights=weights[group == g])
        np.testing.assert_allclose(weighted[..., g], expected)
    np.testing.assert_array_equal(mean[..., [2, 4]], 0.0)
    np.testing.assert_allclose(group_mean(values[0, 0], group, 5), mean[0, 0])


def test_fix_signs_makes_largest_entries_positive() -> None:
    components = np.array([[1.0, -2.0, 0.0], [-3.0, 1.0, 0.0]])
    np.testing.assert_array_equal(fix_signs(components), [[-1.0, 2.0, 0.0], [3.0, -1.0, 0.0]])


def test_nearest_neighbors_are_sorted_by_distance() -> None:
    points = np.random.default_rng(0).random((30, 2))
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.testing.assert_array_equal(nearest_neighbors(points, 4), np.argsort(distance, axis=1)[:, :4])
    assert nearest_neighbors(points[:1], 1).shape == (1, 1)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_benjamini_hochberg_skips_nan(shape: tuple[int, ...]) -> None:
    pvalue = np.array([0.01, np.nan, 0.2, 1.0, 0.04, np.nan]).reshape(shape)
    qvalue = benjamini_hochberg(pvalue)
    tested = np.isfinite(pvalue)
    np.testing.assert_allclose(qvalue[tested], scipy_stats.false_discovery_control(pvalue[tested]))
    np.testing.assert_array_equal(np.isnan(qvalue), ~tested)
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert benjamini_hochberg(np.zeros(0)).shape == (0,)


def test_signal_share_is_zero_up_to_noise_level() -> None:
    np.testing.assert_allclose(signal_share(np.array([0.0, 1.0, 2.0, 10.0])), [0.0, 0.0, 0.75, 0.99])


def test_overlap_in_one_stratum_is_fishers_exact_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        n_genes = int(rng.integers(2, 60))
        n_first, n_second = rng.integers(0, n_genes + 1, 2)
        k = int(rng.integers(0, min(n_first, n_second) + 1))
        expected = scipy_stats.hypergeom.sf(k - 1, n_genes, n_first, n_second)
        assert stratified_overlap_pvalue(k, np.array([[n_genes, n_first, n_second]])) == pytest.approx(expected)


def test_overlap_in_strata_is_that_of_sets_permuted_within_them() -> None:
    strata = np.array([[30, 10, 12], [20, 2, 9], [15, 0, 3], [4, 4, 2]])
    rng = np.random.default_rng(0)
    drawn = rng.hypergeometric(*np.array([[k, n - k, m] for n, k, m in strata]).T[:, :, None], (4, 200_000)).sum(axis=0)
    for k in range(2, 12):
        assert stratified_overlap_pvalue(k, strata) == pytest.approx(np.mean(drawn >= k), abs=0.005)
    assert stratified_overlap_pvalue(2, strata) == pytest.approx(1)  # the last stratum alone has two
    assert stratified_overlap_pvalue(15, strata) == 0
    tiny = stratified_overlap_pvalue(80, np.array([[1000, 40, 40], [1000, 40, 40]]))
    assert np.log(tiny) == pytest.approx(2 * scipy_stats.hypergeom.logpmf(40, 1000, 40, 40))


def test_calibration_bins_are_of_equal_size_and_leave_out_missing_probabilities() -> None:
    probability = np.array([0.9, np.nan, 0.1, 0.3, 0.7])
    bins = calibration_bins(probability, np.array([True, True, False, True, False]), n_bins=2)
    np.testing.assert_allclose(bins, [[2, 0.2, 0.5], [2, 0.8, 0.5]])


def test_labels_are_matched_one_to_one() -> None:
    truth = np.repeat([-1, 0, 1], [2, 4, 4])
    labels = np.array([-1, 2, 1, 1, 1, 0, 0, 0, 0, -1])
    assert match_labels(labels, truth).tolist() == [-1, -2, 0, 0, 0, 1, 1, 1, 1, -1]
    assert match_labels(np.full(10, -1), truth).tolist() == [-1] * 10


def test_weak_genes_are_those_of_small_norm_if_they_suffice() -> None:
    z = np.random.default_rng(0).standard_normal((100, 8))
    z *= np.repeat([1.0, 5.0], 50)[:, None] / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_array_equal(weak_genes(z), z[:50])
    np.testing.assert_array_equal(weak_genes(z[40:]), z[40:])
    np.testing.assert_allclose(direction_variance(z), np.mean(l2_normalize(z) ** 2, axis=0))
    assert direction_variance(z).sum() == pytest.approx(1)
