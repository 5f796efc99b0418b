"""Differences between two conditions: statistics and permutation p-values, with sections or donors as the units.

The context of a gene in a section is its vector of similarities to all modules. Contexts also differ between sections
of one condition, and genes of one module change together. A gene's statistic is therefore compared with the statistics
of all genes under the other assignments of sections (or donors) to conditions (pooled permutation null, Tusher,
Tibshirani & Chu 2001). All assignments are used if they are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np

from spacex._infra.settings import coerce_floats, coerce_ints
from spacex.stats import l2_normalize

MIN_SPLITS = 9
"""Minimum number of other assignments for q-values: those of three units of each condition."""


@dataclass(frozen=True)
class CompareParams:
    """Settings of `spacex.tl.compare`.

    The defaults are those that measured best; figures below are from "Conditions" in ``docs/method.md``.

    Parameters
    ----------
    min_counts
        Minimum number of counts for a gene to be present in a section.
    max_splits
        Maximum number of permuted assignments of sections to conditions.
    cosine_power
        Power of the cosines with modules in a context. With 1 instead of 4, a module that changes its position changes
        the contexts of all genes: the power on simulated data was 0.00, 0.18 and 0.44 instead of 0.34, 0.82 and 0.84
        with 4, 6 and 8 sections. Large values amplify noise.
    min_context_norm
        Contexts with a larger norm are scaled to norm 1, others are divided by this value. The default is the norm of
        a gene with a cosine of 0.42 with one module. It raised the power to 0.86, 0.97 and 0.94.
    pair_sd_offset
        Added to the standard deviation between sections of a pair's cosine, which few sections estimate poorly.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.CompareParams(max_splits=1000).max_splits
    1000
    """

    min_counts: int = 5
    max_splits: int = 200
    cosine_power: int = 4
    min_context_norm: float = 0.03
    pair_sd_offset: float = 0.3

    def __post_init__(self) -> None:
        coerce_ints(self, {"min_counts": (1, 2**31 - 1), "max_splits": (1, 100_000), "cosine_power": (1, 100)})
        coerce_floats(self, "min_context_norm", "pair_sd_offset", above=0.0)


def pair_splits(second: np.ndarray, pair: np.ndarray, max_splits: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Other assignments (masks (U,)) in which the two units of some pairs exchange their conditions.

    Parameters
    ----------
    second
        (U,) mask of the units of the second condition.
    pair
        (U,) pair of each unit, from 0; each has one unit of each condition.
    max_splits
        Maximum number of assignments; a random sample if there are more.
    rng
        Random generator.
    """
    n = int(pair.max()) + 1  # the first pair is fixed, because a mask and its complement are the same split
    if 2 ** (n - 1) <= 4 * max_splits:
        flips = np.array(list(product([False, True], repeat=n - 1))).reshape(-1, n - 1)
    else:
        flips = rng.random((4 * max_splits, n - 1)) < 0.5
    flips = np.unique(flips[flips.any(axis=1)], axis=0)
    chosen = rng.permutation(len(flips))[:max_splits] if len(flips) > max_splits else np.arange(len(flips))
    return [second ^ np.r_[False, flips[i]][pair] for i in chosen]


def label_splits(second: np.ndarray, max_splits: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Other assignments (masks (S,)) of sections to two conditions with the sizes of the actual one, `second` (S,).

    All of them, or a random sample of `max_splits`. The actual assignment, and its complement if both conditions have
    the same size, are left out.
    """
    n, k = len(second), int(second.sum())
    is_symmetric = 2 * k == n
    if comb(n, k) <= 4 * max_splits:
        masks = np.stack([np.isin(np.arange(n), chosen) for chosen in combinations(range(n), k)])
    else:
        masks = np.stack([rng.permutation(second) for _ in range(4 * max_splits)])
    # With equal sizes a mask and its complement are the same split: keep the one without the first section.
    masks = np.where(masks[:, :1] & is_symmetric, ~masks, masks)
    actual = ~second if is_symmetric and second[0] else second
    splits = [mask for mask in np.unique(masks, axis=0) if (mask != actual).any()]
    return [splits[i] for i in rng.permutation(len(splits))[:max_splits]] if len(splits) > max_splits else splits


def module_context(z: np.ndarray, module: np.ndarray, params: CompareParams) -> np.ndarray:
    """Contexts (G, S, K) of genes: positive cosines with the mean directions of modules, raised to a power.

    Modules are weighted by the square root of their size. Otherwise a few genes that change together and form a module
    would make all genes of their former module appear changed. Contexts have norm 1, or less for genes that are similar
    to no module, whose contexts are noise.

    Parameters
    ----------
    z
        Embeddings (G, S, D) of each gene in each section.
    module
        Module (G,) of each gene, -1 for none, from all sections.
    params
        Settings.
    """
    direction = l2_normalize(z.astype(np.float32))
    member = np.eye(int(module.max()) + 1, dtype=np.float32)[:, module[module >= 0]]  # (K, genes with a module)
    center = l2_normalize(np.einsum("kg,gsd->ksd", member, direction[module >= 0]))
    cosine = np.einsum("gsd,ksd->gsk", direction, center)
    size = member.sum(axis=1)
    context = np.maximum(cosine, 0.0) ** params.cosine_power * np.sqrt(size / size.max())
    return np.asarray(context / np.maximum(np.linalg.norm(context, axis=2, keepdims=True), params.min_context_norm))


def context_distance(context: np.ndarray) -> np.ndarray:
    """Distances (G, S, S) of a gene's contexts (G, S, K) between sections: 1 - scalar product."""
    return 1.0 - np.einsum("gsk,gtk->gst", context, context)


def context_change(distance: np.ndarray, present: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Change of context (G,), at most 1: mean distance between conditions minus the mean distance within them.

    NaN for genes that are `present` (G, S) in fewer than two sections of a condition.
    """
    pair = present[:, :, None] & present[:, None, :] & ~np.eye(len(second), dtype=bool)

    def mean(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        used = pair & (rows[:, None] & columns[None, :])
        count = used.sum(axis=(1, 2))
        total = np.where(used, distance, 0.0).sum(axis=(1, 2))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return mean(~second, second) - 0.5 * (mean(second, second) + mean(~second, ~second))


def pair_change(cosine: np.ndarray, second: np.ndarray, params: CompareParams) -> np.ndarray:
    """Difference (N,) of the mean cosines (N, S) of pairs between conditions, over the standard deviation within."""
    b, a = cosine[:, second], cosine[:, ~second]
    sd = np.sqrt(0.5 * (a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)))
    return (b.mean(axis=1) - a.mean(axis=1)) / (sd + params.pair_sd_offset)


def pooled_pvalue(observed: np.ndarray, permuted: list[np.ndarray]) -> np.ndarray:
    """P-values (G,) of statistics (G,): share of all genes' permuted statistics that are at least as large.

    The share is add-one corrected. NaN for statistics that are NaN.
    """
    null = np.sort(np.concatenate(permuted))
    null = null[~np.isnan(null)]
    n_larger = len(null) - np.searchsorted(null, observed, side="left")
    return np.where(np.isnan(observed), np.nan, (1.0 + n_larger) / (1.0 + len(null)))
