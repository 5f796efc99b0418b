"""Densities of the mixture equal those of SciPy, and its posterior is calibrated on points drawn from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from tests.embedding.clusters import calibration_error, draw_points, random_parameters

from spacex.embedding.modules import assign, take_modules
from spacex.embedding.student_t import (
    AMPLITUDES,
    MIN_CHANCE_AMPLITUDE,
    STEP_VARIANCE,
    initial_parameters,
    l2_normalize_tensor,
    log_joint,
    log_module_density,
    log_noise,
    log_posterior,
    log_t,
    module_variance,
    squared_distance,
)


def some_points(n: int, d: int, n_levels: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-1, 2, (n, 1))
    return torch.from_numpy(x), torch.from_numpy(rng.integers(n_levels, size=n))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.floats(1.0, 2000.0), st.integers(0, 1000))
def test_log_t_equals_scipy(d: int, nu: float, seed: int) -> None:
    x, _ = some_points(7, d, 1, seed)
    ours = log_t((x**2).sum(1), torch.full((7,), nu, dtype=torch.float64), d)
    np.testing.assert_allclose(ours, multivariate_t(np.zeros(d), np.eye(d), df=nu).logpdf(x), rtol=1e-8, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.floats(2.0, 100.0), st.integers(0, 1000))
def test_module_density_is_a_multivariate_t_with_diagonal_scale(k: int, d: int, nu: float, seed: int) -> None:
    p = random_parameters(k, d, seed=seed, nu=nu)
    x, level = some_points(6, d, 2, seed)
    ours = log_module_density(x, level, p)
    assert ours.shape == (6, k, len(AMPLITUDES))
    share = np.sqrt(p.signal.numpy()) / np.sqrt(p.signal.numpy()).sum()
    for j, amplitude in enumerate(AMPLITUDES.tolist()):
        for module in range(k):
            mean = p.mean[module].numpy()
            relative = float(p.spread) * share + p.mean_variance[module].numpy() + STEP_VARIANCE * mean**2
            shape = np.diag(1 + amplitude**2 * relative)
            theirs = [
                multivariate_t(amplitude * mean, shape, df=float(p.nu[level[i]])).logpdf(x[i].numpy()) for i in range(6)
            ]
            np.testing.assert_allclose(ours[:, module, j], np.ravel(theirs), rtol=1e-7, atol=1e-7)


def test_squared_distances_are_scaled_and_not_negative() -> None:
    p = random_parameters()
    x, _ = some_points(20, 4, 2, 1)
    for amplitude in (2.0, 60.0):
        difference = x.numpy()[:, None] - amplitude * p.mean.numpy()
        expected = (difference**2 / module_variance(p, amplitude).numpy()).sum(-1)
        np.testing.assert_allclose(squared_distance(x, p, amplitude), expected, rtol=1e-8, atol=1e-8)
        at_the_means = squared_distance(amplitude * p.mean, p, amplitude)
        assert (at_the_means >= 0).all()
        np.testing.assert_allclose(at_the_means.diagonal(), 0, atol=1e-9)


def test_step_variance_is_that_of_an_amplitude_within_a_step() -> None:
    """Variance of the logarithm of an amplitude that is uniform between the middles of two steps."""
    step = np.diff(np.log(AMPLITUDES.numpy()))
    np.testing.assert_allclose(step, step[0])
    draws = np.random.default_rng(0).uniform(-0.5, 0.5, 200_000) * step[0]
    assert pytest.approx(np.var(draws), rel=0.01) == STEP_VARIANCE
    p = random_parameters(spread=0.0)._replace(mean_variance=torch.zeros(3, 4, dtype=torch.float64))
    # To first order, a (1 + e) m varies along m with the variance of e.
    np.testing.assert_allclose(module_variance(p, 30.0), 1 + STEP_VARIANCE * (30.0 * p.mean) ** 2)


def test_amplitudes_of_the_background_are_integrated() -> None:
    """The density of the background is that of noise and of each module and amplitude, with their weights."""
    p = random_parameters()
    x, level = some_points(15, 4, 2, 2)
    joint, density = log_joint(x, level, p), log_module_density(x, level, p).numpy()
    chance = p.chance[level].numpy()
    weight = np.log(p.chance_module.numpy())[:, None] + np.log(p.chance_amplitude.numpy())
    resembling = logsumexp(density + weight, axis=(1, 2)) + np.log(chance)
    np.testing.assert_allclose(joint.background, np.logaddexp(log_noise(x, level, p).numpy(), resembling), rtol=1e-10)
    modules = density + p.log_weight.numpy()[:, None] + p.log_amplitude[level].numpy()[:, None]
    np.testing.assert_allclose(joint.module, modules, rtol=1e-10)
    np.testing.assert_allclose(joint.score, logsumexp(modules, axis=(1, 2)) - joint.background.numpy(), rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 4), st.integers(0, 1000))
def test_posterior_is_a_distribution(k: int, d: int, n_levels: int, seed: int) -> None:
    p = random_parameters(k, d, n_levels, seed)
    x, level = some_points(12, d, n_levels, seed)
    for values in (x, x * 1e6, x * 0.0):
        log_resp = log_posterior(values, level, p)
        assert log_resp.shape == (12, k + 1)
        np.testing.assert_allclose(log_resp.exp().sum(1), 1.0, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 100))
def test_posterior_does_not_depend_on_the_order_of_modules(order: list[int], seed: int) -> None:
    p = random_parameters(5, 6, seed=seed)
    x, level = some_points(10, 6, 2, seed)
    permuted = log_posterior(x, level, take_modules(p, np.array(order)))
    np.testing.assert_allclose(permuted, log_posterior(x, level, p)[:, [*order, 5]], rtol=1e-9, atol=1e-9)


def test_likelihood_ratio_to_noise_grows_without_bound_with_strength() -> None:
    p = random_parameters(nu=2000.0)
    level = torch.zeros(40, dtype=torch.int64)
    along = torch.linspace(0.0, 400.0, 40, dtype=torch.float64)[:, None] * p.mean[1]
    ratio = torch.logsumexp(log_joint(along, level, p).module.flatten(1), dim=1) - log_noise(along, level, p)
    assert (ratio.diff() > 0).all()
    assert ratio[0] < 0 < 1000 < ratio[-1]


def test_more_background_lowers_all_module_probabilities() -> None:
    p = random_parameters()
    x, level = some_points(30, 4, 2, 3)
    first, second = (log_posterior(x, level, p._replace(background=p.background * 0 + b)) for b in (0.2, 0.8))
    assert (second[:, -1] > first[:, -1]).all()
    np.testing.assert_allclose(  # odds change by those of the prior
        (second - second[:, -1:])[:, :-1], (first - first[:, -1:])[:, :-1] + np.log(0.25 * 0.25), atol=1e-8
    )


@pytest.mark.parametrize("seed", range(3))
def test_posterior_is_calibrated_on_points_of_the_mixture(seed: int) -> None:
    p = random_parameters(5, 6, seed=seed)
    points, module = draw_points(p, 4000, seed=seed)
    labels, probability = assign(log_posterior(points.x, points.level, p), 0.5)
    assert calibration_error(probability, labels == module) <= 0.05
    assert 0.6 < np.mean(labels == module) < 0.99  # neither trivial nor hopeless


def test_initial_parameters() -> None:
    rng = np.random.default_rng(0)
    centers, signal = torch.from_numpy(rng.normal(size=(3, 5))), torch.full((5,), 0.2, dtype=torch.float64)
    p = initial_parameters(centers, signal, torch.tensor([5.0, 9.0], dtype=torch.float64), spread=0.1)
    assert p.n_modules == 3
    np.testing.assert_allclose(p.log_weight.exp(), 1 / 3)
    np.testing.assert_allclose(p.mean, l2_normalize_tensor(centers))
    assert float(p.spread) == 0.1
    assert not p.mean_variance.any()
    for probabilities in (p.log_amplitude.exp(), p.chance_module[None], p.chance_amplitude[None]):
        np.testing.assert_allclose(probabilities.sum(1), 1.0)
    assert (p.chance_amplitude[AMPLITUDES < MIN_CHANCE_AMPLITUDE] < 1e-9).all()
    assert p.background.shape == p.chance.shape == p.nu.shape == (2,)


def test_rows_of_zeros_stay_zero() -> None:
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    np.testing.assert_allclose(l2_normalize_tensor(z), [[0.6, 0.8], [0.0, 0.0]])
