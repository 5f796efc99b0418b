"""Consensus clustering: recovery of clusters, confidence, and invariance to the names of clusters."""

import numpy as np
from sklearn.metrics import adjusted_rand_score
from tests.domains.data import clouds

from spacex.domains import DomainParams, consensus_clustering
from spacex.domains.consensus import combine_members

PARAMS = DomainParams()


def test_separate_clouds_are_recovered():
    rng = np.random.default_rng(0)
    points, truth = clouds(rng, 8.0)
    result = consensus_clustering(points, 300, 3, rng, PARAMS, n_init=2)
    assert adjusted_rand_score(result.label, truth) > 0.95
    assert result.agreement > 0.95


def test_confidence_is_a_probability_and_higher_for_correct_labels():
    rng = np.random.default_rng(1)
    points, truth = clouds(rng, 3.5)
    result = consensus_clustering(points, 300, 3, rng, PARAMS, n_init=10)
    np.testing.assert_allclose(result.confidence.sum(axis=1), 1, atol=1e-9)
    confidence = result.confidence[np.arange(300), result.label]
    majority = np.array([np.bincount(truth[result.label == k]).argmax() for k in range(3)])
    is_correct = majority[result.label] == truth
    assert confidence[is_correct].mean() > confidence[~is_correct].mean() + 0.1


def test_members_may_name_clusters_differently():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 50)
    members = []
    for _ in range(4):
        noisy = np.where(rng.random(150) < 0.1, rng.integers(3, size=150), truth)
        members.append(np.eye(3)[rng.permutation(3)[noisy]])
    assert adjusted_rand_score(combine_members(members, 3, rng), truth) > 0.95
