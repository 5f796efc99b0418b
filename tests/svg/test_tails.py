"""Tails of quadratic forms and the combination of p-values, against SciPy."""

from __future__ import annotations

import numpy as np
from scipy import stats

from spacex.svg.tails import cauchy_combination, gaussian_share, log_gamma_sf, log_shifted_gamma_sf


def test_log_gamma_sf_agrees_with_scipy_and_does_not_underflow() -> None:
    shape = np.array([0.3, 2.0, 50.0, 3000.0])
    x = shape + 6 * np.sqrt(shape)
    np.testing.assert_allclose(log_gamma_sf(shape, x), stats.gamma.logsf(x, shape), rtol=1e-8)
    far = log_gamma_sf(np.ones(3), np.array([600.0, 700.0, 5e4]))
    np.testing.assert_allclose(far, [-600, -700, -5e4], rtol=1e-6)
    edge = log_gamma_sf(np.full(400, 7.3), np.linspace(600, 760, 400))
    assert (np.diff(edge) < 0).all()
    assert np.abs(np.diff(edge, 2)).max() < 1e-4  # the two branches join smoothly


def test_shifted_gamma_agrees_with_scipy() -> None:
    value = np.array([-1.0, 0.0, 3.0])
    expected = stats.pearson3.logsf(value, skew=0.8, loc=0, scale=2.0)
    np.testing.assert_allclose(log_shifted_gamma_sf(value, np.full(3, 4.0), np.full(3, 0.8 * 8)), expected, rtol=1e-6)


def test_cauchy_combination() -> None:
    p = np.array([[0.2, 1e-5, 1e-30], [0.7, 0.4, 1e-200]])
    expected = stats.cauchy.sf(np.tan((0.5 - p[:, :2]) * np.pi).mean(axis=0))
    joined = cauchy_combination(np.log(p), np.ones((2, 3)))
    np.testing.assert_allclose(np.exp(joined)[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(joined[2] / np.log(10), -200 + np.log10(2), rtol=1e-9)
    same = np.log(np.full((4, 3), [0.3, 1e-8, 1e-12]))
    np.testing.assert_allclose(cauchy_combination(same, np.ones((4, 3))), same[0], rtol=1e-6)
    alone = cauchy_combination(np.log(p), np.array([[1.0], [1e-12]]) * np.ones((2, 3)))
    np.testing.assert_allclose(alone[:2], np.log(p[0, :2]), rtol=1e-6)


def test_gaussian_share_is_clipped() -> None:
    np.testing.assert_allclose(gaussian_share(np.array([1.0, 1.0, 0.0]), np.array([1.0, 4.0, 5.0])), [1, 0.25, 1e-6])
