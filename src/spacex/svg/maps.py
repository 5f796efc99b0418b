"""Standardized maps: residuals with unit variance in each section, and the moments of their noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.svg.design import Design
from spacex.svg.moments import count_skewness, dispersion, relative_library, variance_slope

MIN_VARIANCE = 1e-12
"""Maps with a smaller variance are constant."""


class MapBatch(NamedTuple):
    """Standardized maps of some genes, and the moments of their noise.

    Attributes
    ----------
    genes
        Indices of the genes.
    maps
        (B, P) maps with unit variance in each section.
    squares
        (B, P) squares of the maps.
    skewness
        (B, S) skewness of the noise.
    slope
        (B, S) slope of the variance on the relative library size, see `moments.variance_slope`.
    present
        (B, S) one where the gene varies in the section, zero where its map is zero.
    """

    genes: slice | np.ndarray
    maps: np.ndarray
    squares: np.ndarray
    skewness: np.ndarray
    slope: np.ndarray
    present: np.ndarray

    @property
    def gene_index(self) -> np.ndarray:
        """(B,) indices of the genes."""
        return np.arange(self.genes.start, self.genes.stop) if isinstance(self.genes, slice) else self.genes

    def take(self, rows: np.ndarray) -> MapBatch:
        """Select rows of the batch."""
        return MapBatch(self.gene_index[rows], *(values[rows] for values in self[1:]))


@dataclass
class StandardizedMaps:
    """Standardized maps of all genes, computed in batches.

    Parameters
    ----------
    images
        Counts or intensities per pixel.
    design
        Effects that are projected out of the maps.
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
        """Maps (B, P) with unit variance in each section, and their variances (B, S) before scaling."""
        # Pixels first in memory, for faster products.
        maps = np.asfortranarray(self.design.residuals(self.images, genes))
        variance = (maps**2 @ self.member).astype(np.float64) / self.degrees
        scale = np.where(variance > MIN_VARIANCE, 1.0 / np.sqrt(np.maximum(variance, MIN_VARIANCE)), 0.0)
        maps *= scale.astype(np.float32)[:, self.images.layout.section]
        return maps, variance

    def covariance(self, columns: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Product R'R X with columns X (P, C), for the maps R of genes, streamed over genes."""
        out = np.zeros_like(columns)
        size = self.images.batch_size(BATCH_GENES)
        for start in range(0, len(genes), size):
            maps, _ = self.residuals(genes[start : start + size])
            out += maps.T @ (maps @ columns)
        return out

    def batches(self) -> Iterator[MapBatch]:
        """Iterate over all genes in order."""
        images = self.images
        size = images.batch_size(BATCH_GENES)
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
            yield MapBatch(genes, maps, squares, skewness, slope, (variance > MIN_VARIANCE).astype(float))
