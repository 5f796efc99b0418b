"""The sign-flip null distribution: p-values and probabilities of unrelated and of related genes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.pairs import CosineSimilarity, PairParams, SignFlipNull, neighbor_pairs
from spacex.pairs.null import fit_relation_curve, related_share


def genes(n: int, n_dims: int, seed: int, *, groups: int = 0, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings of unrelated genes, of which a share is put into groups, and the group of each (-1: none)."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, n_dims)) * np.linspace(2.0, 0.3, n_dims)  # variances as uneven as in tissue
    group = np.full(n, -1)
    if groups:
        group[: int(share * n)] = rng.integers(groups, size=int(share * n))
        center = rng.standard_normal((groups, n_dims)) * np.linspace(2.0, 0.3, n_dims)
        z[group >= 0] = 2.0 * center[group[group >= 0]] + 0.7 * z[group >= 0]
    return z.astype(np.float32), group


def sign_flip_null(z: np.ndarray, strength: np.ndarray) -> SignFlipNull:
    return SignFlipNull.from_similarity(CosineSimilarity(z), strength, PairParams(), n_per_bin=300, seed=0)


def random_pairs(n_genes: int, n: int, seed: int) -> np.ndarray:
    pairs = np.random.default_rng(seed).integers(n_genes, size=(n, 2))
    return pairs[pairs[:, 0] != pairs[:, 1]]


def test_unrelated_genes_have_uniform_pvalues_and_low_probability() -> None:
    z, _ = genes(1000, 12, seed=0)
    strength = np.linalg.norm(z, axis=1)
    null = sign_flip_null(z, strength)
    pairs = random_pairs(1000, 20_000, seed=1)
    cosine = CosineSimilarity(z).pairwise(pairs)
    p = null.pvalue(cosine, *strength[pairs.T])
    for level in (0.05, 0.01, 0.001):
        assert (p < level).mean() == pytest.approx(level, rel=0.35)
    assert null.probability(cosine, *strength[pairs.T]).mean() < 0.01


def test_probabilities_of_planted_relations_are_calibrated() -> None:
    z, group = genes(1500, 12, seed=2, groups=12, share=0.6)
    strength = np.linalg.norm(z, axis=1)
    null = sign_flip_null(z, strength)
    pairs = random_pairs(1500, 60_000, seed=3)
    probability = null.probability(CosineSimilarity(z).pairwise(pairs), *strength[pairs.T])
    related = (group[pairs[:, 0]] == group[pairs[:, 1]]) & (group[pairs[:, 0]] >= 0)
    assert related.mean() < probability.mean() < 1.7 * related.mean()  # some groups are similar
    assert related[probability > 0.9].mean() > 0.75
    assert related[probability < 0.1].mean() < 0.02
    assert probability[related].mean() > 0.6


def test_genes_are_compared_with_genes_of_similar_strength() -> None:
    """Strong genes share one axis and weak genes do not, so the same cosine is common among strong genes only."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((800, 10))
    strong = np.arange(800) < 400
    z[strong, 0] += 4.0 * rng.choice([-1.0, 1.0], 400)
    strength = np.where(strong, 5.0, 1.0) + 0.01 * rng.random(800)
    null = sign_flip_null(z, strength)
    p = null.pvalue(np.array([0.6, 0.6]), np.array([5.005, 1.005]), np.array([5.005, 1.005]))
    assert p[0] > 0.2
    assert p[1] < 0.05


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 400), shift=st.floats(-1, 1))
def test_related_share_is_a_rising_probability(seed: int, n: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    similarity = np.sort(np.tanh(rng.normal(shift, 0.4, n)))
    share = related_share(similarity)
    assert ((share >= 0) & (share < 1)).all()
    assert (share[similarity <= 0] == 0).all()
    assert (np.diff(share) >= -1e-12).all()
    assert fit_relation_curve(similarity, PairParams())[1] >= 0


def test_few_genes_and_only_negative_similarities() -> None:
    z, _ = genes(12, 4, seed=0)
    null = sign_flip_null(z, np.ones(12))
    assert len(null.sampled[0, 0]) == 66
    assert null.pvalue(np.array([0.99]), np.ones(1), np.ones(1))[0] >= 1 / 67
    assert fit_relation_curve(np.array([-0.9, -0.5, -0.1]), PairParams()) == (-np.inf, 0.0)
    opposed = SignFlipNull(np.empty(0), {(0, 0): np.array([-0.5, -0.1])}, {(0, 0): (-np.inf, 0.0)})
    assert opposed.probability(np.array([0.9]), np.ones(1), np.ones(1))[0] == 0.0


def test_opposite_patterns_of_strong_genes_do_not_hide_relations() -> None:
    """Strong genes of one axis are similar or opposite; among all pairs, large positive cosines are more frequent."""
    rng = np.random.default_rng(0)
    weak, _ = genes(400, 8, seed=2, groups=6, share=0.8)
    strong = np.zeros((100, weak.shape[1]))
    strong[:, 0] = rng.choice([-1.0, 1.0], 100)
    strong += rng.normal(0, 0.1, strong.shape)
    strength = np.r_[np.ones(400), np.full(100, 2.0)]
    null = sign_flip_null(np.vstack([weak, strong]), strength)
    assert len(null.sampled) > 1
    high, low = (null.probability(np.array([c]), np.full(1, 2.0), np.full(1, 2.0))[0] for c in (0.97, 0.2))
    alone = SignFlipNull(null.edges, null.sampled, null.curve)
    assert high > alone.probability(np.array([0.97]), np.full(1, 2.0), np.full(1, 2.0))[0]
    assert low < 0.5


def test_neighbor_pairs_are_nearest_by_cosine() -> None:
    z, _ = genes(60, 5, seed=1)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    expected = {tuple(sorted((i, int(j)))) for i in range(60) for j in np.argsort(-cosine[i])[:4]}
    pairs = neighbor_pairs(z, 4)
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert len(neighbor_pairs(z[:3], 10)) == 3
