"""Permutation p-values: tails fitted to permuted maps, for small p-values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm

from spacex.svg.maps import MapBatch, StandardizedMaps
from spacex.svg.params import DEFAULT_PARAMS, SVGParams


def refine_pvalues(
    log_p: np.ndarray,
    maps: StandardizedMaps,
    score: Callable[[MapBatch], np.ndarray],
    n_permutations: int,
    *,
    seed: int,
    progress: bool,
    params: SVGParams = DEFAULT_PARAMS,
) -> np.ndarray:
    """Log p-values (G,) in which those below `SVGParams.permutation_level` are calibrated on permuted maps.

    The pixels of a map are permuted within sections and the permuted maps are tested like the map (`score`). See
    `fit_tail` for the p-value. Permutations assume exchangeable pixels: if the variance of a gene follows the library
    size and that follows the tissue, the analytic null is more accurate.
    """
    out = log_p.copy()
    section = maps.images.layout.section
    is_small = log_p < np.log(params.permutation_level)
    bar = tqdm(total=int(is_small.sum()), desc="permutations", unit="gene", disable=not progress)
    for batch in maps.batches():
        rows = np.flatnonzero(is_small[batch.genes])
        if not len(rows):
            continue
        part = batch.take(rows)
        # The permutations are the same for every batch; they are redrawn because storing them needs much memory.
        rng = np.random.default_rng(seed)
        orders = (_permutation(section, rng) for _ in range(n_permutations))
        null = np.stack([score(part._replace(maps=part.maps[:, o], squares=part.squares[:, o])) for o in orders])
        out[part.genes] = fit_tail(log_p[part.genes], null, tail=params.permutation_tail)
        bar.update(len(rows))
    bar.close()
    return out


def fit_tail(log_p: np.ndarray, null: np.ndarray, *, tail: float = DEFAULT_PARAMS.permutation_tail) -> np.ndarray:
    """Log p-values (B,) of observed log p-values (B,), given those of N permuted maps (N, B).

    If the analytic null were exact, -log p of permuted maps would be exponential with mean one. An exponential is
    fitted to their largest fraction `tail`; its rate is one over the mean excess, the maximum likelihood estimate (cf.
    Knijnenburg et al. 2009, who fit a generalized Pareto tail). This extrapolates far below 1 / N. Observed values
    outside the tail get the rank p-value (Phipson & Smyth 2010, eq. 2).
    """
    score, null_score = -log_p, -null
    threshold = np.quantile(null_score, 1.0 - tail, axis=0)
    in_tail = null_score > threshold
    excess = np.where(in_tail, null_score - threshold, 0.0).sum(axis=0) / np.maximum(in_tail.sum(axis=0), 1)
    extrapolated = np.log(in_tail.mean(axis=0)) - (score - threshold) / np.maximum(excess, 1e-6)
    rank = np.log((1 + (null_score >= score).sum(axis=0)) / (1 + len(null)))
    return np.where(score > threshold, extrapolated, rank)


def _permutation(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random permutation (P,) of the pixels within their sections."""
    order = np.arange(len(section))
    for s in range(int(section.max()) + 1):
        pixels = np.flatnonzero(section == s)
        order[pixels] = rng.permutation(pixels)
    return order
