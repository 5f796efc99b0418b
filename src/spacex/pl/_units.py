"""Units in which sections are drawn: one scale for x and y, and for all sections of a picture."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from spacex._infra.errors import InputError
from spacex.imaging.grid import HEX_ASPECT

REGULAR = 0.25
"""Spread of the distances to the nearest spot, in their median, below which spots lie on a lattice."""

MAX_RATIO = 10.0
"""Ratio of the distances between spots of two sections above which their coordinates have different units."""


def common_units(
    xy: np.ndarray, section: np.ndarray, n: int, *, array: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Factors (n, 2) for x and y of each of `n` sections, and how far from a spot a point shows it (n,), in the result.

    Coordinates (S, 2) have a unit that is the same in all sections, with two exceptions. Lattices of one kind are made
    with one distance between spots, and may have been scanned at several resolutions; and distances between spots
    that differ more than `MAX_RATIO`-fold have no unit in common. Then that distance becomes the unit.

    `array` (S, 2) holds array rows and columns, where they are known.
    """
    axes = _axes(xy, array)
    spacing, reach, neighbors = np.array([_spacing(xy[section == s] * axes) for s in range(n)]).T
    if np.isnan(spacing).all():
        raise InputError("all spots of each section lie in one place; check obsm['spatial'] and the sections' column")
    # A section with all spots in one place is drawn as large as a spot of the others.
    spacing, reach = (np.where(np.isnan(values), np.nanmedian(values), values) for values in (spacing, reach))
    one_lattice = neighbors.all() and (neighbors == neighbors[0]).all()
    if not one_lattice and spacing.max() <= MAX_RATIO * spacing.min():
        spacing = np.ones(n)
    return axes / spacing[:, None], reach / spacing


def _axes(xy: np.ndarray, array: np.ndarray | None) -> np.ndarray:
    """Lengths (2,) of the units of x and y: they differ where coordinates are those of a hexagonal array.

    Two of its columns are one spot wide, and its rows are closer than the spots in a row.
    """
    if array is not None and not (array.sum(axis=1) % 2).any():
        for order in ([1, 0], [0, 1]):
            if np.array_equal(xy, array[:, order]):
                return np.array([HEX_ASPECT, 0.5])[order]
    return np.ones(2)


def _spacing(xy: np.ndarray) -> tuple[float, float, float]:
    """Distance between neighboring spots, how far from a spot a point shows it, and the neighbors on a lattice.

    On a lattice all nearest distances are alike, and 0.75 of them covers the corners of squares and hexagons; free
    positions have gaps, and the sixth neighbor tells how wide these are. The neighbors are 6 on a hexagonal lattice,
    4 on a square one, and 0 among free positions.
    """
    points = np.unique(xy, axis=0)
    if len(points) < 2:
        return np.nan, np.nan, 0
    distance = cKDTree(points).query(points, k=min(7, len(points)))[0][:, 1:]
    low, spacing, high = np.quantile(distance[:, 0], [0.1, 0.5, 0.9])
    if high - low >= REGULAR * spacing:
        return float(spacing), float(np.median(distance[:, -1])), 0
    near = (distance < 1.25 * spacing).sum(axis=1)
    return float(spacing), 0.75 * float(spacing), int(np.quantile(near, 0.9))
