"""Direct and neighbouring co-location of two genes, from their residual maps."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..raster import GeneImages
from ..spectral import Hollow

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
        self.smoother = Hollow(images.canvas, WIDTH) if where == "neighbours" else None

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
                found[here] = self._between(left, right)[place[here, 0] % BLOCK, place[here, 1] % BLOCK]
        return found

    def among(self, genes: np.ndarray) -> np.ndarray:
        """Correlation (n, n) between genes (n,)."""
        maps = self._maps(genes)
        return self._between(maps, maps)

    def _maps(self, genes: np.ndarray) -> np.ndarray:
        """Centred residual maps (n, P) of unit length, of each section apart."""
        maps, section = self.images.residuals(genes), self.images.canvas.section
        for s in range(len(self.images.canvas.grids)):
            maps[:, section == s] -= maps[:, section == s].mean(axis=1, keepdims=True)
        return np.asarray(maps / np.maximum(np.linalg.norm(maps, axis=1, keepdims=True), 1e-12))

    def _between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Measure (n, m) between all maps of two blocks."""
        if self.smoother is None:
            return left @ right.T
        near_left, near_right = (self._near(maps) for maps in (left, right))
        return 0.5 * (left @ near_right.T + near_left @ right.T)

    def _near(self, maps: np.ndarray) -> np.ndarray:
        """Means of the neighbours, centred by section and of unit length."""
        assert self.smoother is not None
        near, section = self.smoother.apply(maps), self.images.canvas.section
        for s in range(len(self.images.canvas.grids)):
            near[:, section == s] -= near[:, section == s].mean(axis=1, keepdims=True)
        return np.asarray(near / np.maximum(np.linalg.norm(near, axis=1, keepdims=True), 1e-12))
