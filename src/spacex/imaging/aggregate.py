"""Spots summed into pixels: which pixel each spot lies in, and gene images from the sums."""

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


@dataclass(frozen=True)
class SpotToPixel:
    """Where spots are summed.

    Attributes
    ----------
    label
        (S,) pixel of every spot, as a number; -1 for a spot that is left out.
    layout
        Where the pixels lie; each holds a spot, but perhaps no count.
    """

    label: np.ndarray
    layout: SectionLayout

    @classmethod
    def of(cls, pixels: Sequence[np.ndarray], grids: Sequence[Grid], section: np.ndarray) -> SpotToPixel:
        """Pixels of spots whose `section` (S,) is known; -1 leaves a spot out.

        `pixels` are, for each section, the (S_k, 2) rows and columns of its spots, in the order of the spots.
        """
        label = np.full(len(section), -1, dtype=np.int64)
        owner, place, start = [], [], 0
        for s, (grid, pixel) in enumerate(zip(grids, pixels, strict=True)):
            flat, index = np.unique(pixel[:, 0] * grid.shape[1] + pixel[:, 1], return_inverse=True)
            label[section == s] = start + index
            place.append(np.column_stack([flat // grid.shape[1], flat % grid.shape[1]]))
            owner.append(np.full(len(flat), s))
            start += len(flat)
        return cls(label, SectionLayout(tuple(grids), np.concatenate(owner), np.concatenate(place)))

    def __len__(self) -> int:
        return len(self.layout.section)

    def sum(self, matrix: Any, rows: slice = slice(None)) -> sp.csc_array:
        """Sums (P, G) over the spots of each pixel of a matrix (B, G), sparse or dense, of the spots `rows`."""
        label = self.label[rows]
        spots = np.flatnonzero(label >= 0)
        members = sp.csr_array(
            (np.ones(len(spots), dtype=np.float32), (label[spots], spots)), shape=(len(self), len(label))
        )
        summed = sp.csc_array(members @ (matrix if sp.issparse(matrix) else np.asarray(matrix)))
        summed.sort_indices()
        return summed

    def images(
        self, summed: sp.csc_array, library: np.ndarray, *, is_count: bool = True, theta: float = 100.0
    ) -> GeneImages:
        """Gene images from sums (P, G), and the library sizes (S,) of the spots."""
        used = self.label >= 0
        pixel_library = np.bincount(self.label[used], library[used], minlength=len(self))
        if not is_count:
            spots = np.bincount(self.label[used], minlength=len(self))
            summed = _scaled(sp.csc_array(sp.diags_array(1.0 / spots) @ summed))
            pixel_library = spots.astype(np.float64)
        tissue = pixel_library > 0
        layout = self.layout
        if not tissue.all():
            summed, pixel_library = summed[tissue], pixel_library[tissue]
            layout = SectionLayout(layout.grids, layout.section[tissue], layout.pixel[tissue])
        return GeneImages(summed, pixel_library, layout, is_count, theta)


def _scaled(values: sp.csc_array) -> sp.csc_array:
    """Values (P, G), those of genes that have tiny ones times the power of two that brings the largest to about one.

    The z-scores, which is what is made of them, are the same to the last bit; but squares of tiny values vanish in
    single precision, and random draws that follow from values would be alike.
    """
    largest = np.abs(values).max(axis=0).toarray().ravel()
    shift = np.where((largest > 0) & (largest < TINY_VALUE), -np.frexp(largest)[1], 0)
    if shift.any():
        values.data = np.ldexp(values.data, np.repeat(shift, np.diff(values.indptr)))
    return values
