"""EM never decreases its objective, recovers planted clusters and re-seeds empty components."""

import logging
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from tests.embedding.clusters import clusters, random_parameters

from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding import mixture as mx
from spacex.embedding.student_t import (
    Prior,
    e_step,
    initial_parameters,
    log_prior,
    m_step,
    statistics,
)


@pytest.mark.parametrize("scale", ["tied", "spherical"])
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_decreases(scale, seed):
    x, _, _ = clusters(seed=seed)
    null = torch.from_numpy(np.random.default_rng(seed).uniform(0.01, 0.99, len(x)))
    rng = np.random.default_rng(seed)
    first = initial_parameters(x[torch.from_numpy(rng.choice(len(x), 4, replace=False))], x, background=0.2)
    fitted = mx.StudentMixture(covariance_type=scale, tolerance=0.0, iterations=60).fit(x, first, null)
    assert not fitted.reseeded_
    rise = np.diff(fitted.objective_)
    assert rise.min() > -1e-8 * abs(fitted.objective_[-1])
    assert fitted.objective_[-1] > fitted.objective_[0]


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
    x, _, centers = clusters()
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
    x, _, centers = clusters()
    null = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 0.99, len(x)))
    for scale, tied in (("tied", True), ("spherical", False)):
        fitted = mx.StudentMixture(covariance_type=scale, iterations=3).fit(x, initial_parameters(centers, x), null)
        p = fitted.parameters_
        expected = e_step(x, p, null)[1].sum() + log_prior(p, fitted.prior, tied=tied)
        assert fitted.objective_[-1] == pytest.approx(float(expected), rel=1e-12)
        np.testing.assert_array_equal(fitted.log_resp(x, null), e_step(x, p, null)[0])
        np.testing.assert_array_equal(fitted.log_resp(x), e_step(x, p)[0])


def test_the_first_iteration_uses_the_null_probabilities():
    x, _, centers = clusters()
    null = torch.from_numpy(np.random.default_rng(0).uniform(0.01, 0.99, len(x)))
    first, prior = initial_parameters(centers, x, background=0.3), Prior()
    once = mx.StudentMixture(iterations=1).fit(x, first, null).parameters_
    sums = statistics(x, first, e_step(x, first, null)[0])
    for ours, theirs in zip(once, m_step(sums, first, prior, tied=True, nu_range=(3.0, 200.0)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("nu", [3.0, 8.0, 30.0])
def test_nu_is_recovered(nu):
    x, _, centers = clusters(n=8000, d=8, nu=nu, scale=0.03)
    fitted = mx.StudentMixture(nu_range=(1.0, 200.0)).fit(x, initial_parameters(centers, x))
    assert abs(math.log(float(fitted.parameters_.nu[0]) / nu)) < 0.25


def test_planted_clusters_are_recovered_beside_a_background():
    x, label, _ = clusters(n=600, d=10, k=4, scale=0.08)
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(600, 10)))
    x = torch.cat([x, noise])
    x = x / x.norm(dim=1, keepdim=True)
    first = initial_parameters(x[[int(np.flatnonzero(label == j)[0]) for j in range(4)]], x, background=0.5)
    labels = mx.StudentMixture().fit(x, first).log_resp(x).argmax(1).numpy()
    assert adjusted_rand_score(label, labels[:600]) > 0.95
    assert (labels[600:] == 4).mean() > 0.9


def test_an_empty_component_is_reseeded_and_logged(caplog):
    x, label, centers = clusters(n=300, d=5, k=3, scale=0.02)
    far = centers.clone()
    far[2] = 1e3  # far from all points
    caplog.set_level(logging.INFO, logger="spacex")
    fitted = mx.StudentMixture(prior=Prior(concentration=1.0)).fit(x, initial_parameters(far, x, background=0.02))
    assert fitted.reseeded_
    assert "re-seeded" in caplog.text
    assert adjusted_rand_score(label, fitted.log_resp(x).argmax(1)) > 0.95


def test_empty_components_move_to_the_least_likely_points(caplog):
    caplog.set_level(logging.INFO, logger="spacex")
    mixture = mx.StudentMixture()
    mixture.reseeded_ = []
    p = random_parameters(4, 3)._replace(
        log_weight=torch.log(torch.tensor([0.1, 0.4, 0.2, 0.1, 0.2], dtype=torch.float64))
    )
    empty = torch.tensor([True, False, False, True])
    worst = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    moved = mixture._reseed(worst, p, empty, 7)
    assert caplog.messages == ["mixture: 2 empty component(s) re-seeded at iteration 7"]
    assert mixture.reseeded_ == [7]
    np.testing.assert_array_equal(moved.mean[[0, 3]], worst)
    np.testing.assert_array_equal(moved.mean[[1, 2, 4]], p.mean[[1, 2, 4]])
    # They get the weight of the largest module. The weight of the background is unchanged, and all sum to one.
    np.testing.assert_allclose(moved.log_weight.exp(), [*(0.8 * np.array([0.4, 0.4, 0.2, 0.4]) / 1.4), 0.2])
    for name in ("log_scale", "nu"):
        assert getattr(moved, name) is getattr(p, name)
    fewer = mixture._reseed(worst[:1], p, empty, 8)
    np.testing.assert_array_equal(fewer.mean[0], worst[0])
    np.testing.assert_array_equal(fewer.mean[1:], p.mean[1:])
    assert mixture.reseeded_ == [7, 8]


def test_components_are_reseeded_twice_at_most():
    x, _, centers = clusters(n=60, d=3, k=2, scale=0.01)
    far = torch.cat([centers, torch.full((30, 3), 1e3, dtype=torch.float64)])
    fitted = mx.StudentMixture(prior=Prior(concentration=1.0), iterations=20, tolerance=0.0).fit(
        x, initial_parameters(far, x)
    )
    assert len(fitted.reseeded_) == 2
    assert fitted.reseeded_[0] == 0
    assert len(fitted.objective_) == 20


def test_least_likely_points():
    x = torch.arange(10, dtype=torch.float64).reshape(5, 2)
    log_likelihood = torch.tensor([3.0, -1.0, 7.0, -5.0, 0.0], dtype=torch.float64)
    np.testing.assert_array_equal(mx._least_likely_points(x, log_likelihood, 3, SINGLE_PROCESS), x[[3, 1, 4]])
    np.testing.assert_array_equal(mx._least_likely_points(x, log_likelihood, 9, SINGLE_PROCESS), x[[3, 1, 4, 0, 2]])

    class Two(ProcessGroup):
        """The second process has the point (9, 9), with the second lowest log likelihood."""

        size = 2

        def all_gather(self, part):
            return np.concatenate([part, [[9.0, 9.0]] if part.ndim == 2 else [-2.0]])

    np.testing.assert_array_equal(mx._least_likely_points(x, log_likelihood, 2, Two()), [[6.0, 7.0], [9.0, 9.0]])


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
    x, _, centers = clusters()
    fitted = mx.StudentMixture().fit(x, initial_parameters(centers, x, background=0.3)).parameters_
    assert float(fitted.log_weight[-1].exp()) == pytest.approx(0.3)
    assert not fitted.mean[-1].any()
    assert float(fitted.log_scale[-1].exp()) == pytest.approx(1 / x.shape[1])
    assert float(fitted.log_weight.exp().sum()) == pytest.approx(1.0)
