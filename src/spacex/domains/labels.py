"""Neighbours of pixels, and names of their labels."""

from __future__ import annotations

import numpy as np

from spacex.imaging.layout import SectionLayout
from spacex.stats import nearest_neighbors

N_NEIGHBORS = 6


def pixel_neighbors(layout: SectionLayout) -> np.ndarray:
    """The nearest tissue pixels (P, n) of every tissue pixel, within its section."""
    smallest = int(np.bincount(layout.section).min())
    n = min(N_NEIGHBORS, smallest - 1)
    near = np.empty((len(layout.section), n), dtype=np.int64)
    for s, grid in enumerate(layout.grids):
        here = np.flatnonzero(layout.section == s)
        place = grid.positions(layout.pixel[here])
        near[here] = here[nearest_neighbors(place, n + 1)[:, 1:]]
    return near


def relabel_by_size(label: np.ndarray) -> np.ndarray:
    """The same labels numbered from the largest domain down."""
    _, first, label, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[label]
