"""EM raises the likelihood and recovers planted modules; null genes give the background and the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t
from sklearn.metrics import adjusted_rand_score
from tests.embedding.clusters import calibration_error, draw_points, random_parameters, separated_parameters

from spacex import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding import mixture as mx
from spacex.embedding.expectation import Points, expectation, log_likelihood, posterior
from spacex.embedding.modules import assign
from spacex.embedding.student_t import AMPLITUDES, MIN_CHANCE_AMPLITUDE, Parameters, initial_parameters


def perturbed(p: Parameters, points: Points, seed: int = 0, noise: float = 0.2) -> Parameters:
    """Return initial parameters with means near those of `p`."""
    rng = np.random.default_rng(seed)
    centers = p.mean + noise / np.sqrt(p.mean.shape[1]) * torch.from_numpy(rng.normal(size=p.mean.shape))
    return initial_parameters(centers, p.signal, mx.noise_nu(points, len(p.nu)))


def test_settings_of_a_mixture() -> None:
    config = Config(concentration=3.0, mean_precision=1.5, em_iterations=7, em_tolerance=0.1)
    assert vars(mx.StudentMixture.from_config(config)) == {
        "concentration": 3.0, "mean_precision": 1.5, "iterations": 7, "tolerance": 0.1,
    }  # fmt: skip
    assert vars(mx.StudentMixture.from_config(Config())) == vars(mx.StudentMixture())


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_increases_over_the_course_of_em(seed: int) -> None:
    """The weight of the background is not a maximum of the likelihood, so that small decreases are possible."""
    p = separated_parameters()
    points, _ = draw_points(p, 800, 200, seed)
    first = perturbed(p, points, seed, noise=0.5)
    fitted = mx.StudentMixture(tolerance=-1.0, iterations=20).fit(points, first)
    objective = np.array(fitted.objective_)
    assert len(objective) == 20
    assert objective[-1] > objective[0] + 1.0
    assert np.diff(objective).min() > -0.01
    mean = [float(log_likelihood(points, q).mean()) for q in (first, fitted.parameters_)]
    assert objective[0] == pytest.approx(mean[0], rel=1e-12)
    assert mean[1] == pytest.approx(objective[-1], abs=0.01)


def test_em_stops_at_the_tolerance() -> None:
    p = separated_parameters()
    points, _ = draw_points(p, 400, 100)
    first = perturbed(p, points)
    long = mx.StudentMixture(tolerance=-1.0, iterations=15).fit(points, first)
    some = mx.StudentMixture(tolerance=1e9, iterations=15).fit(points, first)
    assert some.objective_ == long.objective_[: mx.SPREAD_INTERVAL + 2]  # not before the first update of the spread
    assert len(mx.StudentMixture(tolerance=-1.0, iterations=2).fit(points, first).objective_) == 2


@pytest.mark.parametrize("seed", range(4))
def test_planted_modules_are_recovered_and_null_genes_stay_in_the_background(seed: int) -> None:
    p = separated_parameters(background=0.4)
    points, module = draw_points(p, 2400, 800, seed)
    fitted = mx.StudentMixture().fit(points, perturbed(p, points, seed)).parameters_
    labels, probability = assign(posterior(points, fitted), 0.5)
    is_null, planted = points.is_null.numpy(), module >= 0
    assert adjusted_rand_score(module[planted], labels[planted]) > 0.95
    assert np.mean(labels[is_null] >= 0) <= 0.05
    assert np.mean(labels[planted] < 0) <= 0.1
    assert calibration_error(probability[~is_null], (labels == module)[~is_null]) <= 0.05
    np.testing.assert_allclose(fitted.background, 0.4, atol=0.08)
    cosine = torch.nn.functional.cosine_similarity(fitted.mean, p.mean, dim=1)
    assert float(cosine.min()) > 0.98


def test_calibration_of_weak_modules() -> None:
    """Fitted probabilities of genes whose module is uncertain are calibrated."""
    p = separated_parameters(k=5, d=20, background=0.5, min_amplitude=3.0)
    points, module = draw_points(p, 3000, 750, 1)
    fitted = mx.StudentMixture().fit(points, perturbed(p, points)).parameters_
    genes = ~points.is_null.numpy()
    labels, probability = assign(posterior(points, fitted), 0.5)
    assert np.mean(probability[genes] < 0.95) > 0.1
    assert calibration_error(probability[genes], (labels == module)[genes]) <= 0.05


def test_frequency_of_null_genes_that_resemble_a_module_is_recovered() -> None:
    p = separated_parameters(n_levels=1)._replace(chance=torch.tensor([0.2], dtype=torch.float64))
    points, _ = draw_points(p, 1000, 1000)
    fitted = mx.StudentMixture().fit(points, perturbed(p, points)).parameters_
    assert float(fitted.chance) == pytest.approx(0.2, abs=0.05)
    assert float(fitted.chance_amplitude[AMPLITUDES < MIN_CHANCE_AMPLITUDE].sum()) < 1e-6
    for weights in (fitted.chance_module, fitted.chance_amplitude, fitted.log_amplitude.exp(), fitted.log_weight.exp()):
        np.testing.assert_allclose(weights.sum(-1), 1.0)


def test_maximization_equals_the_formulas() -> None:
    p = random_parameters(3, 5)
    points, _ = draw_points(p, 300, 100)
    statistics, score = expectation(points, p)
    fitted = mx.StudentMixture(concentration=2.5, mean_precision=4.0, iterations=1).fit(points, p).parameters_
    precision = statistics.precision + 4.0 / p.signal
    np.testing.assert_allclose(fitted.mean, statistics.first / precision)
    np.testing.assert_allclose(fitted.mean_variance, 1 / precision)
    weight = statistics.weight + 1.5
    np.testing.assert_allclose(fitted.log_weight.exp(), weight / weight.sum())
    n_null = np.bincount(points.level[points.is_null], minlength=2)
    np.testing.assert_allclose(fitted.chance, (statistics.chance.numpy() + 0.2) / (n_null + 20.0))
    share = mx.background_weight(score.numpy(), points.level.numpy(), points.is_null.numpy(), 2)
    np.testing.assert_allclose(fitted.background, share)
    for name in ("nu", "signal", "spread"):
        assert getattr(fitted, name) is getattr(p, name)


def test_mean_of_a_module_without_genes_is_that_of_its_prior() -> None:
    """The mean becomes zero with the variance of its prior, and the module attracts no gene."""
    p = separated_parameters(k=3)
    points, module = draw_points(p, 300, 100)
    initial = perturbed(p, points, noise=0.05)
    kept = points.take(np.flatnonzero(module != 2))
    fitted = mx.StudentMixture(iterations=10).fit(kept, initial).parameters_
    assert float(fitted.log_weight[2].exp()) < 0.05
    assert np.mean(assign(posterior(kept, fitted), 0.5).labels == 2) < 0.02


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 0.95), st.integers(0, 1000))
def test_background_weight_recovers_the_planted_share(share: float, seed: int) -> None:
    """Scores of genes with a pattern exceed the median of those without one."""
    rng = np.random.default_rng(seed)
    n, n_null = 3000, 1000
    has_pattern = np.arange(n) >= round(share * n)
    real = rng.normal(size=n) + 8.0 * has_pattern
    score = np.concatenate([real, rng.normal(size=n_null)])
    level, is_null = rng.integers(3, size=n + n_null), np.arange(n + n_null) >= n
    np.testing.assert_allclose(mx.background_weight(score, level, is_null, 3), share, atol=0.2)
    whole = mx.background_weight(score, level * 0, is_null, 1)
    assert whole == pytest.approx(share, abs=0.12)


def test_background_weight_of_levels() -> None:
    """Shares differ between levels; a level with few null genes gets the share of all; the result is bounded."""
    rng = np.random.default_rng(0)
    level = np.repeat([0, 0, 1, 1, 2], 500)
    is_null = np.concatenate([np.ones(500), np.zeros(500), np.ones(500), np.zeros(500), np.zeros(500)]).astype(bool)
    score = rng.normal(size=2500)
    score[500:600] += 10.0  # a fifth of the genes of the first level
    score[1500:1900] += 10.0  # four fifths of those of the second
    weight = mx.background_weight(score, level, is_null, 4)
    below = np.sum(score[~is_null] < np.quantile(score[is_null], mx.NULL_QUANTILE)) / mx.NULL_QUANTILE
    overall = (below + mx.PRIOR_GENES / 2) / (np.sum(~is_null) + mx.PRIOR_GENES)
    own_weight = 500 / (500 + mx.SHRINKAGE)
    assert weight[0] == pytest.approx(own_weight * 0.8 + (1 - own_weight) * overall, abs=0.08)
    assert weight[1] == pytest.approx(own_weight * 0.2 + (1 - own_weight) * overall, abs=0.08)
    np.testing.assert_allclose(weight[2:], overall)
    assert mx.background_weight(np.where(is_null, 0.0, 9.0), level, is_null, 3).tolist() == [0.05] * 3
    assert mx.background_weight(np.where(is_null, 0.0, -9.0), level, is_null, 3).tolist() == [0.98] * 3
    assert mx.background_weight(score, level, is_null * False, 3).tolist() == [0.98] * 3


@pytest.mark.parametrize("nu", [5.0, 10.0, 40.0])
@pytest.mark.parametrize("d", [4, 40])
def test_degrees_of_freedom_are_recovered(nu: float, d: int) -> None:
    x = multivariate_t(np.zeros(d), np.eye(d), df=nu, seed=0).rvs(4000)
    assert abs(np.log(mx.fit_nu((x**2).sum(1), d) / nu)) < 0.25


def test_degrees_of_freedom_of_normal_noise_are_large() -> None:
    x = np.random.default_rng(0).normal(size=(3000, 30))
    assert mx.fit_nu((x**2).sum(1), 30) > 200
    assert mx.NU_RANGE[0] * 0.99 < mx.fit_nu(np.full(50, 1e8), 30) < mx.NU_RANGE[0] * 1.1


def test_noise_follows_from_the_null_genes_of_a_level() -> None:
    rng = np.random.default_rng(0)
    nu = np.array([5.0, 200.0])
    level = np.repeat([0, 1, 2], [1000, 1000, 5])
    tail = np.sqrt(nu[np.minimum(level, 1)] / rng.chisquare(nu[np.minimum(level, 1)]))[:, None]
    null = torch.from_numpy(tail * rng.normal(size=(2005, 20)))
    genes = torch.full((100, 20), 50.0, dtype=torch.float64)  # have no influence
    is_null = torch.arange(2105) < 2005
    points = Points(torch.cat([null, genes]), torch.from_numpy(np.append(level, np.zeros(100, dtype=int))), is_null)
    found = mx.noise_nu(points, 3).numpy()
    np.testing.assert_allclose(found[0], 5.0, rtol=0.2)
    assert found[1] > 50.0
    assert found[2] == pytest.approx(mx.fit_nu((null**2).sum(1).numpy(), 20), rel=1e-6)


@pytest.mark.parametrize("spread", [0.02, 0.5])
def test_planted_spread_is_recovered(spread: float) -> None:
    p = separated_parameters()._replace(spread=torch.tensor(spread, dtype=torch.float64))
    points, _ = draw_points(p, 1500, 200)
    fitted = mx.StudentMixture(iterations=25, tolerance=-1.0).fit(points, perturbed(p, points)).parameters_
    # The scale of means and amplitudes is arbitrary; the spread relative to the means is not.
    relative = float(fitted.spread) / float((fitted.mean**2).sum(1).mean())
    assert abs(np.log(relative / spread)) < np.log(2.0)


def test_best_spread_has_the_highest_likelihood() -> None:
    p = separated_parameters()
    points, _ = draw_points(p, 500)
    wide = p._replace(spread=p.spread * 2)
    best = mx.best_spread(points, wide, 500, SINGLE_PROCESS)
    total = [float(log_likelihood(points, p._replace(spread=p.spread * 2 * f)).sum()) for f in mx.SPREAD_STEPS]
    assert float(best.spread) == pytest.approx(2 * 0.02 * mx.SPREAD_STEPS[int(np.argmax(total))])
    narrow = p._replace(spread=p.spread * 0 + 1e-9)
    assert float(mx.best_spread(points, narrow, 500, SINGLE_PROCESS).spread) == mx.SPREAD_RANGE[0]


def test_all_reduce_keeps_shapes() -> None:
    parts = (torch.ones(2, 3, dtype=torch.float64), torch.tensor(4.0, dtype=torch.float64), torch.arange(3.0).double())
    alone = mx.all_reduce_tensors(SINGLE_PROCESS, *parts)
    assert all(ours is theirs for ours, theirs in zip(alone, parts, strict=True))

    class Double(ProcessGroup):
        size = 2

        def all_reduce(self, part: np.ndarray) -> np.ndarray:
            assert part.shape == (10,)
            return 2 * part

    for ours, theirs in zip(mx.all_reduce_tensors(Double(), *parts), parts, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, 2 * theirs)
