"""Differences between conditions whose unit is the section: statistics of genes and pairs, and what relabelling gives.

A gene's context in a section is who it goes with there: its likeness to every module. Sections of one condition differ
too, and genes of a module differ together; so a gene's statistic is set against those of all genes under the other ways
to deal the sections out to two conditions (the pooled permutation null of Tusher, Tibshirani & Chu 2001). All of
them are taken where they are few.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from spacex.stats import l2_normalize

SHARPNESS = 4
"""Power of the cosine with a module. 1: a module that shifts against others moves all of its genes; 8: noise rules."""
MIN_CONTEXT_NORM = 0.03
"""Length up to which a context is none: that of a gene with a cosine of .42 with one module. Else it has length one."""
SPREAD = 0.3
"""Standard deviation between sections that a pair is taken to have at least, about."""


def label_splits(second: np.ndarray, most: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The other ways (masks, (S,)) to deal sections out to two conditions of the same sizes as `second` (S,) gives.

    All of them, or `most` at random where there are more. The actual one and its exchange of names are left out.
    """
    n, k = len(second), int(second.sum())
    mirrored = 2 * k == n
    if comb(n, k) <= 4 * most:
        drawn = np.stack([np.isin(np.arange(n), chosen) for chosen in combinations(range(n), k)])
    else:
        drawn = np.stack([rng.permutation(second) for _ in range(4 * most)])
    # Of two masks that differ by names only the one without the first section stands for both.
    drawn = np.where(drawn[:, :1] & mirrored, ~drawn, drawn)
    actual = ~second if mirrored and second[0] else second
    masks = [mask for mask in np.unique(drawn, axis=0) if (mask != actual).any()]
    return [masks[i] for i in rng.permutation(len(masks))[:most]] if len(masks) > most else masks


def module_context(z: np.ndarray, module: np.ndarray) -> np.ndarray:
    """Context (G, S, K) of genes: positive cosines with the mean directions of modules, to a power.

    A module counts by its number of genes: few that change together and make a module of their own must not make those
    that they leave look changed. Of unit length, but shorter where a gene is like no module: what is noise then differs
    as much within conditions.

    Parameters
    ----------
    z
        Embeddings (G, S, D) of every gene in each section alone.
    module
        Module (G,) of every gene from all sections, -1 for none.
    """
    direction = l2_normalize(z.astype(np.float32))
    member = np.eye(int(module.max()) + 1, dtype=np.float32)[:, module[module >= 0]]  # (K, genes in one)
    center = l2_normalize(np.einsum("kg,gsd->ksd", member, direction[module >= 0]))
    cosine = np.einsum("gsd,ksd->gsk", direction, center)
    size = member.sum(axis=1)
    context = np.maximum(cosine, 0.0) ** SHARPNESS * np.sqrt(size / size.max())
    return np.asarray(context / np.maximum(np.linalg.norm(context, axis=2, keepdims=True), MIN_CONTEXT_NORM))


def distances(context: np.ndarray) -> np.ndarray:
    """1 - product (G, S, S) of a gene's contexts (G, S, K) between sections."""
    return 1.0 - np.einsum("gsk,gtk->gst", context, context)


def context_change(distance: np.ndarray, present: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean distance between conditions less the mean of those within either (G,), from 0 (none) to 1.

    NaN for genes that are `present` (G, S) in fewer than two sections of a condition.
    """
    pair = present[:, :, None] & present[:, None, :] & ~np.eye(len(second), dtype=bool)

    def mean(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        here = pair & (rows[:, None] & columns[None, :])
        count = here.sum(axis=(1, 2))
        total = np.where(here, distance, 0.0).sum(axis=(1, 2))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return mean(~second, second) - 0.5 * (mean(second, second) + mean(~second, ~second))


def pair_change(cosine: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Difference (N,) of the mean cosine (N, S) of pairs, `second` less the other, over its spread between sections."""
    b, a = cosine[:, second], cosine[:, ~second]
    spread = np.sqrt(0.5 * (a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)))
    return (b.mean(axis=1) - a.mean(axis=1)) / (spread + SPREAD)


def pooled_pvalue(observed: np.ndarray, relabelled: list[np.ndarray]) -> np.ndarray:
    """P-values (G,) of statistics (G,): the share of all genes' statistics under other labels that are as large.

    NaN where the statistic is.
    """
    null = np.sort(np.concatenate(relabelled))
    null = null[~np.isnan(null)]
    larger = len(null) - np.searchsorted(null, observed, side="left")
    return np.where(np.isnan(observed), np.nan, (1.0 + larger) / (1.0 + len(null)))
