"""The classifier of known pairs: degree-matched negatives, and models trained without a pair's genes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.pairs import PairClassifier, PairParams, degree_matched
from spacex.stats import calibration_error


def random_pairs(n_genes: int, n: int, seed: int) -> np.ndarray:
    """Return distinct pairs in which some genes are much more frequent than others."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, 1.0, n_genes)
    pairs = rng.choice(n_genes, (n, 2), p=weight / weight.sum())
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_genes=st.integers(40, 300), n_folds=st.integers(1, 4))
def test_negatives_are_new_pairs_of_the_same_genes_and_folds(seed: int, n_genes: int, n_folds: int) -> None:
    pairs = random_pairs(n_genes, 2 * n_genes, seed)
    fold = np.arange(n_genes) % n_folds
    negative = degree_matched(pairs, fold, np.random.default_rng(seed))
    coded = {tuple(sorted(pair)) for pair in negative.tolist()}
    assert len(coded) == len(negative)
    assert not coded & {tuple(pair) for pair in pairs.tolist()}
    assert (negative[:, 0] != negative[:, 1]).all()
    degree, negative_degree = (np.bincount(p.ravel(), minlength=n_genes) for p in (pairs, negative))
    assert (negative_degree <= degree).all()
    blocks, negative_blocks = (set((np.sort(fold[p], axis=1) @ [10, 1]).tolist()) for p in (pairs, negative))
    assert negative_blocks <= blocks


def test_negatives_match_the_degrees_of_positives() -> None:
    pairs = random_pairs(500, 1500, seed=0)
    negative = degree_matched(pairs, np.zeros(500, dtype=int), np.random.default_rng(0))
    assert len(negative) > 0.97 * len(pairs)
    degree, negative_degree = (np.bincount(p.ravel(), minlength=500) for p in (pairs, negative))
    assert np.corrcoef(degree, negative_degree)[0, 1] > 0.98


@pytest.mark.parametrize("n_folds", [4, 5])
def test_features_of_gene_identity_do_not_help(n_folds: int) -> None:
    """A pair is scored by a model trained without its genes, which cannot have memorized them."""
    rng = np.random.default_rng(0)
    known = random_pairs(200, 600, seed=1)
    identity = rng.standard_normal((200, 8))
    classifier = PairClassifier(200, 0, PairParams(n_folds=n_folds))
    pairs = np.concatenate([known, classifier.sample_negatives(known)])
    is_known = np.arange(len(pairs)) < len(known)
    report = classifier.fit(pairs, identity[pairs[:, 0]] * identity[pairs[:, 1]], is_known)
    assert report.auroc < 0.58
    assert len(classifier.models_) == n_folds * (n_folds + 1) // 2


def test_features_of_pairs_are_learned_and_calibrated() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(12, size=400)
    candidates = random_pairs(400, 40_000, seed=2)
    known = candidates[group[candidates[:, 0]] == group[candidates[:, 1]]][:800]
    classifier = PairClassifier(400, 0)
    pairs = np.concatenate([known, classifier.sample_negatives(known)])
    is_known = np.arange(len(pairs)) < len(known)
    feature = np.where(group[pairs[:, 0]] == group[pairs[:, 1]], 1.0, 0.0) + rng.normal(0, 0.6, len(pairs))
    report = classifier.fit(pairs, feature[:, None], is_known)
    assert report.auroc > 0.8
    assert report.ece < 0.05
    assert (report.n_known, report.n_negative) == (len(known), len(pairs) - len(known))


def test_calibration_error_by_hand() -> None:
    probability = np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(probability, np.array([False, False, True, True]), n_bins=2) == pytest.approx(0.1)
    assert calibration_error(probability, np.array([True, True, False, False]), n_bins=2) == pytest.approx(0.9)
