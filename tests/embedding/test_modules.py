"""Fits from several starts, the number of modules, unsupported modules, and the assignment of genes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import adjusted_rand_score
from tests.embedding.clusters import draw_points, random_parameters, separated_parameters

from spacex import Config
from spacex.embedding import modules as md
from spacex.embedding.expectation import Points, posterior
from spacex.embedding.history import History
from spacex.embedding.mixture import noise_nu
from spacex.embedding.student_t import AMPLITUDES, initial_parameters, log_joint, log_noise


def test_planted_modules_and_background_are_recovered() -> None:
    p = separated_parameters(k=5)
    points, module = draw_points(p, 800, 200)
    fitted = md.fit_modules(points, 5, Config(), 0, signal=p.signal)
    labels, probability = md.assign(posterior(points, fitted), 0.5)
    assert adjusted_rand_score(module[module >= 0], labels[module >= 0]) > 0.95
    assert np.mean(labels[points.is_null.numpy()] >= 0) <= 0.05
    assert ((probability > 0) & (probability <= 1)).all()


def test_more_starts_do_not_lower_the_likelihood() -> None:
    p = separated_parameters(k=6)
    points, _ = draw_points(p, 600, 150)
    fits = [md.fit_modules(points, 6, Config(), 3, signal=p.signal, n_starts=n) for n in (1, 5)]
    one, five = (float(md.log_likelihood(points, fitted).mean()) for fitted in fits)
    assert five >= one - 0.02


def test_seeds_are_reproducible_and_different() -> None:
    assert md.derive_seeds(3, 4) == md.derive_seeds(3, 4)
    assert md.derive_seeds(3, 5)[:4] == md.derive_seeds(3, 4)
    assert len({*md.derive_seeds(3, 50), *md.derive_seeds(4, 50)}) == 100


def test_means_of_clusters_are_found() -> None:
    p = separated_parameters(k=3, background=0.05)
    points, module = draw_points(p, 400)
    x = points.x.numpy()[module >= 0]
    means = md.kmeans_means(x, p.signal, 3, 0)
    assert means.shape == (3, 12)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert (np.sort(unit[:, :3].max(axis=1)) > 0.9).all()
    assert sorted(unit[:, :3].argmax(axis=1)) == [0, 1, 2]


def test_starts_use_genes_with_a_clear_pattern() -> None:
    p = separated_parameters()
    points, module = draw_points(p, 600, 300)
    clear = md.clear_coordinates(points, p.signal, 10)
    among = (points.x.numpy()[:, None] == clear).all(axis=2).any(axis=1)
    assert len(clear) == among.sum()
    assert not among[points.is_null.numpy()].any()
    assert np.mean(module[among] >= 0) > 0.95


def test_log_odds_equal_the_ratio_to_noise() -> None:
    p = random_parameters()
    points, _ = draw_points(p, 50, 20)
    joint, weight = log_joint(points.x, points.level, p), p.background[points.level].numpy()
    modules = logsumexp(joint.module.flatten(1).numpy(), axis=1) + np.log1p(-weight)
    mixture = np.logaddexp(modules, joint.background.numpy() + np.log(weight))
    noise = log_noise(points.x, points.level, p._replace(chance=p.chance * 0)).numpy()
    np.testing.assert_allclose(md.log_odds(points, p), mixture - noise, rtol=1e-8, atol=1e-8)


# -- number of modules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 6, 9])
def test_the_number_of_modules_is_recovered(k: int) -> None:
    p = separated_parameters(k=k, d=20)
    points, _ = draw_points(p, 1000, 250, seed=k)
    history = History()
    chosen = md.choose_n_modules(points, Config(max_modules=20), 0, history, signal=p.signal)
    assert abs(chosen - k) <= 1
    tried = history.columns()["modules"]
    assert {"n_modules", "score", "standard_error"} == set(tried)
    sizes = np.array(tried["n_modules"], dtype=int)
    assert chosen == md.smallest_sufficient(sizes, np.array(tried["score"]))


def test_few_genes_have_one_module() -> None:
    points, _ = draw_points(separated_parameters(), 7, 60)
    assert md.choose_n_modules(points, Config(), 0, History(), signal=separated_parameters().signal) == 1


def test_candidate_sizes_leave_four_genes_per_module() -> None:
    assert md.candidate_sizes(40, 60)[-1] == 10
    assert md.candidate_sizes(5, 60) == [2]
    assert md.candidate_sizes(10_000, 60)[-1] == 60


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20_000), st.integers(2, 200))
def test_candidate_sizes_increase_in_small_steps(n_genes: int, max_modules: int) -> None:
    sizes = np.array(md.candidate_sizes(n_genes, max_modules))
    assert sizes[0] == 2
    assert sizes[-1] == max(2, min(max_modules, n_genes // 4))
    assert (np.diff(sizes) > 0).all()
    assert (sizes[1:] <= np.maximum(md.GRID_RATIO * sizes[:-1] + 1, sizes[:-1] + 1)).all()


@pytest.mark.parametrize(
    ("sizes", "scores", "expected"),
    [
        ([2, 4, 8], [0.0, 1.0, 1.0], 4),  # 0.9 lies 0.9 of the way from log 2 to log 4: 2 · 2^0.9 = 3.73
        ([2, 4, 8], [0.0, 0.5, 1.0], 7),  # 0.8 of the way from log 4 to log 8: 4 · 2^0.8 = 6.96
        ([2, 4, 8], [0.0, 0.9, 1.0], 4),  # exactly the bound
        ([2, 4, 8], [0.0, 1.0, 0.2], 4),  # later decreases have no effect
        ([2, 8], [10.0, 20.0], 7),  # gains count from the first: 2 · 4^0.9 = 6.96
        ([2, 3, 5], [1.0, 1.0, 1.0], 2),  # no gain
        ([2, 3, 5], [1.0, 0.5, 0.0], 2),
        ([2], [0.3], 2),
    ],
)
def test_smallest_sufficient(
    sizes: list[int], scores: list[float], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(md, "MIN_GAIN", 0.9)
    monkeypatch.setattr(md, "NEGLIGIBLE_GAIN", 0.0)
    assert md.smallest_sufficient(np.array(sizes), np.array(scores)) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.floats(0.1, 10), st.floats(-10, 10))
def test_smallest_sufficient_has_no_unit(scores: list[float], scale: float, shift: float) -> None:
    values = np.round(scores, 3)  # no rounding errors in the differences
    sizes = np.arange(2, 2 + len(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(md, "NEGLIGIBLE_GAIN", 0.0)
        chosen = md.smallest_sufficient(sizes, values)
        assert sizes[0] <= chosen <= sizes[values.argmax()]
        assert abs(md.smallest_sufficient(sizes, scale * values + shift) - chosen) <= 1


@pytest.mark.parametrize(("gain", "expected"), [(0.4, 2), (0.6, 3), (1.0, 4), (100.0, 8)])
def test_a_negligible_gain_needs_no_modules(gain: float, expected: int) -> None:
    """The score may be 0.5 below the largest: 2 · 4^(0.1 / 0.6) = 2.5 and 2 · 4^0.5 = 4; of 100, 5 % may be missing."""
    assert md.smallest_sufficient(np.array([2, 8]), np.array([0.0, gain])) == expected


# -- unsupported modules ---------------------------------------------------------------------------------------


def with_noise_module(seed: int = 0) -> tuple[Points, np.ndarray, torch.Tensor, torch.Tensor]:
    """Return points of three modules, and centers of these and of a direction in which genes are only noise.

    A tenth of the genes without a pattern and of the null genes are a little stronger along that direction.
    """
    p = separated_parameters(k=4)
    points, module = draw_points(p, 900, 300, seed)
    rng = np.random.default_rng(seed)
    x = points.x.numpy().copy()
    chance = ((module < 0) & (rng.random(1200) < 0.1)) | (module == 3)
    x[chance] = rng.normal(size=(chance.sum(), 12))
    x[chance, 3] += 8.0
    # The genes of the fourth module are as frequent as null genes in that direction.
    kept = np.flatnonzero(module != 3)
    return Points(torch.from_numpy(x), points.level, points.is_null).take(kept), module[kept], p.mean, p.signal


@pytest.mark.parametrize("seed", range(3))
def test_a_module_of_null_genes_is_removed(seed: int) -> None:
    points, module, centers, signal = with_noise_module(seed)
    initial = initial_parameters(centers, signal, noise_nu(points, 2))
    kept = md.remove_unsupported(points, initial, Config())
    assert kept.n_modules == 3
    assert float(kept.mean[:, 3].abs().max()) < 0.3 * float(kept.mean.abs().max())
    labels = md.assign(posterior(points, kept), 0.5).labels
    assert adjusted_rand_score(module[module >= 0], labels[module >= 0]) > 0.9


def test_a_module_with_few_genes_is_removed() -> None:
    p = separated_parameters(k=4)
    points, module = draw_points(p, 500, 150)
    few = np.flatnonzero((module != 3) | (np.cumsum(module == 3) <= md.MIN_MODULE_GENES - 1))
    assert md.remove_unsupported(points.take(few), p, Config()).n_modules == 3
    assert md.remove_unsupported(points, p, Config()) is p


def test_the_last_modules_are_kept() -> None:
    p = separated_parameters(k=2)
    points, _ = draw_points(p._replace(background=p.background * 0 + 0.999), 300, 100)
    assert md.remove_unsupported(points, p, Config()).n_modules == 2


def test_weights_of_selected_modules_sum_to_one() -> None:
    p = random_parameters(5, 4)
    chosen = md.take_modules(p, np.array([3, 1]))
    np.testing.assert_array_equal(chosen.mean, p.mean[[3, 1]])
    np.testing.assert_array_equal(chosen.mean_variance, p.mean_variance[[3, 1]])
    for ours, theirs in ((chosen.log_weight.exp(), p.log_weight.exp()), (chosen.chance_module, p.chance_module)):
        np.testing.assert_allclose(ours, theirs[[3, 1]] / theirs[[3, 1]].sum())
    for name in ("spread", "signal", "log_amplitude", "nu", "background", "chance", "chance_amplitude"):
        assert getattr(chosen, name) is getattr(p, name)


# -- assignment -----------------------------------------------------------------------------------------------


def test_genes_are_assigned_above_the_threshold() -> None:
    probability = np.array([[0.6, 0.1, 0.3], [0.2, 0.5, 0.3], [0.4, 0.45, 0.15], [0.0, 0.1, 0.9]])
    log_resp = torch.log(torch.from_numpy(probability))
    labels, shown = md.assign(log_resp, 0.5)
    assert labels.tolist() == [0, -1, -1, -1]  # not at the threshold itself
    np.testing.assert_allclose(shown, [0.6, 0.3, 0.15, 0.9])
    labels, shown = md.assign(log_resp, 0.42)
    assert labels.tolist() == [0, 1, 1, -1]
    np.testing.assert_allclose(shown, [0.6, 0.5, 0.45, 0.9])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_a_stricter_threshold_assigns_a_subset(seed: int, threshold: float) -> None:
    p = random_parameters(seed=seed)
    points, _ = draw_points(p, 60, seed=seed)
    log_resp = posterior(points, p)
    loose, strict = md.assign(log_resp, threshold).labels, md.assign(log_resp, (threshold + 1) / 2).labels
    assert ((strict == loose) | (strict == -1)).all()


def test_modules_are_sorted_by_evidence() -> None:
    """Evidence is the sum of the probabilities of the assigned genes; null genes do not count."""
    p = separated_parameters(k=3)
    p = p._replace(log_weight=torch.log(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)))
    points, _ = draw_points(p, 600, 100)
    is_null = points.is_null | (posterior(points, p).argmax(1) == 2)  # as if all genes of the last were null genes
    points = points._replace(is_null=is_null)
    ordered, assignment = md.sort_by_evidence(points, p, 0.5)
    np.testing.assert_array_equal(ordered.mean, p.mean[[1, 0, 2]])
    genes = points.take(np.flatnonzero(~points.is_null.numpy()))
    labels, probability = md.assign(posterior(genes, ordered), 0.5)
    np.testing.assert_array_equal(assignment.labels, labels)
    np.testing.assert_allclose(assignment.probabilities, probability, rtol=1e-12)
    evidence = np.bincount(labels[labels >= 0], probability[labels >= 0], minlength=3)
    assert (np.diff(evidence) <= 0).all()
    assert len(AMPLITUDES) == ordered.log_amplitude.shape[1]
