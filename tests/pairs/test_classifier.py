"""The classifier of known pairs: negatives in which popularity tells nothing, models that never saw a pair's genes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.pairs import CrossFit, degree_matched
from spacex.pairs.classifier import N_FOLDS, calibration_error


def some_pairs(n_genes: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, 1.0, n_genes)  # some genes are popular
    pairs = rng.choice(n_genes, (n, 2), p=weight / weight.sum())
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_genes=st.integers(40, 300), n_folds=st.integers(1, 4))
def test_negatives_are_new_pairs_of_the_same_genes_in_the_same_folds(seed: int, n_genes: int, n_folds: int) -> None:
    pairs = some_pairs(n_genes, 2 * n_genes, seed)
    fold = np.arange(n_genes) % n_folds
    negative = degree_matched(pairs, fold, np.random.default_rng(seed))
    coded = {tuple(sorted(pair)) for pair in negative.tolist()}
    assert len(coded) == len(negative)
    assert not coded & {tuple(pair) for pair in pairs.tolist()}
    assert (negative[:, 0] != negative[:, 1]).all()
    degree, other = (np.bincount(p.ravel(), minlength=n_genes) for p in (pairs, negative))
    assert (other <= degree).all()
    blocks = [np.unique(np.sort(fold[p], axis=1) @ [10, 1], return_counts=True) for p in (pairs, negative)]
    assert set(blocks[1][0]) <= set(blocks[0][0])


def test_negatives_are_as_popular_as_positives() -> None:
    pairs = some_pairs(500, 1500, seed=0)
    negative = degree_matched(pairs, np.zeros(500, dtype=int), np.random.default_rng(0))
    assert len(negative) > 0.97 * len(pairs)
    degree, other = (np.bincount(p.ravel(), minlength=500) for p in (pairs, negative))
    assert np.corrcoef(degree, other)[0, 1] > 0.98


def test_a_pair_is_scored_by_a_model_that_saw_neither_gene() -> None:
    """Features that name the genes of known pairs are learnt by heart, and help nobody."""
    rng = np.random.default_rng(0)
    known = some_pairs(200, 600, seed=1)
    popular = rng.standard_normal((200, 8))  # says which gene it is, nothing of pairs
    classifier = CrossFit(200, seed=0)
    both = np.concatenate([known, classifier.negatives(known)])
    truth = np.arange(len(both)) < len(known)
    fitted = classifier.fit(both, popular[both[:, 0]] * popular[both[:, 1]], truth)
    assert fitted.auroc < 0.58
    assert len(classifier.models_) == N_FOLDS * (N_FOLDS + 1) // 2


def test_a_feature_of_pairs_is_learnt_and_calibrated() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(12, size=400)
    all_pairs = some_pairs(400, 40_000, seed=2)
    same = group[all_pairs[:, 0]] == group[all_pairs[:, 1]]
    known = all_pairs[same][:800]
    classifier = CrossFit(400, seed=0)
    both = np.concatenate([known, classifier.negatives(known)])
    truth = np.arange(len(both)) < len(known)
    feature = np.where(group[both[:, 0]] == group[both[:, 1]], 1.0, 0.0) + rng.normal(0, 0.6, len(both))
    fitted = classifier.fit(both, feature[:, None], truth)
    assert fitted.auroc > 0.8
    assert fitted.ece < 0.05
    assert (fitted.n_known, fitted.n_negative) == (len(known), len(both) - len(known))


def test_calibration_error_by_hand() -> None:
    probability = np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(probability, np.array([False, False, True, True]), n_bins=2) == pytest.approx(0.1)
    assert calibration_error(probability, np.array([True, True, False, False]), n_bins=2) == pytest.approx(0.9)
