"""Pixel grids: the grid of a section, and the pixel of each spot.

A section is a lattice (hexagonal or square, one spot per pixel) or a set of free positions (binned). Rows of a
hexagonal lattice are staggered: odd rows lie half a pixel to the right, which preserves all spots and neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.spatial import cKDTree

from spacex._config import MAX_SIDE
from spacex._infra.errors import InputError

HEX_ASPECT = float(np.sqrt(3.0) / 2.0)
"""Distance between rows of a hexagonal lattice, in distances between its columns."""

MAX_GAP = 0.5
"""Maximum width of an empty stretch, as a fraction of the tissue; wider ones are shortened."""
MAX_LATTICE_SIDE = 160
"""Lattices with a longer side (Visium HD) are binned like free positions."""

GridSize = Literal["auto"] | int | tuple[int, int]
GridKind = Literal["hex", "square", "bins"]


@dataclass(frozen=True)
class Grid:
    """The pixel grid of one section.

    Attributes
    ----------
    shape
        Rows and columns (H, W).
    kind
        ``"hex"`` and ``"square"``: lattice with one spot per pixel; ``"bins"``: free positions.
    aspect
        Distance between rows divided by the distance between columns.
    pitch
        Distance between columns in units of the coordinates.
    """

    shape: tuple[int, int]
    kind: GridKind
    aspect: float
    pitch: float

    @property
    def staggered(self) -> bool:
        """Whether odd rows lie half a pixel to the right."""
        return self.kind == "hex"

    @property
    def is_valid(self) -> bool:
        """Whether all attributes are in their ranges, which is not guaranteed for grids read from a file."""
        sides = len(self.shape) == 2 and all(0 < side <= MAX_SIDE for side in self.shape)
        return self.kind in get_args(GridKind) and sides and 0 < self.aspect < np.inf and 0 < self.pitch < np.inf

    def positions(self, pixel: np.ndarray) -> np.ndarray:
        """Coordinates (N, 2) x, y in pixel pitches, of pixels (N, 2) given by row and column."""
        row, col = pixel[:, 0], pixel[:, 1]
        shift = 0.5 * (row % 2) if self.staggered else 0.0
        return np.column_stack([col + shift, row * self.aspect])


def assign_pixels(
    xy: np.ndarray,
    *,
    array: np.ndarray | None = None,
    size: GridSize = "auto",
    max_side: int = 96,
    spots_per_pixel: float = 2.0,
) -> tuple[Grid, np.ndarray]:
    """Choose a grid for the spots of one section and assign each spot to a pixel.

    Parameters
    ----------
    xy
        Coordinates (S, 2) in any unit.
    array
        Array row and column (S, 2) of each spot, as written by Space Ranger, if available.
    size
        ``"auto"``; the number of pixels on the longer side; or (H, W). Spots are binned unless it is ``"auto"``.
    max_side
        Maximum number of pixels per side of binned positions with ``"auto"``.
    spots_per_pixel
        Mean number of spots in a pixel at the median density. With ``"auto"`` pixels are as large as required by this
        and by `max_side`.

    Returns
    -------
    The grid, and row and column (S, 2) of the pixel of each spot.

    Raises
    ------
    InputError
        If all positions are equal.
    """
    if np.ptp(xy, axis=0).max() <= 0:
        raise InputError("all spots lie in one place; positions must differ: check obsm['spatial']")
    if size == "auto":
        lattice = _from_array(array, xy) if array is not None else None
        xy = _shorten_gaps(xy)
        lattice = lattice or _fit_lattice(xy)
        if lattice is not None and max(lattice[0].shape) <= MAX_LATTICE_SIDE:
            return lattice
    return _bin(xy, size, max_side, spots_per_pixel)


def _shorten_gaps(xy: np.ndarray) -> np.ndarray:
    """Coordinates in which stretches without spots are at most `MAX_GAP` of the tissue wide.

    Otherwise a few distant spots would determine the pixel size.
    """
    closed = xy.copy()
    for axis in (0, 1):
        order = np.argsort(xy[:, axis], kind="stable")
        low, high = np.quantile(xy[:, axis], [0.05, 0.95])
        step = np.diff(xy[order, axis])
        if high > low and step.max(initial=0.0) > MAX_GAP * (high - low):
            closed[order[1:], axis] = xy[order[0], axis] + np.cumsum(np.minimum(step, MAX_GAP * (high - low)))
    return closed


def _from_array(array: np.ndarray, xy: np.ndarray) -> tuple[Grid, np.ndarray] | None:
    """Grid from array coordinates; on hexagonal (Visium) arrays row + column is always even. None if they repeat."""
    row, col = array[:, 0].astype(int), array[:, 1].astype(int)
    if len(np.unique(np.column_stack([row, col]), axis=0)) < len(row):
        return None
    if np.any((row + col) % 2):
        return _on_lattice(row, col, "square", _nearest(xy))
    return _on_lattice(row, (col - row % 2) // 2, "hex", _nearest(xy))


def _nearest(xy: np.ndarray) -> float:
    """Median distance to the nearest other position."""
    distance, _ = cKDTree(np.unique(xy, axis=0)).query(np.unique(xy, axis=0), k=2)
    return float(np.median(distance[:, 1]))


def _on_lattice(
    row: np.ndarray, col: np.ndarray, kind: Literal["hex", "square"], pitch: float
) -> tuple[Grid, np.ndarray]:
    """Shift integer lattice coordinates to start at zero, preserving the parity of staggered rows."""
    first = row.min() - (row.min() % 2 if kind == "hex" else 0)
    pixel = np.column_stack([row - first, col - col.min()])
    height, width = (pixel.max(axis=0) + 1).tolist()
    return Grid((height, width), kind, HEX_ASPECT if kind == "hex" else 1.0, pitch), pixel


def _fit_lattice(xy: np.ndarray) -> tuple[Grid, np.ndarray] | None:
    """Detect a hexagonal or square lattice at any rotation; None if the coordinates are not on a lattice.

    The basis is estimated from nearest neighbors and refitted by least squares on growing discs around the center, so
    that small errors of pitch and angle do not accumulate over the rows.
    """
    points = np.unique(xy, axis=0)
    if len(points) < 16:
        return None
    distance, neighbor = cKDTree(points).query(points, k=7)
    low, pitch, high = np.quantile(distance[:, 1], [0.1, 0.5, 0.9])
    if high - low > 0.25 * pitch:
        return None
    near = (distance[:, 1:] < 1.25 * pitch).ravel()
    step = (points[neighbor[:, 1:]] - points[:, None]).reshape(-1, 2)[near]
    angle = np.arctan2(step[:, 1], step[:, 0])
    four, six = np.exp(4j * angle).mean(), np.exp(6j * angle).mean()
    kind: Literal["hex", "square"] = "hex" if abs(six) > abs(four) else "square"
    # Shift the branch cut of the angle away from upright arrays, where rounding would choose the side.
    turn = (np.angle(six * np.exp(0.1j)) - 0.1) / 6 if kind == "hex" else (np.angle(four * np.exp(0.1j)) - 0.1) / 4
    second = turn + (np.pi / 3 if kind == "hex" else np.pi / 2)
    # With jitter the nearest neighbor is nearer than the pitch, but the mean distance is unbiased.
    length = np.linalg.norm(step, axis=1).mean()
    basis = length * np.array([[np.cos(turn), np.sin(turn)], [np.cos(second), np.sin(second)]])
    index, basis = _grow(xy, basis, pitch)
    error = np.linalg.norm(xy - _least_squares(index, xy, index), axis=1)
    if np.quantile(error, 0.95) > 0.35 * pitch or len(np.unique(index, axis=0)) < 0.99 * len(points):
        return None
    row = index[:, 1] - index[:, 1].min()  # parity must not depend on the center of the disc
    col = index[:, 0] + (row // 2 if kind == "hex" else 0)
    return _on_lattice(row, col, kind, float(np.linalg.norm(basis[0])))


def _grow(xy: np.ndarray, basis: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Integer lattice coordinates (S, 2) of `xy`, and the basis refitted on growing discs."""
    center = xy[np.argmin(np.linalg.norm(xy - np.median(xy, axis=0), axis=1))]
    radius, max_radius = np.linalg.norm(xy - center, axis=1), 4 * pitch
    origin = center
    while True:
        index = np.rint((xy - origin) @ np.linalg.inv(basis)).astype(int)
        inside = radius <= max_radius
        design = np.column_stack([index[inside], np.ones(inside.sum())])
        if np.linalg.matrix_rank(design) == 3:
            fitted = np.linalg.lstsq(design, xy[inside], rcond=None)[0]
            basis, origin = fitted[:2], fitted[2]
        if inside.all():
            return np.rint((xy - origin) @ np.linalg.inv(basis)).astype(int), basis
        max_radius *= 1.5


def _least_squares(index: np.ndarray, xy: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Positions (N, 2) at lattice coordinates `at`, by the least-squares affine map from `index` to `xy`."""
    design = np.column_stack([index, np.ones(len(index))])
    fitted = np.linalg.lstsq(design, xy, rcond=None)[0]
    return np.column_stack([at, np.ones(len(at))]) @ fitted


def _bin(xy: np.ndarray, size: GridSize, max_side: int, spots_per_pixel: float) -> tuple[Grid, np.ndarray]:
    """Bin free positions into square pixels (rectangular if `size` is a pair)."""
    start, extent = xy.min(axis=0), np.ptp(xy, axis=0)
    if isinstance(size, tuple):
        height, width = size
        side = np.maximum(extent, 1e-12 * extent.max()) / np.array([width, height])
    else:
        pixel_side = _auto_side(xy, max_side, spots_per_pixel) if size == "auto" else extent.max() / size
        width, height = (np.floor(extent / pixel_side * (1 - 1e-12)).astype(int) + 1).tolist()
        side = np.array([pixel_side, pixel_side])
    column_row = np.minimum(((xy - start) / side).astype(int), np.array([width, height]) - 1)
    grid = Grid((height, width), "bins", float(side[1] / side[0]), float(side[0]))
    return grid, column_row[:, ::-1].copy()


def _auto_side(xy: np.ndarray, max_side: int, spots_per_pixel: float) -> float:
    """Pixel side for `spots_per_pixel` spots at the median density and at most `max_side` pixels per side."""
    neighbors = min(9, len(xy))
    distance, _ = cKDTree(xy).query(xy, k=neighbors)
    radius = np.median(distance[:, -1])
    side = np.sqrt(spots_per_pixel * np.pi * radius**2 / max(neighbors - 1, 1))
    return float(max(side, np.ptp(xy, axis=0).max() / max_side))
