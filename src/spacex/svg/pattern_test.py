"""What every gene has of the patterns that other genes share."""

from __future__ import annotations

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.svg.maps import Batch, StandardMaps
from spacex.svg.pattern_kernel import PatternKernel
from spacex.svg.shared_patterns import learn_patterns, pattern_weights, rms_correlation
from spacex.svg.tails import gaussian_share, log_tail

MAX_PATTERNS = 32
GENES_PER_PATTERN = 40
PARTS = (5, 2)
MANY_GENES = 4000
"""Genes are told apart in the first number of parts, or, if there are more than so many, in the second."""


def gene_parts(images: GeneImages) -> np.ndarray:
    """A part (G,) for every gene, as good as random, which follows from its counts and the library sizes under them.

    Neither the order of genes or pixels nor a rotation of the section changes it.
    """
    n_parts = PARTS[0] if images.n_genes <= MANY_GENES else PARTS[1]
    # Knuth's multiplicative hash; sums of products below 2^53 are exact in any order.
    weight = ((images.library % 2.0**32).astype(np.int64) * 2654435761 % 2**32) // 2**12
    key = np.rint(images.counts.T @ weight.astype(np.float64) * (1 if images.is_count else 2**10))
    key = (key % 2.0**53).astype(np.int64)  # of huge values, which have more bits
    return (key * 2654435761 % 2**32) * n_parts // 2**32


class SharedPatterns:
    """The patterns of all parts of the genes but one, for each, and the test of its genes on them.

    First `keep` what all maps have of the patterns, then `settle` their weights; then `evidence` gives p-values.

    Parameters
    ----------
    maps
        What is tested.
    most
        Number of patterns at most; 0: none, and no evidence.
    seed
        Of the search for patterns.
    """

    def __init__(self, maps: StandardMaps, *, most: int, seed: int):
        images = maps.images
        self.maps, self.seed = maps, seed
        self.part = gene_parts(images)
        most = min(most, max(4, images.n_genes // GENES_PER_PATTERN), images.n_pixels // 4)
        self.patterns = []
        for part in range(self.part.max() + 1):
            others = np.flatnonzero(self.part != part)
            self.patterns.append(learn_patterns(maps, others, most, seed) if len(others) > most > 0 else None)
        self.correlation = rms_correlation(maps, seed) if most else 0.0
        self.kernels: list[PatternKernel | None] = [None] * len(self.patterns)
        self._energy = np.zeros((2, images.n_genes, most))

    def keep(self, batch: Batch) -> None:
        """Keep what a batch of maps has of the patterns."""
        self._energy[:, batch.genes] = self._measure(batch)

    def settle(self) -> None:
        """Weigh the patterns by what the genes that are tested on them have of them."""
        energy, own = self._energy
        for part, patterns in enumerate(self.patterns):
            here = self.part == part
            if patterns is None or here.sum() < 2:
                continue
            weight = pattern_weights(energy[here] - own[here], self.correlation)
            if weight.any():
                layout, library = self.maps.images.layout, self.maps.library
                self.kernels[part] = PatternKernel(layout, patterns, weight, library, seed=self.seed)

    def evidence(self, batch: Batch, *, kept: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Log p-value (B,) of each map, NaN where the other genes have no clear pattern, and how far to trust it (B,).

        `kept`: the maps are those that `keep` saw, and need not be measured again.
        """
        energy, own = self._energy[:, batch.genes] if kept else self._measure(batch)
        log_p, trusted = np.full(len(batch.maps), np.nan), np.zeros(len(batch.maps))
        for part, kernel in enumerate(self.kernels):
            here = self.part[batch.genes] == part
            if kernel is None or not here.any():
                continue
            null = kernel.null(batch.skewness[here], batch.slope[here], batch.present[here])
            log_p[here] = log_tail(kernel.statistic(energy[here], own[here]), null.variance, null.third)
            trusted[here] = gaussian_share(null.gaussian, null.third)
        return log_p, trusted

    def _measure(self, batch: Batch) -> np.ndarray:
        """Energy along the patterns, and the part of it that is a pixel's with itself: (2, B, n)."""
        out = np.zeros((2, len(batch.maps), self._energy.shape[2]))
        for part, patterns in enumerate(self.patterns):
            here = self.part[batch.genes] == part
            if patterns is not None and here.any():
                out[0, here] = (batch.maps[here] @ patterns) ** 2
                out[1, here] = batch.squares[here] @ patterns**2
        return out
