"""Factors of similarity matrices: sums, truncation, joint vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from spacex.reference.factors import add_section, center, joint_vectors, truncate


def draw_sections(seed: int, n_sections: int, n_genes: int = 40, n_dims: int = 4):
    """Return the rows, vectors and weight of each section."""
    rng = np.random.default_rng(seed)
    for _ in range(n_sections):
        n = int(rng.integers(1, n_genes + 1))
        rows = rng.choice(n_genes, n, replace=False)
        yield rows, rng.normal(size=(n, n_dims)).astype(np.float32), float(rng.uniform(0.1, 1.0))


@given(seed=st.integers(0, 2**32 - 1), n_sections=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_merging_adds_similarity_matrices(seed, n_sections):
    factor, expected = np.zeros((40, 0), dtype=np.float32), np.zeros((40, 40))
    for rows, vectors, weight in draw_sections(seed, n_sections):
        factor = add_section(factor, rows, vectors, weight, 24)
        expected[np.ix_(rows, rows)] += weight * (vectors @ vectors.T)
    assert factor.shape[1] <= 24
    assert_allclose(factor @ factor.T, expected, atol=1e-4 * max(1, np.abs(expected).max()))


def test_truncation_is_the_best_approximation():
    factor = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)
    u, s, _ = np.linalg.svd(factor.astype(np.float64), full_matrices=False)
    truncated = truncate(factor, 5)
    assert truncated.shape == (60, 5)
    assert truncated.dtype == np.float32
    assert_allclose(truncated @ truncated.T, (u[:, :5] * s[:5] ** 2) @ u[:, :5].T, atol=1e-3)
    assert_allclose(np.linalg.norm(truncated, axis=0), s[:5], rtol=1e-5)
    assert_array_equal(truncate(factor, 12)[:, :5], truncated)


def test_truncation_drops_dimensions_beyond_the_rank():
    rng = np.random.default_rng(1)
    low_rank = (rng.normal(size=(50, 3)) @ rng.normal(size=(3, 20))).astype(np.float32)
    assert truncate(low_rank, 10).shape == (50, 3)
    assert truncate(np.zeros((50, 4), dtype=np.float32), 10).shape == (50, 0)
    assert truncate(np.zeros((50, 0), dtype=np.float32), 10).shape == (50, 0)


def test_truncation_in_blocks_of_rows_is_the_same(monkeypatch):
    factor = np.random.default_rng(2).normal(size=(70, 6)).astype(np.float32)
    whole = truncate(factor, 6)
    monkeypatch.setattr("spacex.reference.factors.BLOCK_ROWS", 16)
    assert_allclose(truncate(factor, 6), whole, atol=1e-5)


def test_centered_vectors_have_mean_zero():
    vectors = np.random.default_rng(3).normal(1.0, 1.0, size=(30, 4)).astype(np.float32)
    assert_allclose(center(vectors).mean(axis=0), 0, atol=1e-6)
    assert center(vectors).dtype == np.float32


@pytest.mark.parametrize("factor", [0.01, 1.0, 100.0])
def test_joint_vectors_do_not_depend_on_the_scale_of_a_group(factor):
    rng = np.random.default_rng(4)
    first, second = (rng.normal(size=(40, 5)).astype(np.float32) for _ in range(2))
    second[:15] = 0  # not measured
    joint, scaled = joint_vectors([first, second], 10), joint_vectors([first, np.float32(factor) * second], 10)
    assert_allclose(joint @ joint.T, scaled @ scaled.T, atol=1e-4)


def test_a_group_has_unit_scale_in_the_joint_vectors():
    vectors = np.random.default_rng(5).normal(size=(40, 5)).astype(np.float32)
    vectors[30:] = 0
    joint = joint_vectors([vectors], 5)
    assert np.linalg.norm(joint.T @ joint) / 30 == pytest.approx(1, rel=1e-4)
    assert not joint[30:].any()
