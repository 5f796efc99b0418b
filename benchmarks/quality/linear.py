"""Linear baselines: principal components of the maps of all genes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from scipy.sparse.linalg import svds

from spacex._config import Config
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import Smoother
from spacex.pp import gene_images

from .neighbors import unit
from .outcome import Outcome

DIMS = 32
WIDE_DIMS = 48
"""Number of components of the smoothed maps, on which raw maps are projected."""
SIGMA = 1.0
"""Standard deviation of the smoothing in spot pitches."""

Maps = Callable[[GeneImages, SectionLayout], np.ndarray]
"""Maps (G, P) of all genes on the tissue pixels of a layout, which may be that of other counts."""


def log_maps(images: GeneImages, layout: SectionLayout) -> np.ndarray:
    """Log-normalized maps, centered, of unit norm."""
    counts = images.counts.toarray() / images.library[:, None] * np.median(images.library)
    maps = moved(np.log1p(counts).T.astype(np.float32), images, layout)
    return unit(maps - maps.mean(axis=1, keepdims=True))


def residual_maps(images: GeneImages, layout: SectionLayout) -> np.ndarray:
    """Pearson-residual maps, centered, of unit norm."""
    maps = moved(images.residuals(), images, layout)
    return unit(maps - maps.mean(axis=1, keepdims=True))


def smoothed_maps(images: GeneImages, layout: SectionLayout) -> np.ndarray:
    """Pearson-residual maps smoothed with a standard deviation of one spot pitch, centered, of unit norm."""
    maps = Smoother(layout, SIGMA).apply(moved(images.residuals(), images, layout))
    return unit(maps - maps.mean(axis=1, keepdims=True))


def moved(maps: np.ndarray, images: GeneImages, layout: SectionLayout) -> np.ndarray:
    """Maps (G, P) on the tissue pixels of another layout of the same grid; zero at other pixels."""
    if np.array_equal(images.layout.flat, layout.flat):
        return maps
    full = np.zeros((len(maps), layout.shape[0] * layout.shape[1]), dtype=maps.dtype)
    full[:, images.layout.flat] = maps
    return full[:, layout.flat]


def components(maps: np.ndarray, n: int) -> np.ndarray:
    """Leading right singular vectors (P, n) of maps (G, P).

    By Lanczos iteration to convergence: the six power iterations of a randomized decomposition cost residual PCA
    0.02 of purity and 0.05 of ARI on simulated sections, where singular values are close to each other.
    """
    n = min(n, min(maps.shape) - 1)
    start = np.random.default_rng(0).standard_normal(min(maps.shape)).astype(np.float32)
    return np.ascontiguousarray(svds(maps, n, v0=start, tol=1e-4)[2][::-1].T)


@dataclass(frozen=True)
class Projection:
    """Maps times components, several side by side, each scaled to the same root mean square."""

    parts: tuple[tuple[Maps, np.ndarray, float], ...]
    layout: SectionLayout
    is_embedded: np.ndarray

    def __call__(self, adata: AnnData) -> np.ndarray:
        images = gene_images(adata)
        z = np.full((adata.n_vars, sum(basis.shape[1] for _, basis, _ in self.parts)), np.nan, dtype=np.float32)
        images = images.take(np.flatnonzero(self.is_embedded))
        z[self.is_embedded] = np.hstack(
            [maps(images, self.layout) @ basis / scale for maps, basis, scale in self.parts]
        )
        return z


def project(adata: AnnData, *pairs: tuple[Maps, Maps, int]) -> Outcome:
    """Embed with components of some maps (n of them) on which the same or other maps are projected.

    Genes with fewer counts than `Config.min_counts`, or with all counts in one pixel, are not embedded.
    """
    images = gene_images(adata)
    is_embedded = images.has_enough_counts(Config().min_counts)
    images, parts = images.take(np.flatnonzero(is_embedded)), []
    for source, target, n in pairs:
        maps = source(images, images.layout)
        basis = components(maps, n)
        z = (maps if source is target else target(images, images.layout)) @ basis
        parts.append((target, basis, float(np.sqrt(np.mean(np.square(z))))))
    projection = Projection(tuple(parts), images.layout, is_embedded)
    return Outcome(projection(adata), None, projection)


def log_pca(adata: AnnData, seed: int) -> Outcome:
    """Components of log-normalized maps."""
    return project(adata, (log_maps, log_maps, DIMS))


def residual_pca(adata: AnnData, seed: int) -> Outcome:
    """Components of residual maps."""
    return project(adata, (residual_maps, residual_maps, DIMS))


def smoothed_pca(adata: AnnData, seed: int) -> Outcome:
    """Components of smoothed residual maps."""
    return project(adata, (smoothed_maps, smoothed_maps, DIMS))


def both_pca(adata: AnnData, seed: int) -> Outcome:
    """Components of residual maps and of smoothed residual maps side by side, at equal root mean square."""
    return project(adata, (residual_maps, residual_maps, DIMS), (smoothed_maps, smoothed_maps, DIMS))


def raw_on_smoothed(adata: AnnData, seed: int) -> Outcome:
    """Raw residual maps on the components of smoothed ones."""
    return project(adata, (smoothed_maps, residual_maps, WIDE_DIMS))


LINEAR: dict[str, Callable[[AnnData, int], Outcome]] = {
    "log PCA": log_pca,
    "residual PCA": residual_pca,
    "smoothed PCA": smoothed_pca,
    "residual + smoothed": both_pca,
    "raw on smoothed": raw_on_smoothed,
}
