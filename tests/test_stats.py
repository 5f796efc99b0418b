"""Shared statistics against direct computation and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from spacex.stats import benjamini_hochberg, fix_signs, group_mean, l2_normalize, nearest_neighbors, signal_share


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
