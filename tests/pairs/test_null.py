"""The mirrored null of pairs: what two unrelated genes of the same strength do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.pairs import CosineSimilarity, SignFlipNull, neighbor_pairs
from spacex.pairs.null import excess, relation_curve


def genes(n: int, n_dims: int, seed: int, *, groups: int = 0, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Directions without a relation, of which a share belongs to groups; embeddings and group (-1: none)."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, n_dims)) * np.linspace(2.0, 0.3, n_dims)  # as unequal as those of tissue
    group = np.full(n, -1)
    if groups:
        group[: int(share * n)] = rng.integers(groups, size=int(share * n))
        center = rng.standard_normal((groups, n_dims)) * np.linspace(2.0, 0.3, n_dims)
        z[group >= 0] = 2.0 * center[group[group >= 0]] + 0.7 * z[group >= 0]
    return z.astype(np.float32), group


def random_pairs(n_genes: int, n: int, seed: int) -> np.ndarray:
    pairs = np.random.default_rng(seed).integers(n_genes, size=(n, 2))
    return pairs[pairs[:, 0] != pairs[:, 1]]


def test_unrelated_genes_have_uniform_p_values_and_no_probability() -> None:
    z, _ = genes(1000, 12, seed=0)
    likeness, strength = CosineSimilarity(z), np.linalg.norm(z, axis=1)
    null = SignFlipNull.of(likeness, strength, seed=0)
    pairs = random_pairs(1000, 20_000, seed=1)
    cosine = likeness.of(pairs)
    p = null.pvalue(cosine, *strength[pairs.T])
    for level in (0.05, 0.01, 0.001):
        assert (p < level).mean() == pytest.approx(level, rel=0.35)
    assert null.probability(cosine, *strength[pairs.T]).mean() < 0.01


def test_probabilities_of_planted_relations_are_calibrated() -> None:
    z, group = genes(1500, 12, seed=2, groups=12, share=0.6)
    likeness, strength = CosineSimilarity(z), np.linalg.norm(z, axis=1)
    null = SignFlipNull.of(likeness, strength, seed=0)
    pairs = random_pairs(1500, 60_000, seed=3)
    probability = null.probability(likeness.of(pairs), *strength[pairs.T])
    related = (group[pairs[:, 0]] == group[pairs[:, 1]]) & (group[pairs[:, 0]] >= 0)
    assert related.mean() < probability.mean() < 1.7 * related.mean()  # some groups are alike
    assert related[probability > 0.9].mean() > 0.75
    assert related[probability < 0.1].mean() < 0.02
    assert probability[related].mean() > 0.6


def test_strong_genes_are_compared_with_strong_ones() -> None:
    """Strong genes follow one axis, weak ones none: what is chance among the strong is rare among the weak."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((800, 10))
    strong = np.arange(800) < 400
    z[strong, 0] += 4.0 * rng.choice([-1.0, 1.0], 400)
    strength = np.where(strong, 5.0, 1.0) + 0.01 * rng.random(800)
    null = SignFlipNull.of(CosineSimilarity(z), strength, seed=0)
    of = np.array([0.6, 0.6])
    p = null.pvalue(of, np.array([5.005, 1.005]), np.array([5.005, 1.005]))
    assert p[0] > 0.2
    assert p[1] < 0.05


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 400), shift=st.floats(-1, 1))
def test_excess_is_a_probability_that_rises(seed: int, n: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    low = np.sort(np.tanh(rng.normal(shift, 0.4, n)))
    found = excess(low)
    assert ((found >= 0) & (found < 1)).all()
    assert (found[low <= 0] == 0).all()
    assert (np.diff(found) >= -1e-12).all()
    assert relation_curve(low)[1] >= 0


def test_few_genes_and_no_excess_have_a_defined_answer() -> None:
    z, _ = genes(12, 4, seed=0)
    null = SignFlipNull.of(CosineSimilarity(z), np.ones(12), seed=0)
    assert len(null.low[0, 0]) == 66
    assert null.pvalue(np.array([0.99]), np.ones(1), np.ones(1))[0] >= 1 / 67
    assert relation_curve(np.array([-0.9, -0.5, -0.1])) == (-np.inf, 0.0)
    opposed = SignFlipNull(np.empty(0), {(0, 0): np.array([-0.5, -0.1])}, {(0, 0): (-np.inf, 0.0)})
    assert opposed.probability(np.array([0.9]), np.ones(1), np.ones(1))[0] == 0.0


def test_neighbour_pairs_are_the_nearest_by_cosine() -> None:
    z, _ = genes(60, 5, seed=1)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    wanted = {tuple(sorted((i, int(j)))) for i in range(60) for j in np.argsort(-cosine[i])[:4]}
    pairs = neighbor_pairs(z, 4)
    assert {tuple(pair) for pair in pairs.tolist()} == wanted
    assert len(neighbor_pairs(z[:3], 10)) == 3
