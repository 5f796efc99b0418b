"""Maps of the tissue: every spot drawn at its true position as the area nearest to it.

On a hexagonal array that area is a hexagon, on a square one a square, among free positions a Voronoi cell; none
reaches farther from its spot than about one spacing, so that holes and the outline of the tissue stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.image import AxesImage
from scipy.spatial import cKDTree

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.pl._arrangement import arrange
from spacex.pl._units import common_units

OFF = (0.5, 0.5, 0.5, 0.18)
"""Colour of spots without a value."""

DISC = 0.48
"""Radius of a spot's disc over a photograph, in reaches."""

POINTS = 12
"""Most points of a picture in the reach of a spot."""

MAX_STRETCH = 4.0
"""Longer side of a picture, in sides of a square of as many points."""

FONT_SIZE, LETTER = 7.0, 0.62
"""Largest size of a section's name in points, and the mean width of a letter in sizes."""


class SectionName(NamedTuple):
    """The name of a section, and the room for it in points of a picture: its middle, top, width and height."""

    text: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Tissue:
    """Which spot each point of a picture of the tissue shows.

    Attributes
    ----------
    index
        (H, W) number of the spot at every point of the picture, -1 off the tissue; row 0 is the smallest y.
    labels
        Names of the sections, where there are several.
    place
        (S, 2) column and row of every spot in the picture, not rounded.
    image
        (H, W, 3) photograph of the tissue under the spots, from 0 to 1, if it is to be seen.
    inside
        (H, W) whether a point lies in the disc of its spot: over a photograph, numbers are drawn as discs, in their
        true colours, with the tissue between them.
    """

    index: np.ndarray
    labels: list[SectionName]
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
        self._write_names(ax)

    def _write_names(self, ax: Axes) -> None:
        """Write the names of the sections as large as there is room for on these axes."""
        box, (height, width) = ax.get_window_extent(), self.index.shape
        scale = min(box.width / width, box.height / height) * 72 / ax.figure.dpi
        for name in self.labels:
            size = min(FONT_SIZE, 0.8 * name.height * scale)
            words = shorten_name(name.text, int(name.width * scale / (LETTER * size)))
            ax.text(name.x, name.y, words, ha="center", va="top", fontsize=size, parse_math=False)


def shorten_name(text: str, n: int) -> str:
    """At most `n` characters of a text, three at least: its beginning and its end, by which names differ."""
    half = max(n - 1, 2) / 2
    return text if len(text) <= max(n, 3) else f"{text[: int(np.ceil(half))]}…{text[-int(half) :]}"


def tissue_of(
    adata: AnnData,
    *,
    library_key: str | None = None,
    spatial_key: str | None = None,
    resolution: int = 800,
    image: bool = False,
) -> Tissue:
    """The picture of the section, or of all sections apart, as `arrange` places them: x and y have one scale.

    It has about as many points as a square of side `resolution`, so that a long strip is not coarser than a square.
    `image`: over the photographs of the tissue in ``uns["spatial"]``, where there are any.
    """
    grid = _adata.rasterize_arguments(adata)
    xy = _adata.read_positions(adata, spatial_key or grid.get("spatial_key") or "spatial")
    if not len(xy):
        raise InputError("adata has no spots, and a map needs some; pass a section that has not lost them all")
    if np.ptp(xy, axis=0).max() <= 0:
        raise InputError("all spots lie in one place; a map needs positions that differ: check obsm['spatial']")
    section, names = _adata.read_sections(adata, grid.get("library_key") if library_key is None else library_key)
    unit, reach = common_units(xy, section, len(names), array=_adata.read_array_positions(adata))
    low, high = (np.stack([f(xy[section == s], axis=0) for s in range(len(names))]) for f in (np.min, np.max))
    arrangement = arrange((high - low) * unit + 2 * reach[:, None], min_gap=0.5 * float(reach.max()))
    shift = arrangement.corner + reach[:, None] - low * unit
    placed = xy * unit[section] + shift[section]
    x, y, step = _points(arrangement.size, float(reach.min()), resolution)
    distance, spot = cKDTree(placed).query(np.stack(np.meshgrid(x, y), axis=-1))
    index = np.where(distance <= reach[section[spot]], spot, -1)
    labels = [
        SectionName(name, left + width / 2 - 0.5, top - 0.5, width, height)
        for name, (left, top, width, height) in zip(names, (arrangement.names / step).tolist(), strict=True)
        if len(names) > 1
    ]
    place = placed / step - 0.5
    if not image:
        return Tissue(index, labels, place)
    libraries = list(names) if len(names) > 1 else [None]
    picture = _photograph(adata, libraries, section[spot], x, y, shift, unit)
    return Tissue(index, labels, place, picture, distance <= DISC * reach[section[spot]])


def _photograph(
    adata: AnnData,
    libraries: Sequence[str | None],
    shown: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    shift: np.ndarray,
    unit: np.ndarray,
) -> np.ndarray | None:
    """Images of the sections at points x (W,) and y (H,), of which each shows one (H, W); white where there is none."""
    picture, found = np.ones((*shown.shape, 3)), False
    for s, library in enumerate(libraries):
        read = _adata.read_tissue_image(adata, library)
        if read is not None:
            found = True
            image, scale = read
            column, row = (
                np.rint((at - moved) / size * scale).astype(int)
                for at, moved, size in zip((x, y), shift[s], unit[s], strict=True)
            )
            rows, columns = np.nonzero(
                (shown == s)
                & ((row >= 0) & (row < image.shape[0]))[:, None]
                & ((column >= 0) & (column < image.shape[1]))
            )
            picture[rows, columns] = image[row[rows], column[columns]]
    return picture if found else None


def _points(size: np.ndarray, reach: float, resolution: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions of the picture's points, x (W,) and y (H,), and their distance."""
    step = max(
        float(np.sqrt(size.prod())) / resolution,
        float(size.max()) / (MAX_STRETCH * resolution),
        reach / POINTS,  # more points for a spot add nothing but time
    )
    x, y = ((np.arange(max(1, round(length / step))) + 0.5) * step for length in size.tolist())
    return x, y, step
