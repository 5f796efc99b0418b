"""Differences between conditions: contexts, permuted labelings, and pooled p-values."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex._infra.errors import InputError
from spacex.differential import (
    CompareParams,
    context_change,
    context_distance,
    label_splits,
    module_context,
    pair_change,
    pooled_pvalue,
)

PARAMS = CompareParams()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4, 8), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_all_other_labelings_are_used_once(n: int, k: int, seed: int) -> None:
    k = min(k, n - 2)
    rng = np.random.default_rng(seed)
    second = rng.permutation(np.arange(n) < k)
    splits = label_splits(second, 500, rng)
    assert len(splits) == (comb(n, k) // 2 if 2 * k == n else comb(n, k)) - 1
    assert all(split.sum() == k for split in splits)
    sides = {frozenset([tuple(split), tuple(~split)]) if 2 * k == n else tuple(split) for split in splits}
    assert len(sides) == len(splits)
    assert (frozenset([tuple(second), tuple(~second)]) if 2 * k == n else tuple(second)) not in sides


def test_labelings_of_many_sections_are_sampled() -> None:
    second = np.arange(40) < 20
    splits = label_splits(second, 200, np.random.default_rng(0))
    assert len(splits) == 200
    assert len({tuple(split) for split in splits}) == 200
    assert all(split.sum() == 20 for split in splits)


def simulate(n_genes: int = 300, n_sections: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings in which 20 genes change their module in half of the sections, the modules, and these genes.

    The directions of the modules differ between sections.
    """
    rng = np.random.default_rng(seed)
    module = rng.integers(6, size=n_genes)
    center = rng.standard_normal((n_sections, 6, 12))
    moved = np.arange(n_genes) < 20
    new_module = np.where(moved, (module + 1) % 6, module)
    module_in_section = np.stack([new_module if s >= n_sections // 2 else module for s in range(n_sections)], axis=1)
    z = center[np.arange(n_sections), module_in_section] + 0.4 * rng.standard_normal((n_genes, n_sections, 12))
    return z, module, moved


def test_genes_that_change_their_module_are_found() -> None:
    z, module, moved = simulate()
    second = np.arange(6) >= 3
    distance = context_distance(module_context(z, module, PARAMS))
    present = np.ones(z.shape[:2], dtype=bool)
    observed = context_change(distance, present, second)
    assert observed[moved].min() > 0.6 > 0.2 > observed[~moved].max()
    splits = label_splits(second, 200, np.random.default_rng(0))
    p = pooled_pvalue(observed, [context_change(distance, present, split) for split in splits])
    assert p[moved].max() < 0.002
    assert (p[~moved] < 0.05).mean() < 0.06


def test_context_change_equals_a_loop_and_omits_absent_genes() -> None:
    rng = np.random.default_rng(0)
    distance = rng.random((5, 6, 6))
    distance = 0.5 * (distance + distance.transpose(0, 2, 1))
    present = np.ones((5, 6), dtype=bool)
    present[1, 0] = False
    present[2, [2, 4]] = False
    second = np.array([0, 1, 0, 1, 0, 1], dtype=bool)

    def by_hand(g: int) -> float:
        def mean(pairs: list[tuple[int, int]]) -> float:
            values = [distance[g, s, t] for s, t in pairs if s != t and present[g, s] and present[g, t]]
            return np.mean(values) if values else np.nan

        a, b = np.flatnonzero(~second), np.flatnonzero(second)
        within = [mean([(s, t) for s in side for t in side]) for side in (a, b)]
        return mean([(s, t) for s in a for t in b]) - np.mean(within)

    change = context_change(distance, present, second)
    np.testing.assert_allclose(change, [by_hand(g) for g in range(5)])
    assert np.isnan(change[2])
    assert np.isnan(pooled_pvalue(change, [change])[2])


def test_small_module_does_not_change_the_context_of_a_large_one() -> None:
    """Three genes leave a module of sixty in half of the sections, and form a module."""
    z, module, _ = simulate(n_genes=363, seed=1)
    module[:], second = np.arange(363) % 6, np.arange(6) >= 3
    module[360:] = 6
    rng = np.random.default_rng(0)
    home = np.stack([z[module == 0, s].mean(axis=0) for s in range(6)])
    away = rng.standard_normal((6, 12))
    for s in range(6):
        z[360:, s] = (away if second[s] else home)[s] + 0.1 * rng.standard_normal((3, 12))
    change = context_change(context_distance(module_context(z, module, PARAMS)), np.ones((363, 6), dtype=bool), second)
    assert np.median(change[(module == 0) & (np.arange(363) >= 20)]) < 0.1


def test_contexts_of_genes_without_a_module_are_short() -> None:
    z, module, _ = simulate()
    z[50] = np.random.default_rng(0).standard_normal((6, 12)) * 1e-9
    module[50] = -1
    context = module_context(z, module, PARAMS)
    length = np.linalg.norm(context, axis=2)
    assert (length <= 1 + 1e-6).all()
    assert np.median(length[module >= 0]) == pytest.approx(1)


def test_pair_change_by_hand() -> None:
    cosine = np.array([[0.9, 0.7, 0.1, 0.3]])
    spread = np.sqrt(0.5 * (np.var([0.9, 0.7], ddof=1) + np.var([0.1, 0.3], ddof=1)))
    second = np.array([False, False, True, True])
    assert pair_change(cosine, second, PARAMS)[0] == pytest.approx(-0.6 / (spread + 0.3))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 300))
def test_pooled_pvalues_are_shares(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    observed, null = rng.standard_normal(n), [rng.standard_normal(n) for _ in range(3)]
    p = pooled_pvalue(observed, null)
    pool = np.concatenate(null)
    expected = [(1 + (pool >= value).sum()) / (1 + 3 * n) for value in observed]
    np.testing.assert_allclose(p, expected)


@pytest.mark.parametrize(("name", "value"), [("max_splits", 0), ("cosine_power", 1.5), ("min_context_norm", 0)])
def test_invalid_params_raise(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"CompareParams\.{name}={value} is not allowed; pass a"):
        CompareParams(**{name: value})
