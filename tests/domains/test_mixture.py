"""Mixtures with a shrunken covariance, and refinement by a hidden Markov random field."""

import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from tests.domains.data import clouds, stripes

from spacex.domains import DomainParams, effective_sample_size, hmrf_mean_field
from spacex.domains.mixture import fit_em, shrinkage

PARAMS = DomainParams()


def test_mixture_equals_scikit_learn_without_shrinkage():
    rng = np.random.default_rng(2)
    points, truth = clouds(rng, 3.0)
    start = np.eye(3)[np.where(rng.random(300) < 0.2, rng.integers(3, size=300), truth)]
    mean = start.T @ points / start.sum(axis=0)[:, None]
    within = points - mean[start.argmax(axis=1)]
    expected = GaussianMixture(
        3, covariance_type="tied", tol=1e-3, weights_init=start.mean(axis=0), means_init=mean,
        precisions_init=np.linalg.inv(within.T @ within / 300 + 1e-6 * np.eye(5)), max_iter=100,
    ).fit(points)  # fmt: skip
    np.testing.assert_allclose(fit_em(points, start, np.inf, PARAMS), expected.predict_proba(points), atol=0.02)


def test_covariance_is_shrunken_with_few_effective_samples():
    assert shrinkage(20, np.inf, PARAMS) == 0
    assert shrinkage(20, 0, PARAMS) == 1
    assert 0.4 < shrinkage(10, effective_sample_size(300, 1.0), PARAMS) < 0.8
    assert effective_sample_size(300, 0.0) == 300
    rng = np.random.default_rng(3)
    points, truth = clouds(rng, 5.0)
    points[:, 4] *= 100.0  # dominates a spherical covariance, but not a full one
    start = np.eye(3)[truth]
    assert adjusted_rand_score(fit_em(points, start, np.inf, PARAMS).argmax(axis=1), truth) > 0.9
    assert adjusted_rand_score(fit_em(points, start, 0.0, PARAMS).argmax(axis=1), truth) < 0.5


def test_field_corrects_isolated_pixels_unless_their_scores_are_extreme():
    label, neighbors = stripes()
    rng = np.random.default_rng(0)
    scores = 6.0 * np.eye(4)[label] + rng.standard_normal((400, 4))
    noisy = label.copy()
    noisy[[45, 210, 333]] = (label[[45, 210, 333]] + 1) % 4
    np.testing.assert_array_equal(hmrf_mean_field(scores, noisy, neighbors, 400, PARAMS), label)
    scores[210] = 60.0 * np.eye(4)[noisy[210]]
    refined = hmrf_mean_field(scores, noisy, neighbors, 400, PARAMS)
    assert refined[210] == noisy[210]
    assert refined[45] == label[45]


def test_field_improves_labels_and_keeps_every_domain():
    label, neighbors = stripes()
    rng = np.random.default_rng(1)
    scores = 2.0 * np.eye(4)[label] + rng.standard_normal((400, 4))
    unrefined = fit_em(scores, np.eye(4)[label], 400, PARAMS).argmax(axis=1)
    refined = hmrf_mean_field(scores, unrefined, neighbors, 400, PARAMS)
    assert adjusted_rand_score(refined, label) > adjusted_rand_score(unrefined, label) + 0.1
    assert set(refined) == {0, 1, 2, 3}
    with_single_pixel = np.where(np.arange(400) == 7, 4, label)
    assert len(np.unique(hmrf_mean_field(scores, with_single_pixel, neighbors, 400, PARAMS))) == 5
    off = DomainParams(border_max_iter=0)
    np.testing.assert_array_equal(hmrf_mean_field(scores, unrefined, neighbors, 400, off), unrefined)
