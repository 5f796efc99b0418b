"""Picture of the tissue: the spot that each point shows.

Each spot is shown at its position by the area nearest to it: a hexagon on a hexagonal array, a square on a square
array, a Voronoi cell among free positions. No area reaches farther from its spot than about one spacing, so that holes
and the outline of the tissue are preserved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from scipy.spatial import cKDTree

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_name
from spacex.get._arrangement import SectionName, arrange
from spacex.get._photograph import Frame, photograph
from spacex.get._units import common_units

DISC_RADIUS = 0.48
"""Radius of a spot's disc over a photograph, relative to its reach."""

MAX_POINTS = 12
"""Maximum number of points of a picture in the reach of a spot; more would cost time without showing more."""

MAX_STRETCH = 4.0
"""Maximum length of a picture's longer side, relative to the side of a square with the same number of points."""


@dataclass(frozen=True)
class SpotMap:
    """The spot that each point of a picture of the tissue shows.

    Attributes
    ----------
    index
        (H, W) position in ``obs`` of the spot at each point, -1 off the tissue; row 0 has the smallest y.
    labels
        Names of the sections; empty for a single section.
    position
        (S, 2) column and row of each spot in the picture, not rounded.
    image
        (H, W, 3) photograph of the tissue under the spots, from 0 to 1; None if there is none.
    in_disc
        (H, W) whether a point lies in the disc of its spot; None without a photograph.

    Examples
    --------
    >>> import numpy as np
    >>> import spacex as sx
    >>> tissue = sx.get.SpotMap(np.array([[0, 1, -1]]), [], position=np.array([[0.0, 0.0], [1.0, 0.0]]))
    >>> tissue.to_picture(np.array([5.0, 7.0])).tolist()
    [[5.0, 7.0, None]]
    """

    index: np.ndarray
    labels: list[SectionName]
    position: np.ndarray
    image: np.ndarray | None = None
    in_disc: np.ndarray | None = None

    @property
    def aspect(self) -> float:
        """Width of the picture divided by its height."""
        return self.index.shape[1] / self.index.shape[0]

    def to_picture(self, values: np.ndarray) -> np.ma.MaskedArray:
        """Values (S,) of the spots as a picture (H, W), masked off the tissue and where a value is not finite."""
        picture = np.asarray(values)[np.maximum(self.index, 0)]
        return np.ma.masked_array(picture, mask=(self.index < 0) | ~np.isfinite(picture))


def spot_map(
    adata: AnnData,
    *,
    library_key: str | None = None,
    spatial_key: str | None = None,
    resolution: int = 800,
    image: bool = False,
) -> SpotMap:
    """Return the picture of the section, or of all sections in rows and columns.

    x and y have the same scale, and so have all sections with the same unit.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    library_key
        Column of ``obs`` that names the sections; by default the column that `spacex.pp.rasterize` used.
    spatial_key
        Key of the coordinates in ``obsm``; by default the key that `spacex.pp.rasterize` used, else ``"spatial"``.
    resolution
        Side of a square that has as many points as the picture. A long strip is therefore not coarser than a square.
    image
        Whether to read the photographs of the tissue in ``uns["spatial"]``.

    Returns
    -------
    `SpotMap`.

    Raises
    ------
    InputError
        If there are no spots, the coordinates are missing, or all spots of each section have the same position.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> tissue = sx.get.spot_map(adata, resolution=200)
    >>> tissue.to_picture(adata.X[:, 0].toarray().ravel()).shape == tissue.index.shape
    True
    """
    _adata.prepare_adata(adata)
    check_name(library_key, name="library_key")
    check_int(resolution, name="resolution", low=1)
    check_bool(image, name="image")
    grid = _adata.rasterize_arguments(adata)
    xy = _adata.read_positions(adata, spatial_key or grid.get("spatial_key") or "spatial")
    if not len(xy):
        raise InputError("adata has no spots; pass a section with spots")
    if np.ptp(xy, axis=0).max() <= 0:
        raise InputError("all spots lie in one place; positions must differ: check obsm['spatial']")
    section, names = _adata.read_sections(adata, grid.get("library_key") if library_key is None else library_key)
    unit, reach = common_units(xy, section, len(names), array=_adata.read_array_positions(adata))
    low, high = (np.stack([f(xy[section == s], axis=0) for s in range(len(names))]) for f in (np.min, np.max))
    arrangement = arrange((high - low) * unit + 2 * reach[:, None], min_gap=0.5 * float(reach.max()))
    shift = arrangement.corner + reach[:, None] - low * unit
    drawn_xy = xy * unit[section] + shift[section]
    x, y, step = _points(arrangement.size, float(reach.min()), resolution)
    distance, spot = cKDTree(drawn_xy).query(np.stack(np.meshgrid(x, y), axis=-1))
    index = np.where(distance <= reach[section[spot]], spot, -1)
    labels = [
        SectionName(name, left + width / 2 - 0.5, top - 0.5, width, height)
        for name, (left, top, width, height) in zip(names, (arrangement.names / step).tolist(), strict=True)
        if len(names) > 1
    ]
    position = drawn_xy / step - 0.5
    if not image:
        return SpotMap(index, labels, position)
    libraries = list(names) if len(names) > 1 else [None]
    picture = photograph(adata, libraries, section[spot], Frame(x, y, shift, unit))
    return SpotMap(index, labels, position, picture, distance <= DISC_RADIUS * reach[section[spot]])


def _points(size: np.ndarray, reach: float, resolution: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions of the picture's points, x (W,) and y (H,), and the distance between them."""
    step = max(
        float(np.sqrt(size.prod())) / resolution,
        float(size.max()) / (MAX_STRETCH * resolution),
        reach / MAX_POINTS,
    )
    x, y = ((np.arange(max(1, round(length / step))) + 0.5) * step for length in size.tolist())
    return x, y, step
