"""Gaussian smoothing of maps over the tissue pixels of a layout.

A Gaussian is separable, so a batch of maps is smoothed by a few dense matrix products, whatever the bandwidth. On
staggered (hexagonal) grids even and odd rows are smoothed separately and added, which is exact.
"""

from __future__ import annotations

import numpy as np

from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout, section_parts


def _kernel(target: np.ndarray, source: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian weights (len(target), len(source)) between points on a line."""
    return np.exp(-0.5 * ((target[:, None] - source[None, :]) / sigma) ** 2).astype(np.float32)


def _convolve(images: np.ndarray, grid: Grid, sigma: float) -> np.ndarray:
    """Unnormalized Gaussian sums of images (H, W, B) with bandwidth `sigma` in pixel pitches."""
    height, width, batch = images.shape
    rows, cols = np.arange(height) * grid.aspect, np.arange(width, dtype=float)
    if not grid.staggered:
        across = np.matmul(_kernel(cols, cols, sigma), images)
        return (_kernel(rows, rows, sigma) @ across.reshape(height, -1)).reshape(images.shape)
    out = np.empty_like(images)
    for parity in (0, 1):
        total = np.zeros((len(rows[parity::2]), width * batch), dtype=images.dtype)
        for other in (0, 1):
            across = np.matmul(_kernel(cols + 0.5 * parity, cols + 0.5 * other, sigma), images[other::2])
            total += _kernel(rows[parity::2], rows[other::2], sigma) @ across.reshape(len(across), -1)
        out[parity::2] = total.reshape(-1, width, batch)
    return out


class Smoother:
    """Gaussian smoothing of maps, normalized by the sum of the weights of tissue pixels.

    ``apply`` multiplies maps by W = D⁻¹ G, where G_ij = exp(-d_ij² / 2σ²) are Gaussian weights between the tissue
    pixels of a section and the diagonal matrix D contains the row sums of G.

    Parameters
    ----------
    layout
        Positions of the pixels.
    sigma
        Standard deviation σ of the Gaussian in pixel pitches.

    Attributes
    ----------
    weight
        (P,) row sums D.
    variance
        (P,) variance of smoothed white noise of variance one: row sums of W².
    """

    def __init__(self, layout: SectionLayout, sigma: float):
        self.layout, self.sigma = layout, float(sigma)
        self._parts = section_parts(layout.section, len(layout.grids))
        ones = np.ones((1, len(layout.section)), dtype=np.float32)
        self.weight = self._sum(ones, self.sigma)[0]
        # The squared kernel is a Gaussian with standard deviation sigma / sqrt(2).
        self.variance = self._sum(ones, self.sigma / np.sqrt(2.0))[0] / self.weight**2

    def _sum(self, maps: np.ndarray, sigma: float) -> np.ndarray:
        # Pixels along the first axis: rows are copied as a whole, and the matrix products are large.
        source = np.ascontiguousarray(maps.T)
        out = np.empty_like(source)
        for grid, part in zip(self.layout.grids, self._parts, strict=True):
            row, col = self.layout.pixel[part].T
            images = np.zeros((*grid.shape, len(maps)), dtype=maps.dtype)
            images[row, col] = source[part]
            out[part] = _convolve(images, grid, sigma)[row, col]
        return out.T

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Smoothed maps (B, P) of maps (B, P)."""
        return self._sum(maps, self.sigma) / self.weight

    def apply_transposed(self, maps: np.ndarray) -> np.ndarray:
        """Transpose of `apply`, for maps (B, P)."""
        return self._sum(maps / self.weight, self.sigma)


class NeighborMean(Smoother):
    """Gaussian mean of the neighbors of a pixel, without the pixel itself."""

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Means (B, P) over the neighbors, of maps (B, P)."""
        return (self._sum(maps, self.sigma) - maps) / self._neighbor_weight

    def apply_transposed(self, maps: np.ndarray) -> np.ndarray:
        """Transpose of `apply`, for maps (B, P)."""
        maps = maps / self._neighbor_weight
        return self._sum(maps, self.sigma) - maps

    @property
    def _neighbor_weight(self) -> np.ndarray:
        return np.maximum(self.weight - 1.0, 1e-3)  # isolated pixels have no neighbors: their mean is zero
