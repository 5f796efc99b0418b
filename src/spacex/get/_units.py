"""Common unit of the coordinates of several sections."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from spacex._infra.errors import InputError
from spacex.imaging.grid import HEX_ASPECT

MAX_LATTICE_SPREAD = 0.25
"""Maximum spread (10 to 90 %) of the distances to the nearest spot, relative to their median, on a lattice."""

MAX_RATIO = 10.0
"""Maximum ratio of the spot distances of two sections whose coordinates have the same unit."""


def common_units(
    xy: np.ndarray, section: np.ndarray, n: int, *, array: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (n, 2) of x and y for each of `n` sections, and the reach (n,) of a spot in scaled units.

    Points within the reach of a spot show it. Coordinates `xy` (S, 2) are taken to have the same unit in all sections,
    with two exceptions, for which the distance between neighboring spots becomes the unit: all sections are lattices of
    one kind, which may have been scanned at different resolutions; or their spot distances differ more than
    `MAX_RATIO`-fold. `array` (S, 2) holds array rows and columns, if known.
    """
    axes = _axes(xy, array)
    spacing, reach, neighbors = np.array([_spacing(xy[section == s] * axes) for s in range(n)]).T
    if np.isnan(spacing).all():
        raise InputError("all spots of each section have the same position; check obsm['spatial'] and library_key")
    # A section whose spots all have the same position is drawn as large as a spot of the others.
    spacing, reach = (np.where(np.isnan(values), np.nanmedian(values), values) for values in (spacing, reach))
    one_lattice = neighbors.all() and (neighbors == neighbors[0]).all()
    if not one_lattice and spacing.max() <= MAX_RATIO * spacing.min():
        spacing = np.ones(n)
    return axes / spacing[:, None], reach / spacing


def _axes(xy: np.ndarray, array: np.ndarray | None) -> np.ndarray:
    """Lengths (2,) of the units of x and y, which differ if the coordinates are indices of a hexagonal array.

    In such an array two columns are one spot wide, and rows are closer than the spots in a row.
    """
    if array is not None and not (array.sum(axis=1) % 2).any():
        for order in ([1, 0], [0, 1]):
            if np.array_equal(xy, array[:, order]):
                return np.array([HEX_ASPECT, 0.5])[order]
    return np.ones(2)


def _spacing(xy: np.ndarray) -> tuple[float, float, float]:
    """Distance between neighboring spots, reach of a spot, and number of neighbors on a lattice.

    On a lattice all nearest distances are equal, and 0.75 of the distance covers the corners of squares and hexagons.
    Free positions have gaps, whose width is estimated by the distance to the sixth neighbor. The number of neighbors is
    6 on a hexagonal lattice, 4 on a square lattice and 0 for free positions.
    """
    points = np.unique(xy, axis=0)
    if len(points) < 2:
        return np.nan, np.nan, 0
    distance = cKDTree(points).query(points, k=min(7, len(points)))[0][:, 1:]
    low, spacing, high = np.quantile(distance[:, 0], [0.1, 0.5, 0.9])
    if high - low >= MAX_LATTICE_SPREAD * spacing:
        return float(spacing), float(np.median(distance[:, -1])), 0
    n_neighbors = (distance < 1.25 * spacing).sum(axis=1)
    return float(spacing), 0.75 * float(spacing), int(np.quantile(n_neighbors, 0.9))
