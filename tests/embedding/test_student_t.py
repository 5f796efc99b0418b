"""Formulas of the mixture equal those of SciPy, and the M-step maximizes the expected posterior."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln
from scipy.stats import invgamma, multivariate_normal, multivariate_t
from tests.embedding.clusters import clusters, random_parameters

from spacex.embedding.student_t import (
    BACKGROUND_NU,
    Prior,
    e_step,
    initial_parameters,
    log_density,
    log_prior,
    m_step,
    module_log_weight,
    solve_nu,
    squared_distance,
    statistics,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(1.0, 100.0), st.integers(0, 1000))
def test_log_density_equals_scipy(k, d, nu, seed):
    p = random_parameters(k, d, seed, nu)
    x = np.random.default_rng(seed + 1).normal(size=(7, d)) * 3
    ours = log_density(torch.from_numpy(x), p).numpy()
    for j in range(k + 1):
        shape = np.exp(float(p.log_scale[j])) * np.eye(d)
        theirs = multivariate_t(loc=p.mean[j].numpy(), shape=shape, df=float(p.nu[j])).logpdf(x)
        np.testing.assert_allclose(ours[:, j], theirs, rtol=1e-9, atol=1e-9)


def test_responsibilities_of_distant_points_sum_to_one():
    x = torch.full((3, 4), 1e6, dtype=torch.float64)
    log_resp, log_likelihood = e_step(x, random_parameters())
    np.testing.assert_allclose(log_resp.exp().sum(1), 1.0, atol=1e-12)
    assert torch.isfinite(log_likelihood).all()


def test_null_probability_moves_points_between_background_and_modules():
    x, _, _ = clusters()
    p = random_parameters(3, 6)
    surely_null = e_step(x, p, torch.full((len(x),), 0.999, dtype=torch.float64))[0][:, -1]
    surely_not = e_step(x, p, torch.full((len(x),), 1e-9, dtype=torch.float64))[0][:, -1]
    undecided = e_step(x, p, torch.full((len(x),), 0.5, dtype=torch.float64))[0]
    assert (surely_null > surely_not).all()
    np.testing.assert_allclose(undecided, e_step(x, p)[0], atol=1e-12)


@pytest.mark.parametrize("tied", [False, True], ids=["spherical", "tied"])
def test_m_step_is_the_mode_of_the_expected_posterior(tied):
    """No small change of a parameter raises the expected complete-data log posterior."""
    x, _, centers = clusters()
    p, prior = initial_parameters(centers + 0.1, x), Prior()
    log_resp, _ = e_step(x, p)
    resp, u = log_resp.exp(), (p.nu + x.shape[1]) / (p.nu + squared_distance(x, p))

    def expected(q):
        d = x.shape[1]
        gauss = -0.5 * d * q.log_scale - 0.5 * u * squared_distance(x, q)
        tail = 0.5 * q.nu * (torch.log(q.nu / 2) + torch.log(u) - u) - torch.lgamma(q.nu / 2)
        # The expectation of log u adds psi - log of (nu_old + d) / 2, a constant factor of nu.
        shift = torch.digamma((p.nu + d) / 2) - torch.log((p.nu + d) / 2)
        parts = resp * (q.log_weight + gauss + tail + 0.5 * q.nu * shift)
        return float(parts[:, :-1].sum() + log_prior(q, prior, tied=tied))

    best = m_step(statistics(x, p, log_resp), p, prior, tied=tied, nu_range=(1.0, 200.0))
    top = expected(best)
    for name in ("mean", "log_scale"):
        # Equal decreases on both sides: the optimum is here, not only close.
        right, left = (expected(best._replace(**{name: getattr(best, name) + h})) for h in (1e-3, -1e-3))
        assert abs(right - left) < 0.05 * (2 * top - right - left)
    for step in (1e-3, -1e-3):
        assert expected(best._replace(mean=best.mean + step)) < top
        assert expected(best._replace(log_scale=best.log_scale + step)) < top
        one = torch.zeros_like(best.mean)
        one[1, 2] = step
        assert expected(best._replace(mean=best.mean + one)) < top
        assert expected(best._replace(nu=best.nu * (1 + step))) <= top + 1e-9
        tilt = torch.zeros_like(best.log_weight)
        tilt[0] = step
        tilted = torch.cat([module_log_weight((best.log_weight + tilt)[:-1], best), best.log_weight[-1:]])
        assert expected(best._replace(log_weight=tilted)) < top


def test_tied_modules_share_scale_and_degrees_of_freedom():
    x, _, centers = clusters()
    p = initial_parameters(centers + 0.1, x)
    tied, apart = (
        m_step(
            statistics(x, p, e_step(x, p)[0]),
            p,
            Prior(),
            tied=tied,
            nu_range=(1.0, 200.0),
        )
        for tied in (True, False)
    )
    for name in ("log_scale", "nu"):
        assert len(set(getattr(tied, name)[:-1].tolist())) == 1
        assert len(set(getattr(apart, name)[:-1].tolist())) == 3
        assert getattr(apart, name)[:-1].min() < getattr(tied, name)[0] < getattr(apart, name)[:-1].max()
        assert getattr(tied, name)[-1] == getattr(p, name)[-1]
    np.testing.assert_allclose(tied.mean, apart.mean)


@pytest.mark.parametrize("tied", [False, True], ids=["spherical", "tied"])
def test_log_prior_equals_scipy(tied):
    """Differences between parameters are compared, since `log_prior` omits a constant."""
    prior = Prior(concentration=2.5, mean_strength=0.3, scale_shape=3.0, scale_rate=0.2)

    def theirs(p):
        weight, square, mean = p.log_weight[:-1].exp(), p.log_scale[:-1].exp(), p.mean[:-1].numpy()
        # Dirichlet without its constant; the weight of the background is fixed.
        total = (prior.concentration - 1) * float(torch.log(weight).sum())
        for j in range(1 if tied else len(square)):
            total += invgamma(prior.scale_shape, scale=prior.scale_rate).logpdf(float(square[j]))
        for j in range(len(square)):
            total += multivariate_normal(cov=float(square[j]) / prior.mean_strength * np.eye(4)).logpdf(mean[j])
        return total

    first, second = random_parameters(seed=0), random_parameters(seed=1)
    second = second._replace(
        log_scale=second.log_scale + 0.7,
        log_weight=torch.log(torch.tensor([0.5, 0.2, 0.25, 0.05], dtype=torch.float64)),
    )
    if tied:
        first, second = (p._replace(log_scale=p.log_scale[:1].expand(4)) for p in (first, second))
    ours = [float(log_prior(p, prior, tied=tied)) for p in (first, second)]
    assert ours[1] - ours[0] == pytest.approx(theirs(second) - theirs(first), rel=1e-10)


def test_statistics_are_weighted_sums():
    x, _, _ = clusters(n=50, d=4)
    p = random_parameters()
    resp = e_step(x, p)[0].exp().numpy()
    sums = statistics(x, p, e_step(x, p)[0])
    points, nu = x.numpy(), p.nu.numpy()
    distance = np.square(points[:, None] - p.mean.numpy()).sum(-1) / p.log_scale.exp().numpy()
    np.testing.assert_allclose(squared_distance(x, p), distance, rtol=1e-9, atol=1e-9)
    u = (nu + 4) / (nu + distance)
    np.testing.assert_allclose(sums.total, resp.sum(0))
    np.testing.assert_allclose(sums.weight, (resp * u).sum(0))
    np.testing.assert_allclose(sums.first, np.einsum("nk,nd->kd", resp * u, points))
    np.testing.assert_allclose(sums.second, np.einsum("nk,n->k", resp * u, np.square(points).sum(1)))
    np.testing.assert_allclose(sums.tail, (resp * (np.log(u) - u)).sum(0))


def test_squared_distances_are_not_negative():
    p = random_parameters()
    assert (squared_distance(p.mean, p).diagonal() >= 0).all()
    assert (squared_distance(p.mean * 1e8, p._replace(mean=p.mean * 1e8)) >= 0).all()


def test_initial_parameters():
    x, _, centers = clusters(n=200)
    p = initial_parameters(centers, x, background=0.2)
    np.testing.assert_allclose(p.log_weight.exp(), [0.8 / 3] * 3 + [0.2])
    np.testing.assert_array_equal(p.mean, np.vstack([centers, np.zeros((1, 6))]))
    nearest = np.square(x.numpy()[:, None] - centers.numpy()).sum(-1).min(axis=1)
    middle = np.sort(nearest)[(len(nearest) - 1) // 2]  # as torch.median
    np.testing.assert_allclose(p.log_scale.exp(), [middle / 6] * 3 + [1 / 6])
    assert p.nu.tolist() == [30.0, 30.0, 30.0, BACKGROUND_NU]
    assert float(initial_parameters(centers, x).log_weight[-1].exp()) == pytest.approx(0.05)
    assert float(initial_parameters(centers, centers).log_scale[0].exp()) == pytest.approx(1e-6 / 6)  # never zero


def test_solve_nu_respects_its_bounds():
    assert solve_nu(-50.0, 5.0, 10, (2.0, 100.0)) == 2.0
    assert solve_nu(-0.5, 5.0, 10, (2.0, 100.0)) == 100.0


@pytest.mark.parametrize(("tail", "old", "d"), [(-1.05, 5.0, 10), (-1.2, 30.0, 3), (-1.02, 12.0, 48)])
def test_solve_nu_maximizes_the_expected_likelihood(tail, old, d):
    """Peel & McLachlan 2000, section 5: the terms of the expected log likelihood that depend on nu."""
    mean_log_u = tail + digamma((old + d) / 2) - np.log((old + d) / 2)

    def expected(nu):
        return nu / 2 * np.log(nu / 2) - gammaln(nu / 2) + nu / 2 * mean_log_u

    best = minimize_scalar(lambda nu: -expected(nu), bounds=(0.5, 1e4), method="bounded", options={"xatol": 1e-8}).x
    assert 0.6 < best < 5000
    assert solve_nu(tail, old, d, (0.5, 1e4)) == pytest.approx(best, rel=1e-4)
    assert solve_nu(tail, old, d, (best * 2, 1e4)) == best * 2
    assert solve_nu(tail, old, d, (0.1, best / 2)) == best / 2
