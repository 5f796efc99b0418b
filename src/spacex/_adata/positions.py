"""Where spots lie: coordinates under a key of ``obsm`` or in two columns of ``obs``, and places on an array."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from spacex._adata.tissue_mask import read_tissue_mask
from spacex._adata.uns import read_uns
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_name

logger = logging.getLogger("spacex")

SPATIAL = "spatial"
KEYS = frozenset(
    {
        "spatial", "spatialcoords", "spatialcoord", "spatialcoordinates", "coords", "coordinates", "xy", "location",
        "locations", "centroids", "spatialfov", "spatialxy",
    }
)  # fmt: skip
"""Usual keys of coordinates in ``obsm``, in lower case, without ``X_`` and without what is neither letter nor digit."""

COORDINATE_PAIRS = (
    ("pxl_col_in_fullres", "pxl_row_in_fullres"), ("imagecol", "imagerow"), ("x_centroid", "y_centroid"),
    ("center_x", "center_y"), ("centerx_global_px", "centery_global_px"), ("x_global_px", "y_global_px"),
    ("x_slide_mm", "y_slide_mm"), ("sdimx", "sdimy"), ("pixel_x", "pixel_y"), ("xcoord", "ycoord"),
    ("x_coord", "y_coord"), ("coord_x", "coord_y"), ("x_coordinate", "y_coordinate"),
    ("x_position", "y_position"), ("x_location", "y_location"), ("pos_x", "pos_y"), ("centroid_x", "centroid_y"),
    ("centroid_col", "centroid_row"), ("x_um", "y_um"), ("x_mm", "y_mm"), ("x_px", "y_px"),
    ("global_x", "global_y"), ("spatial_x", "spatial_y"), ("spatial1", "spatial2"), ("spatial_1", "spatial_2"),
    ("x", "y"),
)  # fmt: skip
"""Usual columns of x and y in ``obs``, in lower case."""

ARRAY_PAIRS = (("array_col", "array_row"), ("col", "row"))
"""Columns that serve as x and y where no others are there."""


def read_positions(adata: AnnData, spatial_key: str) -> np.ndarray:
    """Coordinates (S, 2) of the spots, a third one left out; those of spots off the tissue are not checked."""
    key = find_spatial_key(adata, spatial_key)
    name = _name_of(adata, key)
    try:
        given = _stored(adata, key)
        xy = given.astype(np.float64, casting="same_kind" if given.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} does not hold numbers; put coordinates (n_obs, 2) there") from error
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise InputError(f"{name} has shape {xy.shape}; SpaCEX needs two columns, x and y: (n_obs, 2)")
    used = xy[read_tissue_mask(adata), :2]
    check_finite(used, name=name, hint="drop the spots without coordinates")
    if np.abs(used).max(initial=0) > 1e100:
        raise InputError(f"{name} holds values above 1e100, too large to compute with; rescale them")
    return np.ascontiguousarray(xy[:, :2])


def has_positions(adata: AnnData, spatial_key: str = SPATIAL) -> bool:
    """Whether there are coordinates under a key; for ``"spatial"`` also by the grid, or one other key of ``obsm``."""
    if spatial_key in adata.obsm or _columns_of(adata, spatial_key):
        return True
    others = common_spatial_keys(adata) if spatial_key == SPATIAL else []
    return len(others) == 1 and (others[0] in adata.obsm or others[0] == _key_of_grid(adata))


def common_spatial_keys(adata: AnnData) -> list[str]:
    """Keys other than ``"spatial"`` under which there are coordinates: that of the grid alone, where there is one.

    Else those of ``obsm``, pairs of columns of ``obs``, or places on an array: the first of these that are there.
    """
    if (made := _key_of_grid(adata)) is not None:
        return [made]
    folded = {str(column).casefold(): str(column) for column in adata.obs.columns[::-1]}
    ranked = [[str(key) for key in adata.obsm if _plain(key) in KEYS and key != SPATIAL]]
    ranked += [
        [f"{folded[x]},{folded[y]}" for x, y in pairs if x in folded and y in folded]
        for pairs in (COORDINATE_PAIRS, ARRAY_PAIRS)
    ]
    usable = ([key for key in keys if _is_usable(adata, key)] for keys in ranked)
    return next(filter(None, usable), [])


def find_spatial_key(adata: AnnData, spatial_key: str) -> str:
    """The key of the coordinates: `spatial_key`, or, where ``obsm`` lacks ``"spatial"``, the one other usual key.

    ``"x,y"`` stands for the columns ``x`` and ``y`` of ``obs``. An error that names the keys that could be passed.
    """
    check_name(spatial_key, name="spatial_key")
    if spatial_key in adata.obsm or _columns_of(adata, spatial_key):
        return spatial_key
    found = common_spatial_keys(adata)
    if spatial_key == SPATIAL and len(found) == 1:
        return found[0]
    known = ", ".join(map(repr, adata.obsm.keys())) or "none"
    others = " or ".join(f"spatial_key={key!r}" for key in found)
    hint = f"pass {others}" if found else "put coordinates (n_obs, 2) there or pass spatial_key="
    raise InputError(f"obsm[{spatial_key!r}] is missing (available: {known}); {hint}")


def choose_positions(adata: AnnData, spatial_key: str) -> tuple[str, np.ndarray]:
    """Key and coordinates (S, 2) for a call of a user: one line says what is used in place of what was asked for."""
    key = find_spatial_key(adata, spatial_key)
    xy = read_positions(adata, key)
    if key != spatial_key:
        logger.warning("obsm['spatial'] is missing; the coordinates in %s are used", _name_of(adata, key))
    n_columns = _stored(adata, key).shape[1]
    if n_columns > 2:
        logger.warning("%s has %d columns; the first two are used", _name_of(adata, key), n_columns)
    return key, xy


def _key_of_grid(adata: AnnData) -> str | None:
    """The key that the grid was made by, where it is there."""
    grid = read_uns(adata).get("grid", {})
    made = grid.get("spatial_key") if isinstance(grid, Mapping) else None
    return made if isinstance(made, str) and (made in adata.obsm or _columns_of(adata, made)) else None


def _plain(key: object) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(x_|reduceddims?[._])", "", str(key).casefold()))


def _is_usable(adata: AnnData, key: str) -> bool:
    """Whether there are two finite numbers, not the same ones everywhere, for every spot in the tissue."""
    try:
        xy = _stored(adata, key)[read_tissue_mask(adata)].astype(np.float64)
    except (TypeError, ValueError):
        return False
    plane = xy.ndim == 2 and xy.shape[1] >= 2 and len(xy)
    return bool(plane and np.isfinite(xy[:, :2]).all() and np.ptp(xy[:, :2], axis=0).max() > 0)


def _columns_of(adata: AnnData, key: Any) -> list[str]:
    """The two columns of ``obs`` that a key such as ``"x,y"`` stands for; none where they are not there."""
    names = [name.strip() for name in key.split(",")] if isinstance(key, str) else []
    return names if len(names) == 2 and all(name in adata.obs for name in names) else []


def _name_of(adata: AnnData, key: str) -> str:
    columns = [] if key in adata.obsm else _columns_of(adata, key)
    return f"obs[{columns}]" if columns else f"obsm[{key!r}]"


def _stored(adata: AnnData, key: str) -> np.ndarray:
    """What is stored under a key, as an array; missing values of columns as NaN."""
    if key not in adata.obsm:
        columns = (adata.obs[name].astype(object) for name in _columns_of(adata, key))
        return np.column_stack([column.where(column.notna(), np.nan).to_numpy(dtype=np.float64) for column in columns])
    raw = adata.obsm[key]
    return np.asarray(raw.toarray() if sp.issparse(raw) else raw)


def read_array_positions(adata: AnnData) -> np.ndarray | None:
    """Array row and column (S, 2) of the spots where ``obs`` has them, whole and complete in the tissue."""
    if not {"array_row", "array_col"} <= set(adata.obs.columns):
        return None
    in_tissue = read_tissue_mask(adata)
    try:
        inside = adata.obs.loc[in_tissue, ["array_row", "array_col"]].to_numpy(dtype=float)
    except (TypeError, ValueError):
        return None
    if not np.isfinite(inside).all() or np.any(inside != np.rint(inside)):
        return None
    array = np.full((adata.n_obs, 2), -1, dtype=int)
    array[in_tissue] = inside
    return array
