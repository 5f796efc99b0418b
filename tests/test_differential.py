"""Statistics of conditions: contexts, labellings, and p-values whose unit is the section."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.differential import context_change, distances, label_splits, module_context, pair_change, pooled_pvalue


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4, 8), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_all_other_labellings_are_taken_once(n: int, k: int, seed: int) -> None:
    k = min(k, n - 2)
    rng = np.random.default_rng(seed)
    second = rng.permutation(np.arange(n) < k)
    splits = label_splits(second, 500, rng)
    assert len(splits) == (comb(n, k) // 2 if 2 * k == n else comb(n, k)) - 1
    assert all(split.sum() == k for split in splits)
    sides = {frozenset([tuple(split), tuple(~split)]) if 2 * k == n else tuple(split) for split in splits}
    assert len(sides) == len(splits)
    assert (frozenset([tuple(second), tuple(~second)]) if 2 * k == n else tuple(second)) not in sides


def test_many_sections_have_labellings_drawn_at_random() -> None:
    second = np.arange(40) < 20
    splits = label_splits(second, 200, np.random.default_rng(0))
    assert len(splits) == 200
    assert len({tuple(split) for split in splits}) == 200
    assert all(split.sum() == 20 for split in splits)


def planted(n_genes: int = 300, n_sections: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings of genes of six modules, whose directions differ between sections; 20 genes move in half of these."""
    rng = np.random.default_rng(seed)
    module = rng.integers(6, size=n_genes)
    center = rng.standard_normal((n_sections, 6, 12))
    moved = np.arange(n_genes) < 20
    now = np.where(moved, (module + 1) % 6, module)
    where = np.stack([now if s >= n_sections // 2 else module for s in range(n_sections)], axis=1)
    z = center[np.arange(n_sections), where] + 0.4 * rng.standard_normal((n_genes, n_sections, 12))
    return z, module, moved


def test_genes_that_move_are_found_and_no_coordinates_need_align() -> None:
    z, module, moved = planted()
    second = np.arange(6) >= 3
    distance = distances(module_context(z, module))
    present = np.ones(z.shape[:2], dtype=bool)
    observed = context_change(distance, present, second)
    assert observed[moved].min() > 0.6 > 0.2 > observed[~moved].max()
    splits = label_splits(second, 200, np.random.default_rng(0))
    p = pooled_pvalue(observed, [context_change(distance, present, split) for split in splits])
    assert p[moved].max() < 0.002
    assert (p[~moved] < 0.05).mean() < 0.06


def test_change_is_what_a_loop_says_and_leaves_absent_genes_out() -> None:
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

    found = context_change(distance, present, second)
    np.testing.assert_allclose(found, [by_hand(g) for g in range(5)])
    assert np.isnan(found[2])
    assert np.isnan(pooled_pvalue(found, [found])[2])


def test_a_module_of_few_genes_does_not_make_a_large_one_look_changed() -> None:
    """Three genes leave a module of sixty in half of the sections, and make a module of their own."""
    z, module, _ = planted(n_genes=363, seed=1)
    module[:], second = np.arange(363) % 6, np.arange(6) >= 3
    module[360:] = 6
    rng = np.random.default_rng(0)
    home = np.stack([z[module == 0, s].mean(axis=0) for s in range(6)])
    away = rng.standard_normal((6, 12))
    for s in range(6):
        z[360:, s] = (away if second[s] else home)[s] + 0.1 * rng.standard_normal((3, 12))
    found = context_change(distances(module_context(z, module)), np.ones((363, 6), dtype=bool), second)
    assert np.median(found[(module == 0) & (np.arange(363) >= 20)]) < 0.1


def test_contexts_are_short_where_a_gene_is_like_no_module() -> None:
    z, module, _ = planted()
    z[50] = np.random.default_rng(0).standard_normal((6, 12)) * 1e-9
    module[50] = -1
    context = module_context(z, module)
    length = np.linalg.norm(context, axis=2)
    assert (length <= 1 + 1e-6).all()
    assert np.median(length[module >= 0]) == pytest.approx(1)


def test_pair_change_by_hand() -> None:
    cosine = np.array([[0.9, 0.7, 0.1, 0.3]])
    spread = np.sqrt(0.5 * (np.var([0.9, 0.7], ddof=1) + np.var([0.1, 0.3], ddof=1)))
    second = np.array([False, False, True, True])
    assert pair_change(cosine, second)[0] == pytest.approx(-0.6 / (spread + 0.3))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 300))
def test_pooled_p_values_are_shares(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    observed, null = rng.standard_normal(n), [rng.standard_normal(n) for _ in range(3)]
    p = pooled_pvalue(observed, null)
    pool = np.concatenate(null)
    wanted = [(1 + (pool >= value).sum()) / (1 + 3 * n) for value in observed]
    np.testing.assert_allclose(p, wanted)
