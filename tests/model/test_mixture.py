"""The mixture's formulas equal scipy's, its objective never falls, and it recovers what was planted."""

import logging
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t
from sklearn.metrics import adjusted_rand_score

from spacex.model import mixture as mx


def parameters(k=3, d=4, seed=0, nu=5.0):
    rng = np.random.default_rng(seed)
    centres = torch.from_numpy(rng.normal(size=(k, d)))
    first = mx.start(centres, torch.from_numpy(rng.normal(size=(50, d))))
    nus = torch.cat([torch.linspace(nu, 3 * nu, k, dtype=torch.float64), first.nu[-1:]])
    return first._replace(log_scale=torch.log(torch.linspace(0.1, 2.0, k + 1, dtype=torch.float64)), nu=nus)


def clouds(n=400, d=6, k=3, nu=6.0, scale=0.05, seed=0):
    """Points (n, d) of k Student clouds, and the cloud of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    label = rng.integers(k, size=n)
    tail = np.sqrt(nu / rng.chisquare(nu, size=(n, 1)))
    return torch.from_numpy(centres[label] + scale * tail * rng.normal(size=(n, d))), label, torch.from_numpy(centres)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(1.0, 100.0), st.integers(0, 1000))
def test_log_density_is_that_of_scipy(k, d, nu, seed):
    p = parameters(k, d, seed, nu)
    x = np.random.default_rng(seed + 1).normal(size=(7, d)) * 3
    ours = mx.log_density(torch.from_numpy(x), p).numpy()
    for j in range(k + 1):
        shape = np.exp(float(p.log_scale[j])) * np.eye(d)
        theirs = multivariate_t(loc=p.mean[j].numpy(), shape=shape, df=float(p.nu[j])).logpdf(x)
        np.testing.assert_allclose(ours[:, j], theirs, rtol=1e-9, atol=1e-9)


def test_responsibilities_sum_to_one_far_from_everything():
    x = torch.full((3, 4), 1e6, dtype=torch.float64)
    log_resp, evidence = mx.e_step(x, parameters())
    np.testing.assert_allclose(log_resp.exp().sum(1), 1.0, atol=1e-12)
    assert torch.isfinite(evidence).all()


def test_the_strength_moves_a_point_between_background_and_modules():
    x, _, _ = clouds()
    p = parameters(3, 6)
    surely_null = mx.e_step(x, p, torch.full((len(x),), 0.999, dtype=torch.float64))[0][:, -1]
    surely_not = mx.e_step(x, p, torch.full((len(x),), 1e-9, dtype=torch.float64))[0][:, -1]
    undecided = mx.e_step(x, p, torch.full((len(x),), 0.5, dtype=torch.float64))[0]
    assert (surely_null > surely_not).all()
    np.testing.assert_allclose(undecided, mx.e_step(x, p)[0], atol=1e-12)


@pytest.mark.parametrize("scale", ["tied", "spherical"])
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_falls(scale, seed):
    x, _, _ = clouds(seed=seed)
    null = torch.from_numpy(np.random.default_rng(seed).uniform(0.01, 0.99, len(x)))
    rng = np.random.default_rng(seed)
    first = mx.start(x[torch.from_numpy(rng.choice(len(x), 4, replace=False))], x, background=0.2)
    fitted = mx.StudentMixture(scale=scale, tolerance=0.0, iterations=60).fit(x, first, null)
    assert not fitted.reseeded_
    rise = np.diff(fitted.objective_)
    assert rise.min() > -1e-8 * abs(fitted.objective_[-1])
    assert fitted.objective_[-1] > fitted.objective_[0]


def test_the_m_step_is_the_mode_of_the_expected_posterior():
    """No small change of a parameter raises the expected complete-data log posterior."""
    x, _, centres = clouds()
    p, prior = mx.start(centres + 0.1, x), mx.Prior()
    log_resp, _ = mx.e_step(x, p)
    resp, u = log_resp.exp(), (p.nu + x.shape[1]) / (p.nu + mx.squared_distance(x, p))

    def expected(q):
        d = x.shape[1]
        gauss = -0.5 * d * q.log_scale - 0.5 * u * mx.squared_distance(x, q)
        tail = 0.5 * q.nu * (torch.log(q.nu / 2) + torch.log(u) - u) - torch.lgamma(q.nu / 2)
        # The expectation of log u adds psi - log of (nu_old + d) / 2, a constant factor of nu.
        shift = torch.digamma((p.nu + d) / 2) - torch.log((p.nu + d) / 2)
        parts = resp * (q.log_weight + gauss + tail + 0.5 * q.nu * shift)
        return float(parts[:, :-1].sum() + mx.log_prior(q, prior, tied=False))

    best = mx.m_step(mx.statistics(x, p, log_resp), p, prior, tied=False, nu_range=(1.0, 200.0))
    top = expected(best)
    for step in (1e-3, -1e-3):
        assert expected(best._replace(mean=best.mean + step)) < top
        assert expected(best._replace(log_scale=best.log_scale + step)) < top
        assert expected(best._replace(nu=best.nu * (1 + step))) <= top + 1e-9
        tilt = torch.zeros_like(best.log_weight)
        tilt[0] = step
        tilted = torch.cat([mx.module_log_weight((best.log_weight + tilt)[:-1], best), best.log_weight[-1:]])
        assert expected(best._replace(log_weight=tilted)) < top


@pytest.mark.parametrize("nu", [3.0, 8.0, 30.0])
def test_nu_is_recovered(nu):
    x, _, centres = clouds(n=8000, d=8, nu=nu, scale=0.03)
    fitted = mx.StudentMixture(nu_range=(1.0, 200.0)).fit(x, mx.start(centres, x))
    assert abs(math.log(float(fitted.parameters_.nu[0]) / nu)) < 0.25


def test_solve_nu_keeps_to_its_bounds():
    assert mx.solve_nu(-50.0, 5.0, 10, (2.0, 100.0)) == 2.0
    assert mx.solve_nu(-0.5, 5.0, 10, (2.0, 100.0)) == 100.0


def test_planted_clouds_are_recovered_beside_a_background():
    x, label, _ = clouds(n=600, d=10, k=4, scale=0.08)
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(600, 10)))
    x = torch.cat([x, noise])
    x = x / x.norm(dim=1, keepdim=True)
    first = mx.start(x[[int(np.flatnonzero(label == j)[0]) for j in range(4)]], x, background=0.5)
    found = mx.StudentMixture().fit(x, first).log_resp(x).argmax(1).numpy()
    assert adjusted_rand_score(label, found[:600]) > 0.95
    assert (found[600:] == 4).mean() > 0.9


def test_an_empty_component_is_placed_anew_and_logged(caplog):
    x, label, centres = clouds(n=300, d=5, k=3, scale=0.02)
    far = centres.clone()
    far[2] = 1e3  # nothing lies there
    caplog.set_level(logging.INFO, logger="spacex")
    fitted = mx.StudentMixture(prior=mx.Prior(concentration=1.0)).fit(x, mx.start(far, x, background=0.02))
    assert fitted.reseeded_
    assert "placed anew" in caplog.text
    assert adjusted_rand_score(label, fitted.log_resp(x).argmax(1)) > 0.95


def test_the_background_is_kept_as_given():
    x, _, centres = clouds()
    fitted = mx.StudentMixture().fit(x, mx.start(centres, x, background=0.3)).parameters_
    assert float(fitted.log_weight[-1].exp()) == pytest.approx(0.3)
    assert not fitted.mean[-1].any()
    assert float(fitted.log_scale[-1].exp()) == pytest.approx(1 / x.shape[1])
    assert float(fitted.log_weight.exp().sum()) == pytest.approx(1.0)
