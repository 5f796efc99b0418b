"""Formulas of the mixture equal those of SciPy, EM never decreases its objective and recovers planted clusters."""

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln
from scipy.stats import invgamma, multivariate_normal, multivariate_t
from sklearn.metrics import adjusted_rand_score

from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding import mixture as mx
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


def parameters(k=3, d=4, seed=0, nu=5.0):
    rng = np.random.default_rng(seed)
    centers = torch.from_numpy(rng.normal(size=(k, d)))
    first = initial_parameters(centers, torch.from_numpy(rng.normal(size=(50, d))))
    nus = torch.cat([torch.linspace(nu, 3 * nu, k, dtype=torch.float64), first.nu[-1:]])
    return first._replace(log_scale=torch.log(torch.linspace(0.1, 2.0, k + 1, dtype=torch.float64)), nu=nus)


def clouds(n=400, d=6, k=3, nu=6.0, scale=0.05, seed=0):
    """Return points (n, d) of k Student clusters, their labels and the centers."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(k, d))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    label = rng.integers(k, size=n)
    tail = np.sqrt(nu / rng.chisquare(nu, size=(n, 1)))
    return torch.from_numpy(centers[label] + scale * tail * rng.normal(size=(n, d))), label, torch.from_numpy(centers)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(1.0, 100.0), st.integers(0, 1000))
def test_log_density_equals_scipy(k, d, nu, seed):
    p = parameters(k, d, seed, nu)
    x = np.random.default_rng(seed + 1).normal(size=(7, d)) * 3
    ours = log_density(torch.from_numpy(x), p).numpy()
    for j in range(k + 1):
        shape = np.exp(float(p.log_scale[j])) * np.eye(d)
        theirs = multivariate_t(loc=p.mean[j].numpy(), shape=shape, df=float(p.nu[j])).logpdf(x)
        np.testing.assert_allclose(ours[:, j], theirs, rtol=1e-9, atol=1e-9)


def test_responsibilities_of_distant_points_sum_to_one():
    x = torch.full((3, 4), 1e6, dtype=torch.float64)
    log_resp, evidence = e_step(x, parameters())
    np.testing.assert_allclose(log_resp.exp().sum(1), 1.0, atol=1e-12)
    assert torch.isfinite(evidence).all()


def test_null_probability_moves_points_between_background_and_modules():
    x, _, _ = clouds()
    p = parameters(3, 6)
    surely_null = e_step(x, p, torch.full((len(x),), 0.999, dtype=torch.float64))[0][:, -1]
    surely_not = e_step(x, p, torch.full((len(x),), 1e-9, dtype=torch.float64))[0][:, -1]
    undecided = e_step(x, p, torch.full((len(x),), 0.5, dtype=torch.float64))[0]
    assert (surely_null > surely_not).all()
    np.testing.assert_allclose(undecided, e_step(x, p)[0], atol=1e-12)


@pytest.mark.parametrize("scale", ["tied", "spherical"])
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_decreases(scale, seed):
    x, _, _ = clouds(seed=seed)
    null = torch.from_numpy(np.random.default_rng(seed).uniform(0.01, 0.99, len(x)))
    rng = np.random.default_rng(seed)
    first = initial_parameters(x[torch.from_numpy(rng.choice(len(x), 4, replace=False))], x, background=0.2)
    fitted = mx.StudentMixture(covariance_type=scale, tolerance=0.0, iterations=60).fit(x, first, null)
    assert not fitted.reseeded_
    rise = np.diff(fitted.objective_)
    assert rise.min() > -1e-8 * abs(fitted.objective_[-1])
    assert fitted.objective_[-1] > fitted.objective_[0]


@pytest.mark.parametrize("tied", [False, True], ids=["spherical", "tied"])
def test_m_step_is_the_mode_of_the_expected_posterior(tied):
    """No small change of a parameter raises the expected complete-data log posterior."""
    x, _, centers = clouds()
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
        # As steep on the one side as on the other: the top is here, and not merely near.
        one_side, other = (expected(best._replace(**{name: getattr(best, name) + h})) for h in (1e-3, -1e-3))
        assert abs(one_side - other) < 0.05 * (2 * top - one_side - other)
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
    x, _, centers = clouds()
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
    """Differences between parameters: the constant of the prior is left out."""
    prior = Prior(concentration=2.5, mean_strength=0.3, scale_shape=3.0, scale_rate=0.2)

    def theirs(p):
        weight, square, mean = p.log_weight[:-1].exp(), p.log_scale[:-1].exp(), p.mean[:-1].numpy()
        # Dirichlet without its constant: the background's share is given, the others' sum with it.
        total = (prior.concentration - 1) * float(torch.log(weight).sum())
        for j in range(1 if tied else len(square)):
            total += invgamma(prior.scale_shape, scale=prior.scale_rate).logpdf(float(square[j]))
        for j in range(len(square)):
            total += multivariate_normal(cov=float(square[j]) / prior.mean_strength * np.eye(4)).logpdf(mean[j])
        return total

    first, second = parameters(seed=0), parameters(seed=1)
    second = second._replace(
        log_scale=second.log_scale + 0.7,
        log_weight=torch.log(torch.tensor([0.5, 0.2, 0.25, 0.05], dtype=torch.float64)),
    )
    if tied:
        first, second = (p._replace(log_scale=p.log_scale[:1].expand(4)) for p in (first, second))
    ours = [float(log_prior(p, prior, tied=tied)) for p in (first, second)]
    assert ours[1] - ours[0] == pytest.approx(theirs(second) - theirs(first), rel=1e-10)


def test_statistics_are_weighted_sums():
    x, _, _ = clouds(n=50, d=4)
    p = parameters()
    resp = e_step(x, p)[0].exp().numpy()
    found = statistics(x, p, e_step(x, p)[0])
    points, nu = x.numpy(), p.nu.numpy()
    distance = np.square(points[:, None] - p.mean.numpy()).sum(-1) / p.log_scale.exp().numpy()
    np.testing.assert_allclose(squared_distance(x, p), distance, rtol=1e-9, atol=1e-9)
    u = (nu + 4) / (nu + distance)
    np.testing.assert_allclose(found.total, resp.sum(0))
    np.testing.assert_allclose(found.weight, (resp * u).sum(0))
    np.testing.assert_allclose(found.first, np.einsum("nk,nd->kd", resp * u, points))
    np.testing.assert_allclose(found.second, np.einsum("nk,n->k", resp * u, np.square(points).sum(1)))
    np.testing.assert_allclose(found.tail, (resp * (np.log(u) - u)).sum(0))


def test_squared_distances_are_not_negative():
    p = parameters()
    assert (squared_distance(p.mean, p).diagonal() >= 0).all()
    assert (squared_distance(p.mean * 1e8, p._replace(mean=p.mean * 1e8)) >= 0).all()


def test_initial_parameters():
    x, _, centers = clouds(n=200)
    p = initial_parameters(centers, x, background=0.2)
    np.testing.assert_allclose(p.log_weight.exp(), [0.8 / 3] * 3 + [0.2])
    np.testing.assert_array_equal(p.mean, np.vstack([centers, np.zeros((1, 6))]))
    nearest = np.square(x.numpy()[:, None] - centers.numpy()).sum(-1).min(axis=1)
    middle = np.sort(nearest)[(len(nearest) - 1) // 2]  # torch's median is the lower of the two in the middle
    np.testing.assert_allclose(p.log_scale.exp(), [middle / 6] * 3 + [1 / 6])
    assert p.nu.tolist() == [30.0, 30.0, 30.0, BACKGROUND_NU]
    assert float(initial_parameters(centers, x).log_weight[-1].exp()) == pytest.approx(0.05)
    assert float(initial_parameters(centers, centers).log_scale[0].exp()) == pytest.approx(1e-6 / 6)  # never zero


def test_default_settings_of_a_mixture():
    plain = mx.StudentMixture()
    assert (plain.covariance_type, plain.nu_range, plain.iterations, plain.tolerance) == (
        "tied",
        (3.0, 200.0),
        200,
        1e-6,
    )
    assert plain.prior == Prior() == Prior(2.0, 0.01, 2.0, 0.01)
    other = mx.StudentMixture(
        covariance_type="spherical", prior=Prior(3.0), nu_range=(1, 2), iterations=3, tolerance=0.1
    )
    assert (other.covariance_type, other.prior, other.nu_range) == ("spherical", Prior(3.0), (1, 2))
    assert (other.iterations, other.tolerance) == (3, 0.1)


def test_em_stops_at_the_tolerance_and_resumes():
    x, _, centers = clouds()
    first = initial_parameters(centers + 0.2, x)
    long = mx.StudentMixture(tolerance=0.0, iterations=40).fit(x, first)
    assert len(long.objective_) == 40
    gain = np.diff(long.objective_) / len(x)
    some = float(gain[10])
    short = mx.StudentMixture(tolerance=some * 1.001, iterations=40).fit(x, first)
    assert len(short.objective_) == 2 + int(np.flatnonzero(gain < some * 1.001)[0])
    assert mx.StudentMixture(tolerance=1e9, iterations=40).fit(x, first).objective_ == long.objective_[:2]
    parts = mx.StudentMixture(tolerance=0.0, iterations=40).fit(x, first, iterations=15)
    assert len(parts.objective_) == 15
    parts.resume(x, None, 40)
    np.testing.assert_allclose(parts.objective_, long.objective_, rtol=1e-12)
    for ours, theirs in zip(parts.parameters_, long.parameters_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert not mx.StudentMixture(iterations=0).fit(x, first).objective_


def test_the_objective_is_likelihood_plus_prior():
    x, _, centers = clouds()
    null = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 0.99, len(x)))
    for scale, tied in (("tied", True), ("spherical", False)):
        fitted = mx.StudentMixture(covariance_type=scale, iterations=3).fit(x, initial_parameters(centers, x), null)
        p = fitted.parameters_
        want = e_step(x, p, null)[1].sum() + log_prior(p, fitted.prior, tied=tied)
        assert fitted.objective_[-1] == pytest.approx(float(want), rel=1e-12)
        np.testing.assert_array_equal(fitted.log_resp(x, null), e_step(x, p, null)[0])
        np.testing.assert_array_equal(fitted.log_resp(x), e_step(x, p)[0])


def test_the_first_iteration_uses_the_null_probabilities():
    x, _, centers = clouds()
    null = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 0.99, len(x)))
    first, prior = initial_parameters(centers, x, background=0.3), Prior()
    once = mx.StudentMixture(iterations=1).fit(x, first, null).parameters_
    expected = statistics(x, first, e_step(x, first, null)[0])
    for ours, want in zip(once, m_step(expected, first, prior, tied=True, nu_range=(3.0, 200.0)), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-12)


@pytest.mark.parametrize("nu", [3.0, 8.0, 30.0])
def test_nu_is_recovered(nu):
    x, _, centers = clouds(n=8000, d=8, nu=nu, scale=0.03)
    fitted = mx.StudentMixture(nu_range=(1.0, 200.0)).fit(x, initial_parameters(centers, x))
    assert abs(math.log(float(fitted.parameters_.nu[0]) / nu)) < 0.25


def test_solve_nu_respects_its_bounds():
    assert solve_nu(-50.0, 5.0, 10, (2.0, 100.0)) == 2.0
    assert solve_nu(-0.5, 5.0, 10, (2.0, 100.0)) == 100.0


@pytest.mark.parametrize(("tail", "old", "d"), [(-1.05, 5.0, 10), (-1.2, 30.0, 3), (-1.02, 12.0, 48)])
def test_solve_nu_maximizes_the_expected_likelihood(tail, old, d):
    """Peel & McLachlan 2000, section 5: the part of the expected log likelihood that nu enters."""
    mean_log_u = tail + digamma((old + d) / 2) - np.log((old + d) / 2)  # that of log u - u, corrected

    def expected(nu):
        return nu / 2 * np.log(nu / 2) - gammaln(nu / 2) + nu / 2 * mean_log_u

    best = minimize_scalar(lambda nu: -expected(nu), bounds=(0.5, 1e4), method="bounded", options={"xatol": 1e-8}).x
    assert 0.6 < best < 5000
    assert solve_nu(tail, old, d, (0.5, 1e4)) == pytest.approx(best, rel=1e-4)
    assert solve_nu(tail, old, d, (best * 2, 1e4)) == best * 2
    assert solve_nu(tail, old, d, (0.1, best / 2)) == best / 2


def test_planted_clusters_are_recovered_beside_a_background():
    x, label, _ = clouds(n=600, d=10, k=4, scale=0.08)
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(600, 10)))
    x = torch.cat([x, noise])
    x = x / x.norm(dim=1, keepdim=True)
    first = initial_parameters(x[[int(np.flatnonzero(label == j)[0]) for j in range(4)]], x, background=0.5)
    found = mx.StudentMixture().fit(x, first).log_resp(x).argmax(1).numpy()
    assert adjusted_rand_score(label, found[:600]) > 0.95
    assert (found[600:] == 4).mean() > 0.9


def test_an_empty_component_is_reseeded_and_logged(caplog):
    x, label, centers = clouds(n=300, d=5, k=3, scale=0.02)
    far = centers.clone()
    far[2] = 1e3  # nothing lies there
    caplog.set_level(logging.INFO, logger="spacex")
    fitted = mx.StudentMixture(prior=Prior(concentration=1.0)).fit(x, initial_parameters(far, x, background=0.02))
    assert fitted.reseeded_
    assert "re-seeded" in caplog.text
    assert adjusted_rand_score(label, fitted.log_resp(x).argmax(1)) > 0.95


def test_empty_components_move_to_the_least_likely_points(caplog):
    caplog.set_level(logging.INFO, logger="spacex")
    mixture = mx.StudentMixture()
    mixture.reseeded_ = []
    p = parameters(4, 3)._replace(log_weight=torch.log(torch.tensor([0.1, 0.4, 0.2, 0.1, 0.2], dtype=torch.float64)))
    empty = torch.tensor([True, False, False, True])
    worst = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    moved = mixture._reseed(worst, p, empty, 7)
    assert caplog.messages == ["mixture: 2 empty component(s) re-seeded at iteration 7"]
    assert mixture.reseeded_ == [7]
    np.testing.assert_array_equal(moved.mean[[0, 3]], worst)
    np.testing.assert_array_equal(moved.mean[[1, 2, 4]], p.mean[[1, 2, 4]])
    # They get the weight of the largest module; the background's stays, and all sum to one.
    np.testing.assert_allclose(moved.log_weight.exp(), [*(0.8 * np.array([0.4, 0.4, 0.2, 0.4]) / 1.4), 0.2])
    for name in ("log_scale", "nu"):
        assert getattr(moved, name) is getattr(p, name)
    fewer = mixture._reseed(worst[:1], p, empty, 8)
    np.testing.assert_array_equal(fewer.mean[0], worst[0])
    np.testing.assert_array_equal(fewer.mean[1:], p.mean[1:])
    assert mixture.reseeded_ == [7, 8]


def test_components_are_reseeded_twice_at_most():
    x, _, centers = clouds(n=60, d=3, k=2, scale=0.01)
    far = torch.cat([centers, torch.full((30, 3), 1e3, dtype=torch.float64)])
    fitted = mx.StudentMixture(prior=Prior(concentration=1.0), iterations=20, tolerance=0.0).fit(
        x, initial_parameters(far, x)
    )
    assert len(fitted.reseeded_) == 2
    assert fitted.reseeded_[0] == 0
    assert len(fitted.objective_) == 20


def test_least_likely_points():
    x = torch.arange(10, dtype=torch.float64).reshape(5, 2)
    evidence = torch.tensor([3.0, -1.0, 7.0, -5.0, 0.0], dtype=torch.float64)
    np.testing.assert_array_equal(mx._least_likely_points(x, evidence, 3, SINGLE_PROCESS), x[[3, 1, 4]])
    np.testing.assert_array_equal(mx._least_likely_points(x, evidence, 9, SINGLE_PROCESS), x[[3, 1, 4, 0, 2]])

    class Two(ProcessGroup):
        """The second process has the point (9, 9), with the second lowest log likelihood."""

        size = 2

        def all_gather(self, part):
            return np.concatenate([part, [[9.0, 9.0]] if part.ndim == 2 else [-2.0]])

    np.testing.assert_array_equal(mx._least_likely_points(x, evidence, 2, Two()), [[6.0, 7.0], [9.0, 9.0]])


def test_all_reduce_keeps_shapes():
    parts = (torch.ones(2, 3, dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64), torch.arange(3.0).double())
    assert all(
        ours is theirs for ours, theirs in zip(mx.all_reduce_tensors(SINGLE_PROCESS, *parts), parts, strict=True)
    )

    class Double(ProcessGroup):
        size = 2

        def all_reduce(self, part):
            assert part.shape == (10,)
            return 2 * part

    for ours, theirs in zip(mx.all_reduce_tensors(Double(), *parts), parts, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, 2 * theirs)


def test_the_background_is_not_fitted():
    x, _, centers = clouds()
    fitted = mx.StudentMixture().fit(x, initial_parameters(centers, x, background=0.3)).parameters_
    assert float(fitted.log_weight[-1].exp()) == pytest.approx(0.3)
    assert not fitted.mean[-1].any()
    assert float(fitted.log_scale[-1].exp()) == pytest.approx(1 / x.shape[1])
    assert float(fitted.log_weight.exp().sum()) == pytest.approx(1.0)
