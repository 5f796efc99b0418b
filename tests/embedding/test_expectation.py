"""Expected statistics are sums over genes: in blocks of any size, and over processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from tests.distributed.test_process_group import run_threads
from tests.embedding.clusters import draw_points, random_parameters

from spacex.embedding import expectation as ex
from spacex.embedding.mixture import SPREAD_STEPS, StudentMixture, all_reduce_tensors, best_spread
from spacex.embedding.student_t import AMPLITUDES, log_joint, log_posterior, module_variance, squared_distance


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 200), st.integers(0, 100))
def test_blocks_of_any_size_give_the_same_statistics(monkeypatch: pytest.MonkeyPatch, size: int, seed: int) -> None:
    p = random_parameters(seed=seed)
    points, _ = draw_points(p, 70, 20, seed)
    with monkeypatch.context() as patch:
        patch.setattr(ex, "MAX_BLOCK_VALUES", 2**21)
        whole, score = ex.expectation(points, p)
        log_resp = ex.posterior(points, p)
        patch.setattr(ex, "MAX_BLOCK_VALUES", size * p.n_modules * len(AMPLITUDES) + 1)
        parts, score_of_parts = ex.expectation(points, p)
        np.testing.assert_allclose(ex.posterior(points, p), log_resp, rtol=1e-10)
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(score_of_parts, score, rtol=1e-10)


def test_statistics_are_weighted_sums() -> None:
    p = random_parameters(4, 5)
    points, _ = draw_points(p, 60, 30)
    s, score = ex.expectation(points, p)
    x, level, is_null = (part.numpy() for part in points)
    joint = log_joint(points.x, points.level, p)
    weight = p.background.numpy()[level]
    modules = joint.module.numpy() + np.log1p(-weight)[:, None, None]
    total = np.logaddexp(logsumexp(modules, axis=(1, 2)), joint.background.numpy() + np.log(weight))
    resp = np.exp(modules - total[:, None, None])
    np.testing.assert_allclose(s.objective, total.sum())
    np.testing.assert_allclose(score, joint.score)
    np.testing.assert_allclose(s.weight, resp.sum((0, 2)))
    np.testing.assert_allclose(s.amplitude, [resp[level == value].sum((0, 1)) for value in (0, 1)])
    first, precision = np.zeros((4, 5)), np.zeros((4, 5))
    certain = p._replace(mean_variance=p.mean_variance * 0)
    nu = p.nu.numpy()[level][:, None]
    for j, amplitude in enumerate(AMPLITUDES.tolist()):
        latent = resp[:, :, j] * (nu + 5) / (nu + squared_distance(points.x, p, amplitude).numpy())
        inverse = 1 / module_variance(certain, amplitude).numpy()
        first += amplitude * np.einsum("nk,nd->kd", latent, x) * inverse
        precision += amplitude**2 * latent.sum(0)[:, None] * inverse
    np.testing.assert_allclose(s.first, first)
    np.testing.assert_allclose(s.precision, precision)
    assert (s.chance.numpy() <= np.bincount(level[is_null], minlength=2)).all()


def test_background_statistics_use_null_genes_only() -> None:
    p = random_parameters()
    points, _ = draw_points(p, 80, 50)
    s, _ = ex.expectation(points, p)
    null = points.take(np.flatnonzero(points.is_null.numpy()))
    of_null, _ = ex.expectation(null, p)
    for name in ("chance", "chance_module", "chance_amplitude"):
        np.testing.assert_allclose(getattr(s, name), getattr(of_null, name), rtol=1e-10)
        assert float(getattr(s, name).sum()) == pytest.approx(float(s.chance.sum()))
    none, _ = ex.expectation(points._replace(is_null=torch.zeros(130, dtype=torch.bool)), p)
    assert not none.chance.any()
    np.testing.assert_allclose(none.weight, s.weight)  # the label is not used for the modules


def test_likelihood_and_posterior_agree() -> None:
    p = random_parameters()
    points, _ = draw_points(p, 40, 10)
    np.testing.assert_allclose(ex.log_likelihood(points, p).sum(), ex.expectation(points, p)[0].objective)
    np.testing.assert_array_equal(ex.posterior(points, p), log_posterior(points.x, points.level, p))
    assert ex.posterior(points.take(slice(0, 0)), p).shape == (0, 4)


@pytest.mark.parametrize("size", [2, 3, 60])
def test_shards_sum_to_the_whole(size: int) -> None:
    p = random_parameters()
    points, _ = draw_points(p, 40, 15)
    whole, _ = ex.expectation(points, p)

    def work(group):
        return all_reduce_tensors(group, *ex.expectation(points.take(group.shard(55)), p)[0])

    for sums in run_threads(size, work):
        for ours, theirs in zip(sums, whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [2, 3])
def test_the_sample_of_the_spread_does_not_depend_on_processes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("spacex.embedding.mixture.MAX_SPREAD_POINTS", 20)
    p = random_parameters()
    points, _ = draw_points(p, 200, 57)
    n, totals = 257, []

    def work(group):
        class Recorder(type(group)):
            def all_reduce(self, part):
                totals.append(super().all_reduce(part))
                return totals[-1]

        group.__class__ = Recorder
        return float(best_spread(points.take(group.shard(n)), p, n, group).spread)

    found = run_threads(size, work)
    sample = points.take(slice(None, None, n // 20))
    expected = [ex.log_likelihood(sample, p._replace(spread=p.spread * f)).sum() for f in SPREAD_STEPS]
    for total in totals:
        np.testing.assert_allclose(total, expected, rtol=1e-10)
    assert set(found) == {float(best_spread(points, p, n, run_threads(1, lambda group: group)[0]).spread)}


def test_points_are_selected_together() -> None:
    points, _ = draw_points(random_parameters(), 12, 4)
    some = points.take(np.array([3, 15]))
    for part, whole in zip(some, points, strict=True):
        np.testing.assert_array_equal(part, whole[[3, 15]])
    assert len(points.take(slice(2, 9)).x) == 7
    assert points.to(torch.device("cpu")).x.dtype == torch.float64
    assert len(StudentMixture(iterations=1).fit(some, random_parameters()).objective_) == 1
