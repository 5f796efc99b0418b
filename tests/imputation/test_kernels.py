"""Kernels of gene vectors, and weights of groups."""

from __future__ import annotations

import numpy as np

from spacex.imputation.kernels import LinearKernel, cosine_kernels
from spacex.imputation.panel import Panel
from spacex.imputation.vector_imputer import group_weights


def test_cosine_kernel_is_positive_definite_and_zero_for_unknown_genes():
    rng = np.random.default_rng(0)
    groups = [rng.standard_normal((40, 5)), rng.standard_normal((40, 3))]
    for group in groups:
        group[7] = 0.0
    (kernel,) = cosine_kernels(groups, np.array([1.0, 0.5]), np.arange(30), [2.0])
    gram = kernel.between(np.arange(40), np.arange(40))
    assert np.linalg.eigvalsh(gram).min() > -1e-6
    assert (gram[7] == 0).all()
    vectors = np.hstack([groups[0], np.sqrt(0.5) * groups[1]])
    length = np.linalg.norm(vectors, axis=1)
    cosine = vectors[0] @ vectors[1] / (length[0] * length[1])
    expected = length[0] * length[1] * np.exp(2.0 * (cosine - 1)) / np.mean(length[:30] ** 2)
    np.testing.assert_allclose(gram[0, 1], expected, rtol=1e-4)
    np.testing.assert_allclose(np.diag(gram)[:30].mean(), 1.0, rtol=1e-5)


def test_groups_without_weight_are_left_out():
    rng = np.random.default_rng(0)
    groups = [rng.standard_normal((20, 5)), rng.standard_normal((20, 3))]
    index = np.arange(20)
    (one,) = cosine_kernels(groups[:1], np.ones(1), index, [2.0])
    (both,) = cosine_kernels(groups, np.array([1.0, 0.0]), index, [2.0])
    np.testing.assert_array_equal(one.between(index, index), both.between(index, index))


def test_informative_groups_have_larger_weights():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4))
    values = rng.standard_normal((500, 4)) @ vectors.T + rng.standard_normal((500, 60))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    covariance = values.T @ values / 500
    panel = Panel(np.arange(60), covariance, covariance)
    folds = np.array_split(np.arange(60), 5)
    noise, unknown = rng.standard_normal((60, 4)), np.zeros((60, 4))
    weights = group_weights([vectors, noise, unknown], panel, folds)
    assert weights[0] == 1.0
    assert weights[1] < 0.5
    assert weights[2] == 0.0
    np.testing.assert_array_equal(group_weights([unknown], panel, folds), [1.0])


def test_linear_kernel_holds_inner_products():
    vectors = np.random.default_rng(0).standard_normal((6, 3))
    gram = LinearKernel(vectors).between(np.arange(2), np.arange(2, 6))
    np.testing.assert_allclose(gram, vectors[:2] @ vectors[2:].T)
