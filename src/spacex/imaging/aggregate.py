"""Aggregation of spots to pixels: the pixel of each spot, and gene images from sums over pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout

TINY_VALUE = 2.0**-10
"""Intensities of genes whose maximum is smaller are rescaled."""


@dataclass(frozen=True)
class SpotToPixel:
    """Assignment of spots to pixels.

    Attributes
    ----------
    pixel_of_spot
        (S,) pixel index of each spot; -1 for excluded spots.
    layout
        Positions of the pixels. Every pixel contains a spot, but possibly no counts.
    """

    pixel_of_spot: np.ndarray
    layout: SectionLayout

    @classmethod
    def from_pixels(cls, pixels: Sequence[np.ndarray], grids: Sequence[Grid], section: np.ndarray) -> SpotToPixel:
        """Index the pixels that contain spots.

        Parameters
        ----------
        pixels
            For each section, (S_k, 2) row and column of its spots, in the order of the spots.
        grids
            Grid of each section.
        section
            (S,) section of each spot; -1 excludes a spot.
        """
        pixel_of_spot = np.full(len(section), -1, dtype=np.int64)
        section_of_pixel, row_column, start = [], [], 0
        for s, (grid, pixel) in enumerate(zip(grids, pixels, strict=True)):
            flat, index = np.unique(pixel[:, 0] * grid.shape[1] + pixel[:, 1], return_inverse=True)
            pixel_of_spot[section == s] = start + index
            row_column.append(np.column_stack([flat // grid.shape[1], flat % grid.shape[1]]))
            section_of_pixel.append(np.full(len(flat), s))
            start += len(flat)
        layout = SectionLayout(tuple(grids), np.concatenate(section_of_pixel), np.concatenate(row_column))
        return cls(pixel_of_spot, layout)

    def __len__(self) -> int:
        return len(self.layout.section)

    def sum(self, matrix: Any, rows: slice = slice(None)) -> sp.csc_array:
        """Sums (P, G) over the spots of each pixel, of a sparse or dense matrix (B, G) of the spots `rows`."""
        pixel = self.pixel_of_spot[rows]
        spots = np.flatnonzero(pixel >= 0)
        members = sp.csr_array(
            (np.ones(len(spots), dtype=np.float32), (pixel[spots], spots)), shape=(len(self), len(pixel))
        )
        sums = sp.csc_array(members @ (matrix if sp.issparse(matrix) else np.asarray(matrix)))
        sums.sort_indices()
        return sums

    def gene_images(
        self, sums: sp.csc_array, library: np.ndarray, *, is_count: bool = True, theta: float = 100.0
    ) -> GeneImages:
        """Gene images from sums (P, G) and the library sizes (S,) of the spots.

        Pixels with library size zero are excluded. Intensities (not `is_count`) are averaged over spots.
        """
        used = self.pixel_of_spot >= 0
        pixel_library = np.bincount(self.pixel_of_spot[used], library[used], minlength=len(self))
        if not is_count:
            n_spots = np.bincount(self.pixel_of_spot[used], minlength=len(self))
            sums = _rescale_tiny(sp.csc_array(sp.diags_array(1.0 / n_spots) @ sums))
            pixel_library = n_spots.astype(np.float64)
        tissue = pixel_library > 0
        layout = self.layout
        if not tissue.all():
            sums, pixel_library = sums[tissue], pixel_library[tissue]
            layout = SectionLayout(layout.grids, layout.section[tissue], layout.pixel[tissue])
        return GeneImages(sums, pixel_library, layout, is_count, theta)


def _rescale_tiny(values: sp.csc_array) -> sp.csc_array:
    """Multiply genes with tiny values, in values (P, G), by the power of two that brings their maximum to about one.

    Z-scores do not change. Squares of tiny values would underflow in single precision, and random draws that depend on
    the values would coincide.
    """
    largest = np.abs(values).max(axis=0).toarray().ravel()
    shift = np.where((largest > 0) & (largest < TINY_VALUE), -np.frexp(largest)[1], 0)
    if shift.any():
        values.data = np.ldexp(values.data, np.repeat(shift, np.diff(values.indptr)))
    return values
