"""Coordinates of spots, in ``obsm`` or in two columns of ``obs``, and array positions."""

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
SPATIAL_KEYS = frozenset(
    {
        "spatial", "spatialcoords", "spatialcoord", "spatialcoordinates", "coords", "coordinates", "xy", "location",
        "locations", "centroids", "spatialfov", "spatialxy",
    }
)  # fmt: skip
"""Common keys of coordinates in ``obsm``, in lower case, without ``X_`` and without punctuation."""

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
"""Common names of the x and y columns in ``obs``, in lower case."""

ARRAY_PAIRS = (("array_col", "array_row"), ("col", "row"))
"""Columns used as x and y if there are no others."""


def read_positions(adata: AnnData, spatial_key: str) -> np.ndarray:
    """Coordinates (S, 2) of the spots, without a third axis; those of spots off the tissue are not validated."""
    key = find_spatial_key(adata, spatial_key)
    name = _name_of(adata, key)
    try:
        stored = _stored(adata, key)
        xy = stored.astype(np.float64, casting="same_kind" if stored.dtype.kind == "c" else "unsafe")
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
    """Whether a key has coordinates; ``"spatial"`` can be replaced by the key of the grid, or one other key."""
    if spatial_key in adata.obsm or _columns_of(adata, spatial_key):
        return True
    others = common_spatial_keys(adata) if spatial_key == SPATIAL else []
    return len(others) == 1 and (others[0] in adata.obsm or others[0] == _grid_key(adata))


def common_spatial_keys(adata: AnnData) -> list[str]:
    """Keys other than ``"spatial"`` that have coordinates: the key of the grid, or else common keys.

    Common keys are those of ``obsm``, or else pairs of columns of ``obs``, or else array positions.
    """
    if (grid_key := _grid_key(adata)) is not None:
        return [grid_key]
    folded = {str(column).casefold(): str(column) for column in adata.obs.columns[::-1]}
    ranked = [[str(key) for key in adata.obsm if _plain(key) in SPATIAL_KEYS and key != SPATIAL]]
    ranked += [
        [f"{folded[x]},{folded[y]}" for x, y in pairs if x in folded and y in folded]
        for pairs in (COORDINATE_PAIRS, ARRAY_PAIRS)
    ]
    usable = ([key for key in keys if _is_usable(adata, key)] for keys in ranked)
    return next(filter(None, usable), [])


def find_spatial_key(adata: AnnData, spatial_key: str) -> str:
    """Key of the coordinates: `spatial_key`, or the only common key if ``obsm["spatial"]`` does not exist.

    ``"x,y"`` stands for the columns ``x`` and ``y`` of ``obs``. Raises `InputError` with the keys that could be passed.
    """
    check_name(spatial_key, name="spatial_key")
    if spatial_key in adata.obsm or _columns_of(adata, spatial_key):
        return spatial_key
    candidates = common_spatial_keys(adata)
    if spatial_key == SPATIAL and len(candidates) == 1:
        return candidates[0]
    available = ", ".join(map(repr, adata.obsm.keys())) or "none"
    hint = (
        f"pass {' or '.join(f'spatial_key={key!r}' for key in candidates)}"
        if candidates
        else "put coordinates (n_obs, 2) there or pass spatial_key="
    )
    raise InputError(f"obsm[{spatial_key!r}] is missing (available: {available}); {hint}")


def choose_positions(adata: AnnData, spatial_key: str) -> tuple[str, np.ndarray]:
    """Key and coordinates (S, 2) for a user's call; logs which key is used in place of ``"spatial"``."""
    key = find_spatial_key(adata, spatial_key)
    xy = read_positions(adata, key)
    if key != spatial_key:
        logger.warning("obsm['spatial'] is missing; the coordinates in %s are used", _name_of(adata, key))
    n_columns = _stored(adata, key).shape[1]
    if n_columns > 2:
        logger.warning("%s has %d columns; the first two are used", _name_of(adata, key), n_columns)
    return key, xy


def _grid_key(adata: AnnData) -> str | None:
    """Key of the coordinates of the grid, if they still exist."""
    grid = read_uns(adata).get("grid", {})
    key = grid.get("spatial_key") if isinstance(grid, Mapping) else None
    return key if isinstance(key, str) and (key in adata.obsm or _columns_of(adata, key)) else None


def _plain(key: object) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(x_|reduceddims?[._])", "", str(key).casefold()))


def _is_usable(adata: AnnData, key: str) -> bool:
    """Whether the coordinates of the spots in the tissue are finite and not all equal."""
    try:
        xy = _stored(adata, key)[read_tissue_mask(adata)].astype(np.float64)
    except (TypeError, ValueError):
        return False
    has_columns = xy.ndim == 2 and xy.shape[1] >= 2 and len(xy)
    return bool(has_columns and np.isfinite(xy[:, :2]).all() and np.ptp(xy[:, :2], axis=0).max() > 0)


def _columns_of(adata: AnnData, key: Any) -> list[str]:
    """The two columns of ``obs`` that a key such as ``"x,y"`` names; empty if they do not exist."""
    names = [name.strip() for name in key.split(",")] if isinstance(key, str) else []
    return names if len(names) == 2 and all(name in adata.obs for name in names) else []


def _name_of(adata: AnnData, key: str) -> str:
    columns = [] if key in adata.obsm else _columns_of(adata, key)
    return f"obs[{columns}]" if columns else f"obsm[{key!r}]"


def _stored(adata: AnnData, key: str) -> np.ndarray:
    """Stored coordinates as an array, with NaN for missing values."""
    if key not in adata.obsm:
        columns = (adata.obs[name].astype(object) for name in _columns_of(adata, key))
        return np.column_stack([column.where(column.notna(), np.nan).to_numpy(dtype=np.float64) for column in columns])
    raw = adata.obsm[key]
    return np.asarray(raw.toarray() if sp.issparse(raw) else raw)


def read_array_positions(adata: AnnData) -> np.ndarray | None:
    """Array row and column (S, 2) of the spots; None unless ``obs`` has whole numbers for all spots in the tissue."""
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
