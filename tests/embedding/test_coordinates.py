"""Coordinates in which genes without a pattern are noise of variance one, expression levels and clear genes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from spacex.embedding.coordinates import (
    CLEAR_QUANTILE,
    MAX_DIMS,
    MIN_SMOOTH_SHARE,
    N_LEVELS,
    clear_genes,
    expression_bounds,
    expression_level,
    fit_noise_scale,
    strength_score,
    unit_noise_patterns,
)
from spacex.embedding.student_t import AMPLITUDES


def embeddings(n: int, d: int, n_smooth: int, seed: int = 0, *, strength: float = 0.0) -> np.ndarray:
    """Return embeddings (n, d) whose norm is that of their smooth part; noise differs between dimensions."""
    rng = np.random.default_rng(seed)
    pattern = np.linspace(0.5, 2.0, d) * rng.normal(size=(n, d))
    pattern[:, 0] += strength * rng.choice([-1.0, 1.0], n)
    smooth = np.linalg.norm(pattern[:, :n_smooth], axis=1, keepdims=True)
    return (pattern / np.linalg.norm(pattern, axis=1, keepdims=True) * smooth).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 1000))
def test_smooth_part_has_the_norm_of_the_embedding(n_smooth: int, n_fine: int, seed: int) -> None:
    z = torch.from_numpy(embeddings(30, n_smooth + n_fine, n_smooth, seed))
    patterns = unit_noise_patterns(z, n_smooth)
    assert patterns.dtype == torch.float64
    norm, smooth = (torch.linalg.vector_norm(v.double(), dim=1) for v in (z, patterns[:, :n_smooth]))
    direction = z.double() / norm[:, None]
    share = torch.linalg.vector_norm(direction[:, :n_smooth], dim=1)
    clear = share >= MIN_SMOOTH_SHARE
    np.testing.assert_allclose(smooth[clear], norm[clear], rtol=1e-6)
    # Directions do not change, and amplification is bounded.
    np.testing.assert_allclose(patterns / torch.linalg.vector_norm(patterns, dim=1, keepdim=True), direction, atol=1e-6)
    assert (torch.linalg.vector_norm(patterns, dim=1) <= norm / MIN_SMOOTH_SHARE * (1 + 1e-6)).all()


def test_an_embedding_of_zeros_stays_zero() -> None:
    assert not unit_noise_patterns(torch.zeros(2, 5), 3).any()


def test_null_genes_have_variance_one() -> None:
    z, null = embeddings(400, 10, 6, strength=8.0), embeddings(300, 10, 6, 1)
    scale = fit_noise_scale(z, null, 6)
    x = scale.coordinates(torch.from_numpy(null))
    np.testing.assert_allclose(x.square().mean(0), 1.0, rtol=1e-6)
    assert scale.dims.tolist() == list(range(10))
    assert float(scale.signal.sum()) == pytest.approx(1.0)
    assert float(scale.signal[0]) > 0.8  # the dimension of the pattern
    expected = (scale.coordinates(torch.from_numpy(z)).square().mean(0) - 1).clamp(min=1e-6)
    np.testing.assert_allclose(scale.signal, expected / expected.sum())


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100.0), st.integers(0, 100))
def test_coordinates_have_no_unit(factor: float, seed: int) -> None:
    """The scale of the embeddings, of genes and null genes together, has no effect."""
    z, null = embeddings(50, 8, 5, seed, strength=3.0), embeddings(60, 8, 5, seed + 1)
    first = fit_noise_scale(z, null, 5)
    second = fit_noise_scale(np.float32(factor) * z, np.float32(factor) * null, 5)
    np.testing.assert_array_equal(first.dims, second.dims)
    np.testing.assert_allclose(
        first.coordinates(torch.from_numpy(z)), second.coordinates(torch.from_numpy(np.float32(factor) * z)), rtol=1e-4
    )
    np.testing.assert_allclose(first.signal, second.signal, rtol=1e-3, atol=1e-6)


def test_dimensions_with_the_largest_signal_are_used() -> None:
    d = MAX_DIMS + 20
    z, null = embeddings(200, d, 10, strength=30.0), embeddings(200, d, 10, 1)
    scale = fit_noise_scale(z, null, 10)
    assert len(scale.dims) == MAX_DIMS
    assert (scale.dims.diff() > 0).all()
    x, noise = (unit_noise_patterns(torch.from_numpy(values), 10) for values in (z, null))
    signal = (x.square().mean(0) / noise.square().mean(0) - 1).clamp(min=1e-6).numpy()
    left_out = np.setdiff1d(np.arange(d), scale.dims)
    assert signal[left_out].max() <= signal[scale.dims].min() + 1e-12
    assert scale.to(torch.device("cpu")).coordinates(torch.from_numpy(z)).shape == (200, MAX_DIMS)


def test_levels_have_equal_numbers_of_genes() -> None:
    total = np.random.default_rng(0).permutation(np.arange(1000.0) ** 2)
    bounds = expression_bounds(total)
    assert len(bounds) == N_LEVELS - 1
    level = expression_level(total, bounds)
    assert np.bincount(level).tolist() == [200] * N_LEVELS
    assert (np.diff(level[np.argsort(total)]) >= 0).all()
    assert expression_level(np.array([-1.0, 1e9]), bounds).tolist() == [0, N_LEVELS - 1]


def test_few_genes_and_intensities_have_one_level() -> None:
    total = np.arange(199.0)
    for bounds in (expression_bounds(total), expression_bounds(np.arange(5000.0), is_count=False)):
        assert bounds.shape == (0,)
        assert not expression_level(total, bounds).any()


@pytest.mark.parametrize("seed", range(3))
def test_strength_score_is_a_ratio_of_normal_densities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, signal = rng.normal(size=(20, 6)) * rng.uniform(0.5, 30, (20, 1)), rng.dirichlet(np.ones(6))
    ours = strength_score(torch.from_numpy(x), torch.from_numpy(signal)).numpy()
    noise = multivariate_normal(np.zeros(6)).logpdf(x)
    ratios = [
        multivariate_normal(np.zeros(6), np.diag(1 + a**2 * signal)).logpdf(x) - noise for a in AMPLITUDES.numpy()
    ]
    np.testing.assert_allclose(ours, logsumexp(ratios, axis=0), rtol=1e-8, atol=1e-8)


def test_clear_genes_exceed_the_null_genes_of_their_level() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat([0, 1, 2], 1000)
    is_null = np.tile(np.arange(1000) < 300, 3) & (level < 2)  # the last level has no null genes
    score = rng.normal(size=3000) + np.array([0.0, 10.0, 5.0])[level]
    clear = clear_genes(score, level, is_null, 5)
    assert not is_null[clear].any()
    for value in range(3):
        null = score[is_null & (level == value)] if value < 2 else score[is_null]
        expected = np.flatnonzero((level == value) & ~is_null & (score > np.quantile(null, CLEAR_QUANTILE)))
        np.testing.assert_array_equal(clear[level[clear] == value], expected)


def test_genes_with_the_highest_scores_replace_clear_ones() -> None:
    score, is_null = np.array([0.3, 9.0, 0.1, 0.2, 8.0, 7.0]), np.array([False, True, False, False, True, True])
    assert clear_genes(score, np.zeros(6, dtype=int), is_null, 2).tolist() == [0, 3]
    assert clear_genes(score, np.zeros(6, dtype=int), is_null, 99).tolist() == [0, 3, 2]
