"""Neighbors of pixels, and numbering of domain labels."""

from __future__ import annotations

import numpy as np

from spacex.domains.params import DomainParams
from spacex.imaging.layout import SectionLayout
from spacex.stats import nearest_neighbors


def pixel_neighbors(layout: SectionLayout, n_neighbors: int = DomainParams.n_neighbors) -> np.ndarray:
    """Indices (P, n) of the nearest tissue pixels of each tissue pixel, within its section.

    n is smaller than `n_neighbors` if a section has too few pixels. Ties are broken as by scipy's k-d tree; those of
    scikit-learn choose other diagonal neighbors on square grids.
    """
    n = min(n_neighbors, int(np.bincount(layout.section).min()) - 1)
    neighbors = np.empty((len(layout.section), n), dtype=np.int64)
    for s, grid in enumerate(layout.grids):
        pixels = np.flatnonzero(layout.section == s)
        xy = grid.positions(layout.pixel[pixels])
        neighbors[pixels] = pixels[nearest_neighbors(xy, n + 1)[:, 1:]]
    return neighbors


def relabel_by_size(label: np.ndarray) -> np.ndarray:
    """Renumber labels (P,) from the largest domain (0) to the smallest; ties in order of the first pixel."""
    _, first, label, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[label]
