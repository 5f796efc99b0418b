"""Neighbours of pixels, and names of their labels."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from spacex.imaging.layout import Canvas

NEIGHBOURS = 6


def neighbours(canvas: Canvas) -> np.ndarray:
    """The nearest tissue pixels (P, n) of every tissue pixel, within its section."""
    smallest = int(np.bincount(canvas.section).min())
    n = min(NEIGHBOURS, smallest - 1)
    near = np.empty((len(canvas.section), n), dtype=np.int64)
    for s, grid in enumerate(canvas.grids):
        here = np.flatnonzero(canvas.section == s)
        place = grid.positions(canvas.pixel[here])
        nearest = np.asarray(cKDTree(place).query(place, k=n + 1)[1]).reshape(len(here), n + 1)
        near[here] = here[nearest[:, 1:]]
    return near


def by_size(label: np.ndarray) -> np.ndarray:
    """The same labels numbered from the largest domain down."""
    _, first, label, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[label]
