"""Direct and neighbouring co-location of two genes, from their residual maps."""

from __future__ import annotations

from typing import Literal

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import section_means
from spacex.imaging.smoothing import NeighborMean
from spacex.stats import l2_normalize

BLOCK = 1024
WIDTH = 1.0

Where = Literal["same", "neighbours"]


class Colocation:
    """Correlation of the residual maps of two genes, in the same pixels or between pixels and their neighbours.

    ``"same"``: Pearson's correlation over the tissue pixels. ``"neighbours"``: of one gene's map with the mean of the
    other's over the neighbours of each pixel (Gaussian weights of σ = 1 pitch, the pixel itself left out), the mean of
    both directions: a bivariate Moran's I (Wartenberg 1985, eq. 6). A ligand and its receptor need not share a spot.

    Parameters
    ----------
    images
        Counts per pixel of all genes.
    where
        Which of the two.
    """

    def __init__(self, images: GeneImages, where: Where):
        self.images = images
        self.smoother = NeighborMean(images.layout, WIDTH) if where == "neighbours" else None

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """Correlation (N,) of pairs (N, 2), block by block of the genes in them."""
        genes, place = np.unique(pairs, return_inverse=True)
        place = np.sort(place.reshape(-1, 2), axis=1)
        block, found = place // BLOCK, np.empty(len(pairs))
        for a in np.unique(block[:, 0]):
            left = self._maps(genes[a * BLOCK : (a + 1) * BLOCK])
            for b in np.unique(block[block[:, 0] == a, 1]):
                right = left if a == b else self._maps(genes[b * BLOCK : (b + 1) * BLOCK])
                here = np.flatnonzero((block == [a, b]).all(axis=1))
                found[here] = _between(left, right)[place[here, 0] % BLOCK, place[here, 1] % BLOCK]
        return found

    def among(self, genes: np.ndarray) -> np.ndarray:
        """Correlation (n, n) between genes (n,)."""
        maps = self._maps(genes)
        return _between(maps, maps)

    def _maps(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residual maps (n, P) of genes, and what they are correlated with: themselves, or the means of neighbours."""
        maps = self._standard(self.images.residuals(genes))
        return maps, maps if self.smoother is None else self._standard(self.smoother.apply(maps))

    def _standard(self, maps: np.ndarray) -> np.ndarray:
        """Maps (n, P) of unit length, centred in each section."""
        layout = self.images.layout
        return l2_normalize(maps - section_means(maps, layout.section, len(layout.grids))[:, layout.section])


def _between(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Mean (n, m) of both directions of the products of maps with the other's; one where they are the same."""
    if left[0] is left[1]:
        return left[0] @ right[0].T
    return 0.5 * (left[0] @ right[1].T + left[1] @ right[0].T)
