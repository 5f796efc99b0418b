"""Smooth functions on tissue: Gaussian smoothing of maps over the pixels of a canvas, at any width.

A Gaussian is separable, so that smoothing a batch of maps is a few dense matrix products whatever
its width. Staggered (hexagonal) rows are handled exactly: even and odd rows are smoothed apart and added.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh, qr

from .grid import Grid
from .raster import Canvas, GeneImages

BATCH = 512
POWER_ITERATIONS = 3


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
    canvas
        Where the pixels lie.
    sigma
        Width of the Gaussian in pixel pitches.
    """

    def __init__(self, canvas: Canvas, sigma: float):
        self.canvas, self.sigma = canvas, float(sigma)
        ones = np.ones((1, len(canvas.section)), dtype=np.float32)
        self.weight = self._sum(ones, self.sigma)[0]
        # The squared kernel is a Gaussian too, of width sigma / sqrt(2).
        self.variance = self._sum(ones, self.sigma / np.sqrt(2.0))[0] / self.weight**2

    def _sum(self, maps: np.ndarray, sigma: float) -> np.ndarray:
        # Pixels first: whole rows are copied to and from the canvas, and the products are large.
        source = np.ascontiguousarray(maps.T)
        out = np.empty_like(source)
        for s, grid in enumerate(self.canvas.grids):
            here = self.canvas.section == s
            row, col = self.canvas.pixel[here].T
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


def smooth_basis(images: GeneImages, *, sigma: float, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading components (P, D) of the smoothed residual maps, and their eigenvalues (D,).

    Components are orthonormal, with fixed signs, largest first. Randomised subspace iteration (Halko, Martinsson &
    Tropp 2011, algorithm 4.4) on W R'R W' for residual maps R (G, P) and smoother W: the maps stream by in batches
    of genes, and only the basis is ever smoothed.
    """
    smoother = Smoother(images.canvas, sigma)
    rank = min(n_components, images.n_pixels - 1, images.n_genes)
    basis, values = _subspace(images, smoother, min(rank + 16, images.n_pixels), seed, flip=False)
    basis = basis[:, :rank]
    largest = np.abs(basis).argmax(axis=0)
    return basis * np.sign(basis[largest, np.arange(rank)]), values[:rank]


def null_eigenvalue(images: GeneImages, *, sigma: float, seed: int) -> float:
    """Largest eigenvalue of the smoothed maps when nothing is spatial (parallel analysis, Horn 1965).

    The null flips the sign of every residual at random: what neighbours and genes share is gone, and the variance of
    every pixel of every gene is as it was.
    """
    return float(_subspace(images, Smoother(images.canvas, sigma), min(16, images.n_pixels), seed, flip=True)[1][0])


def _subspace(
    images: GeneImages, smoother: Smoother, width: int, seed: int, *, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors (P, width) and eigenvalues, largest first."""
    start = np.random.default_rng(seed).standard_normal((images.n_pixels, width)).astype(np.float32)

    def times(basis: np.ndarray) -> np.ndarray:
        return _covariance_times(images, smoother, basis, seed if flip else None)

    basis = start
    for _ in range(POWER_ITERATIONS):
        basis = qr(times(basis), mode="economic")[0].astype(np.float32)
    values, vectors = eigh(basis.T @ times(basis))
    return (basis @ vectors[:, ::-1]).astype(np.float32), values[::-1]


def _covariance_times(images: GeneImages, smoother: Smoother, basis: np.ndarray, flip_seed: int | None) -> np.ndarray:
    """S'S B for the smoothed maps S = R W' (G, P) and a matrix B (P, R), streaming over genes."""
    smooth = np.ascontiguousarray(smoother.apply_transposed(basis.T).T)
    out = np.zeros(basis.shape, dtype=np.float32)
    for genes, maps in images.batches(BATCH):
        if flip_seed is not None:
            _flip(maps, np.random.default_rng((flip_seed, genes.start)))
        out += maps.T @ (maps @ smooth)
    return smoother.apply(out.T).T


def _flip(maps: np.ndarray, rng: np.random.Generator) -> None:
    """Flip the sign of every value of maps (B, P) with probability one half, in place."""
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-maps.size // 8)), dtype=np.uint8), count=maps.size)
    maps *= (1 - 2 * bits.view(np.int8)).reshape(maps.shape)
