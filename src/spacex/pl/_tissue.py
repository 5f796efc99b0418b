"""Maps of the tissue: every spot drawn at its true position as the area nearest to it.

On a hexagonal array that area is a hexagon, on a square one a square, among free positions a Voronoi cell; none
reaches farther from its spot than about one spacing, so that holes and the outline of the tissue stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.image import AxesImage
from scipy.spatial import cKDTree

from .. import _slots
from .._check import InputError

OFF = (0.5, 0.5, 0.5, 0.18)
"""Colour of spots without a value."""

DISC = 0.48
"""Radius of a spot's disc over a photograph, in reaches."""

POINTS = 12
"""Most points of a picture in the reach of a spot."""


@dataclass(frozen=True)
class Tissue:
    """Which spot each point of a picture of the tissue shows.

    Attributes
    ----------
    index
        (H, W) number of the spot at every point of the picture, -1 off the tissue; row 0 is the smallest y.
    labels
        Name and centre of each section, as x from 0 to 1, where there are several.
    place
        (S, 2) column and row of every spot in the picture, not rounded.
    image
        (H, W, 3) photograph of the tissue under the spots, from 0 to 1, if it is to be seen.
    inside
        (H, W) whether a point lies in the disc of its spot: over a photograph, numbers are drawn as discs, in their
        true colours, with the tissue between them.
    """

    index: np.ndarray
    labels: list[tuple[str, float]]
    place: np.ndarray
    image: np.ndarray | None = None
    inside: np.ndarray | None = None

    @property
    def aspect(self) -> float:
        """Width of the picture divided by its height."""
        return self.index.shape[1] / self.index.shape[0]

    def paint(self, values: np.ndarray) -> np.ma.MaskedArray:
        """Values (S,) of spots as a picture (H, W), masked off the tissue and where a value is missing."""
        picture = np.asarray(values)[np.maximum(self.index, 0)]
        return np.ma.masked_array(picture, mask=(self.index < 0) | ~np.isfinite(picture))

    def draw(self, ax: Axes, values: np.ndarray, *, cmap: str | Colormap, norm: Normalize) -> AxesImage:
        """Draw numbers (S,) of spots; return the image, for a colour bar."""
        self._ground(ax)
        picture = self.paint(values)
        if self.image is not None and self.inside is not None:
            picture[~self.inside] = np.ma.masked
        return ax.imshow(picture, cmap=cmap, norm=norm, interpolation="nearest")

    def draw_categories(self, ax: Axes, codes: np.ndarray, colors: list[str], *, alpha: float = 1.0) -> None:
        """Draw categories (S,) of spots given as numbers; -1 is drawn as missing."""
        self._ground(ax)
        table = np.array([to_rgba(color) for color in colors] + [(0.0, 0.0, 0.0, 0.0)])
        picture = np.where(self.index < 0, -1, codes[np.maximum(self.index, 0)])
        ax.imshow(table[picture], interpolation="nearest", alpha=alpha)

    def _ground(self, ax: Axes) -> None:
        if self.image is not None:
            ax.imshow(self.image, interpolation="nearest")
        else:
            ground = np.zeros((*self.index.shape, 4))
            ground[self.index >= 0] = OFF
            ax.imshow(ground, interpolation="nearest")
        ax.set_axis_off()
        for name, x in self.labels:
            ax.text(x, -0.01, name, transform=ax.transAxes, ha="center", va="top", fontsize=7, parse_math=False)


def tissue_of(
    adata: AnnData,
    *,
    library_key: str | None = None,
    spatial_key: str | None = None,
    resolution: int = 800,
    image: bool = False,
) -> Tissue:
    """The picture of the section, or of all sections side by side, at most `resolution` points on its longer side.

    `image`: over the photographs of the tissue in ``uns["spatial"]``, where there are any.
    """
    grid = _slots.gridded_by(adata)
    xy = _slots.read_positions(adata, spatial_key or grid.get("spatial_key") or "spatial")
    if not len(xy):
        raise InputError("adata has no spots, and a map needs some; pass a section that has not lost them all")
    if np.ptp(xy, axis=0).max() <= 0:
        raise InputError("all spots lie in one place; a map needs positions that differ: check obsm['spatial']")
    section, names = _slots.read_sections(adata, grid.get("library_key") if library_key is None else library_key)
    reach = _reach(xy, section)
    columns = len(names) if len(names) <= 4 else int(np.ceil(np.sqrt(len(names))))
    placed, cell, step = _side_by_side(xy, section, columns, gap=2.5 * reach)
    rows = -(-len(names) // columns)
    width, height = cell + step * (np.array([columns, rows]) - 1)
    labels = []
    if len(names) > 1 and rows == 1:
        labels = [(name, float((s * step[0] + cell[0] / 2) / width)) for s, name in enumerate(names)]
    x, y = _points(reach, (float(width), float(height)), resolution)
    distance, spot = cKDTree(placed).query(np.stack(np.meshgrid(x, y), axis=-1))
    index = np.where(distance <= reach, spot, -1)
    place = (placed - [x[0], y[0]]) / (x[1] - x[0] if len(x) > 1 else reach)
    if not image:
        return Tissue(index, labels, place)
    libraries = list(names) if len(names) > 1 else [None]
    shift = [(placed - xy)[section == s][0] for s in range(len(names))]
    picture = _photograph(adata, libraries, section[spot], x, y, shift)
    return Tissue(index, labels, place, picture, distance <= DISC * reach)


def _photograph(
    adata: AnnData,
    libraries: Sequence[str | None],
    shown: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    shift: Sequence[np.ndarray],
) -> np.ndarray | None:
    """Images of the sections at points x (W,) and y (H,), of which each shows one (H, W); white where there is none."""
    picture, found = np.ones((*shown.shape, 3)), False
    for s, library in enumerate(libraries):
        read = _slots.read_tissue_image(adata, library)
        if read is not None:
            found = True
            image, scale = read
            column, row = (
                np.rint((at - moved) * scale).astype(int) for at, moved in zip((x, y), shift[s], strict=True)
            )
            rows, columns = np.nonzero(
                (shown == s)
                & ((row >= 0) & (row < image.shape[0]))[:, None]
                & ((column >= 0) & (column < image.shape[1]))
            )
            picture[rows, columns] = image[row[rows], column[columns]]
    return picture if found else None


def _side_by_side(
    xy: np.ndarray, section: np.ndarray, columns: int, *, gap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (S, 2) with every section in the middle of a cell of its own; size and distance of the cells."""
    numbers = range(int(section.max()) + 1)
    extents = np.array([np.ptp(xy[section == s], axis=0) for s in numbers])
    cell = extents.max(axis=0)
    step = cell + max(0.06 * cell.max(), gap)
    placed = xy.copy()
    for s in numbers:
        here = section == s
        corner = step * [s % columns, s // columns] + (cell - extents[s]) / 2
        placed[here] += corner - xy[here].min(axis=0)
    return placed, cell, step


def _reach(xy: np.ndarray, section: np.ndarray) -> float:
    """How far from its spot a point still shows it.

    On a lattice all nearest distances are alike, and .75 of them covers the corners of squares and hexagons;
    free positions have gaps, and the sixth neighbour tells how wide these are.
    """
    points = xy[section == np.bincount(section).argmax()]
    points = np.unique(points, axis=0)
    distance, _ = cKDTree(points).query(points, k=min(7, len(points)))
    low, middle, high = np.quantile(distance[:, 1], [0.1, 0.5, 0.9])
    return float(0.75 * middle if high - low < 0.25 * middle else np.median(distance[:, -1]))


def _points(reach: float, extent: tuple[float, float], resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the picture's points: x (W,) and y (H,)."""
    width, height = extent[0] + 2 * reach, extent[1] + 2 * reach
    # More than this many points for a spot add nothing but time.
    step = max(max(width, height) / resolution, reach / POINTS)
    x = np.arange(max(1, round(width / step))) * step - reach + step / 2
    y = np.arange(max(1, round(height / step))) * step - reach + step / 2
    return x, y
