"""Smooth functions on tissue: Gaussian smoothing of maps over the pixels of a layout, at any width.

A Gaussian is separable, so that smoothing a batch of maps is a few dense matrix products whatever
its width. Staggered (hexagonal) rows are handled exactly: even and odd rows are smoothed apart and added.
Two bases of maps come from here: the leading components of what is smooth, and those of what is left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, qr

from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout, section_parts

BATCH = 512
POWER_ITERATIONS = 3
FINE_ITERATIONS = 4  # what is left falls off slowly; 8 changed no figure


def _kernel(target: np.ndarray, source: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian weights (len(target), len(source)) between points on a line."""
    return np.exp(-0.5 * ((target[:, None] - source[None, :]) / sigma) ** 2).astype(np.float32)


def _convolve(images: np.ndarray, grid: Grid, sigma: float) -> np.ndarray:
    """Unnormalised Gaussian sum of images (H, W, B) with width `sigma` in pixel pitches."""
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
    """Gaussian smoothing of maps over tissue, normalised by the tissue that the kernel covers.

    ``apply`` is the linear map W = D^-1 G of a map, where G holds Gaussian weights between tissue
    pixels and D its row sums; ``apply_transposed`` is its transpose. Sections do not mix.

    Parameters
    ----------
    layout
        Where the pixels lie.
    sigma
        Width of the Gaussian in pixel pitches.
    """

    def __init__(self, layout: SectionLayout, sigma: float):
        self.layout, self.sigma = layout, float(sigma)
        self._parts = section_parts(layout.section, len(layout.grids))
        ones = np.ones((1, len(layout.section)), dtype=np.float32)
        self.weight = self._sum(ones, self.sigma)[0]
        # The squared kernel is a Gaussian too, of width sigma / sqrt(2).
        self.variance = self._sum(ones, self.sigma / np.sqrt(2.0))[0] / self.weight**2

    def _sum(self, maps: np.ndarray, sigma: float) -> np.ndarray:
        # Pixels first: whole rows are copied to and from the layout, and the products are large.
        source = np.ascontiguousarray(maps.T)
        out = np.empty_like(source)
        for grid, here in zip(self.layout.grids, self._parts, strict=True):
            row, col = self.layout.pixel[here].T
            images = np.zeros((*grid.shape, len(maps)), dtype=maps.dtype)
            images[row, col] = source[here]
            out[here] = _convolve(images, grid, sigma)[row, col]
        return out.T

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Smoothed maps (B, P) of maps (B, P)."""
        return self._sum(maps, self.sigma) / self.weight

    def apply_transposed(self, maps: np.ndarray) -> np.ndarray:
        """The transpose of `apply`, on maps (B, P)."""
        return self._sum(maps / self.weight, self.sigma)


class NeighborMean(Smoother):
    """A Gaussian mean of the neighbours of a pixel, the pixel itself left out."""

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """Means (B, P) of the neighbours in maps (B, P)."""
        return (self._sum(maps, self.sigma) - maps) / self._others

    def apply_transposed(self, maps: np.ndarray) -> np.ndarray:
        """The transpose of `apply`, on maps (B, P)."""
        maps = maps / self._others
        return self._sum(maps, self.sigma) - maps

    @property
    def _others(self) -> np.ndarray:
        return np.maximum(self.weight - 1.0, 1e-3)  # an isolated pixel has no neighbours, and keeps zero


def smooth_basis(
    images: GeneImages,
    *,
    sigma: float,
    n_components: int,
    seed: int,
    extra_maps: np.ndarray | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> tuple[np.ndarray, np.ndarray]:
    """Leading components (P, D) of the smoothed residual maps, and their eigenvalues (D,).

    `further` maps (B, P) take part like those of the images. The genes are shared among a `group`.

    Components are orthonormal, with fixed signs, largest first. Randomised subspace iteration (Halko, Martinsson &
    Tropp 2011, algorithm 4.4) on W R'R W' for residual maps R (G, P) and smoother W: the maps stream by in batches
    of genes, and only the basis is ever smoothed.
    """
    smoother = Smoother(images.layout, sigma)
    rank = min(n_components, images.n_pixels - 1, images.n_genes)
    times = _smoothed_covariance(images, smoother, extra_maps, group)
    basis, values = randomized_eigh(times, images.n_pixels, rank + 16, seed)
    return _fixed_signs(basis[:, :rank]), values[:rank]


def fine_basis(
    images: GeneImages, coarse: np.ndarray, *, n_components: int, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> np.ndarray:
    """Leading components (P, m) of the residual maps, each scaled to unit norm, outside the span of `coarse` (P, D).

    They keep what spots share beyond smooth patterns. Orthonormal, with fixed signs, largest first.
    """
    rank = min(n_components, images.n_pixels - 1 - coarse.shape[1], images.n_genes)
    if rank < 1:
        return np.zeros((images.n_pixels, 0), dtype=np.float32)
    times = _unit_covariance(images, coarse, group)
    return _fixed_signs(randomized_eigh(times, images.n_pixels, rank + 16, seed, FINE_ITERATIONS)[0][:, :rank])


LinearOperator = Callable[[np.ndarray], np.ndarray]


def _fixed_signs(basis: np.ndarray) -> np.ndarray:
    """Components (P, D) whose largest entries are positive."""
    largest = np.abs(basis).argmax(axis=0)
    return basis * np.sign(basis[largest, np.arange(basis.shape[1])])


def randomized_eigh(
    times: LinearOperator, n_pixels: int, width: int, seed: int, iterations: int = POWER_ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors (P, width) and eigenvalues, largest first, of a covariance given by its product.

    In double precision: components of nearly the same variance would turn within their plane with the rounding of
    single precision, which depends on the number of threads.
    """
    basis = np.random.default_rng(seed).standard_normal((n_pixels, min(width, n_pixels)))
    for _ in range(iterations):
        basis = qr(times(basis), mode="economic")[0]
    values, vectors = eigh(basis.T @ times(basis))
    return (basis @ vectors[:, ::-1]).astype(np.float32), values[::-1]


def _smoothed_covariance(
    images: GeneImages, smoother: Smoother, extra_maps: np.ndarray | None, group: ProcessGroup
) -> LinearOperator:
    """B -> S'S B for the smoothed maps S = R W' (G, P) and a matrix B (P, R), streaming over genes."""

    def times(basis: np.ndarray) -> np.ndarray:
        smooth = np.ascontiguousarray(smoother.apply_transposed(basis.T).T)
        out = images.gram(smooth, group.batches(images.n_genes, images.batch_size(BATCH)))
        if extra_maps is not None:
            own = extra_maps[group.shard(len(extra_maps))]
            out += own.T @ (own @ smooth)
        return smoother.apply(group.all_reduce(out).T).T

    return times


def _unit_covariance(images: GeneImages, coarse: np.ndarray, group: ProcessGroup) -> LinearOperator:
    """B -> Q U'U Q B for maps U (G, P) of unit norm and the projection Q away from `coarse`, streaming over genes."""

    def away(basis: np.ndarray) -> np.ndarray:
        return basis - coarse @ (coarse.T @ basis)

    def times(basis: np.ndarray) -> np.ndarray:
        outside = np.ascontiguousarray(away(basis))
        batches = group.batches(images.n_genes, images.batch_size(BATCH))
        return away(group.all_reduce(images.gram(outside, batches, unit=True)))

    return times
