"""Tails fitted to shuffled maps, for the smallest p-values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tqdm.auto import tqdm

from spacex.svg.maps import Batch, StandardMaps

LEVEL = 0.05
"""Genes with a larger p-value are left as they are."""
TAIL = 0.25
"""Share of the shuffled maps to which the tail is fitted."""


def refine(
    log_p: np.ndarray,
    maps: StandardMaps,
    score: Callable[[Batch], np.ndarray],
    n_permutations: int,
    *,
    seed: int,
    progress: bool,
) -> np.ndarray:
    """P-values (G,) in which those below `LEVEL` follow the gene's own shuffled maps.

    The pixels of a map are shuffled within their section and tested like the map. Were the analytic null exact,
    -log p of shuffled maps would be exponential with mean one. An exponential is fitted to the largest quarter of them
    (its mean excess is the maximum-likelihood estimate, in the spirit of Knijnenburg et al. 2009, who fit a
    generalised Pareto tail), and the gene's p-value is read from it: far below one over the number of permutations,
    and a little too bold or too strict where the analytic one was. A p-value that is not in the tail becomes its rank
    among the shuffled ones (Phipson & Smyth 2010, eq. 2).

    Shuffling makes all pixels alike. Where the variance of a gene follows the library size and that follows the tissue,
    the analytic null knows and shuffled maps do not.
    """
    out = log_p.copy()
    section = maps.images.layout.section
    chosen = log_p < np.log(LEVEL)
    bar = tqdm(total=int(chosen.sum()), desc="permutations", unit="gene", disable=not progress)
    for batch in maps.batches():
        here = np.flatnonzero(chosen[batch.genes])
        if not len(here):
            continue
        few = _part(batch, here)
        rng = np.random.default_rng(seed)  # every batch draws the same orders: to keep them would take the memory
        orders = (_shuffled(section, rng) for _ in range(n_permutations))
        null = np.stack([score(few._replace(maps=few.maps[:, o], squares=few.squares[:, o])) for o in orders])
        out[few.genes] = refit(log_p[few.genes], null)
        bar.update(len(here))
    bar.close()
    return out


def refit(log_p: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Log p-values (B,) read from the log p-values (N, B) of shuffled maps."""
    score, other = -log_p, -null
    edge = np.quantile(other, 1.0 - TAIL, axis=0)
    above = other > edge
    excess = np.where(above, other - edge, 0.0).sum(axis=0) / np.maximum(above.sum(axis=0), 1)
    tail = np.log(above.mean(axis=0)) - (score - edge) / np.maximum(excess, 1e-6)
    rank = np.log((1 + (other >= score).sum(axis=0)) / (1 + len(null)))
    return np.where(score > edge, tail, rank)


def _shuffled(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An order (P,) of the pixels, shuffled within their sections."""
    order = np.arange(len(section))
    for s in range(int(section.max()) + 1):
        here = np.flatnonzero(section == s)
        order[here] = rng.permutation(here)
    return order


def _part(batch: Batch, here: np.ndarray) -> Batch:
    """Some genes of a batch."""
    return Batch(batch.numbers[here], *(values[here] for values in batch[1:]))
