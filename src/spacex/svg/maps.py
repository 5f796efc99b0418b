"""Maps as they are tested: residuals at unit variance in each section, with what is known of their noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.svg.design import Design
from spacex.svg.moments import count_skewness, dispersion, relative_library, variance_slope

BATCH = 512
MIN_VARIANCE = 1e-12


class Batch(NamedTuple):
    """Maps of some genes, and the moments of their noise."""

    genes: slice | np.ndarray
    maps: np.ndarray  # (B, P) of unit variance in each section
    squares: np.ndarray  # (B, P)
    skewness: np.ndarray  # (B, S)
    slope: np.ndarray  # (B, S) see `moments.variance_slope`
    present: np.ndarray  # (B, S) one where the gene varies in the section, zero where its map is zero

    @property
    def numbers(self) -> np.ndarray:
        """(B,) numbers of the genes."""
        return np.arange(self.genes.start, self.genes.stop) if isinstance(self.genes, slice) else self.genes


@dataclass
class StandardMaps:
    """All genes' maps, batch by batch.

    Parameters
    ----------
    images
        Counts or intensities per pixel.
    design
        What maps are centred by.
    """

    images: GeneImages
    design: Design

    def __post_init__(self) -> None:
        section = self.images.layout.section
        self.n_sections = len(self.images.layout.grids)
        self.member = np.eye(self.n_sections, dtype=np.float32)[section]
        self.degrees = np.maximum(np.bincount(section) - self.design.rank(section), 1.0)
        self.phi = dispersion(self.images) if self.images.is_count else np.zeros(self.images.n_genes)
        self.library = relative_library(self.images) if self.images.is_count else np.zeros(len(section))

    def residuals(self, genes: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maps (B, P) at unit variance in each section, and what that variance was (B, S)."""
        # Pixels first in memory, as the products want them.
        maps = np.asfortranarray(self.design.residuals(self.images, genes))
        variance = (maps**2 @ self.member).astype(np.float64) / self.degrees
        scale = np.where(variance > MIN_VARIANCE, 1.0 / np.sqrt(np.maximum(variance, MIN_VARIANCE)), 0.0)
        maps *= scale.astype(np.float32)[:, self.images.layout.section]
        return maps, variance

    def covariance(self, columns: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """R'R times columns (P, C), for the maps R of some genes, streaming over them."""
        out = np.zeros_like(columns)
        size = self.images.batch_size(BATCH)
        for start in range(0, len(genes), size):
            maps, _ = self.residuals(genes[start : start + size])
            out += maps.T @ (maps @ columns)
        return out

    def batches(self) -> Iterator[Batch]:
        """Every gene once, in order."""
        images = self.images
        size = images.batch_size(BATCH)
        for start in range(0, images.n_genes, size):
            genes = slice(start, min(start + size, images.n_genes))
            maps, variance = self.residuals(genes)
            squares = maps**2
            if images.is_count:
                skewness = count_skewness(images, genes, self.phi)
                slope = variance_slope(images, genes, self.phi)
            else:
                skewness = (squares * maps @ self.member).astype(np.float64) / self.degrees
                slope = np.zeros_like(skewness)
            yield Batch(genes, maps, squares, skewness, slope, (variance > MIN_VARIANCE).astype(float))
