"""Co-location of two genes: correlation of their residual maps, in the same or in neighboring pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import section_means
from spacex.imaging.smoothing import NeighborMean
from spacex.pairs.params import PairParams
from spacex.stats import l2_normalize

GENES_PER_BLOCK = 1024

Where = Literal["same", "neighbors"]


class Colocation:
    """Correlation of the residual maps of two genes.

    ``"same"``: Pearson correlation over the tissue pixels. ``"neighbors"``: correlation of one gene's map with the mean
    of the other gene's map over the neighbors of each pixel (Gaussian weights without the pixel itself), averaged over
    both directions. This is a bivariate Moran's I (Wartenberg 1985, eq. 6), for a ligand and its receptor, which need
    not share a spot.

    Parameters
    ----------
    images
        Counts per pixel of all genes.
    where
        ``"same"`` or ``"neighbors"``.
    sigma
        Standard deviation of the Gaussian weights, in pixel pitches.
    """

    def __init__(self, images: GeneImages, where: Where, *, sigma: float = PairParams.colocation_sigma):
        self.images = images
        self.smoother = NeighborMean(images.layout, sigma) if where == "neighbors" else None

    def pairwise(self, pairs: np.ndarray) -> np.ndarray:
        """Correlation (N,) of pairs (N, 2), in blocks of genes."""
        genes, rank = np.unique(pairs, return_inverse=True)
        rank = np.sort(rank.reshape(-1, 2), axis=1)
        block, correlation = rank // GENES_PER_BLOCK, np.empty(len(pairs))
        for a in np.unique(block[:, 0]):
            left = self._maps(genes[a * GENES_PER_BLOCK : (a + 1) * GENES_PER_BLOCK])
            for b in np.unique(block[block[:, 0] == a, 1]):
                right = left if a == b else self._maps(genes[b * GENES_PER_BLOCK : (b + 1) * GENES_PER_BLOCK])
                in_block = np.flatnonzero((block == [a, b]).all(axis=1))
                row, column = rank[in_block].T % GENES_PER_BLOCK
                correlation[in_block] = _cross_correlation(left, right)[row, column]
        return correlation

    def matrix(self, genes: np.ndarray) -> np.ndarray:
        """Correlation (n, n) between genes (n,)."""
        maps = self._maps(genes)
        return _cross_correlation(maps, maps)

    def _maps(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residual maps (n, P), and the maps they are correlated with: the same ones, or means over neighbors."""
        maps = self._standardize(self.images.residuals(genes))
        return maps, maps if self.smoother is None else self._standardize(self.smoother.apply(maps))

    def _standardize(self, maps: np.ndarray) -> np.ndarray:
        """Maps (n, P) centered in each section, with unit length."""
        layout = self.images.layout
        return l2_normalize(maps - section_means(maps, layout.section, len(layout.grids))[:, layout.section])


def _cross_correlation(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Products (n, m) of the maps of two sets of genes, averaged over both directions where these differ."""
    if left[0] is left[1]:
        return left[0] @ right[0].T
    return 0.5 * (left[0] @ right[1].T + left[1] @ right[0].T)
