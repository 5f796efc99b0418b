"""Weights of spots from the forms in which users designate a pattern: arrays, columns, values and polygons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_names

Weights = str | np.ndarray | Sequence[float] | Mapping[str, Iterable[object]] | Sequence[np.ndarray]


def read_spot_weights(adata: AnnData, weights: Weights, name: str, spatial_key: str | None) -> np.ndarray:
    """Convert a designated pattern to weights (S,) of the spots; those off the tissue are not validated.

    Raises `InputError`, which calls the argument `name`, for an invalid or constant pattern.
    """
    if isinstance(weights, str):
        return _from_column(adata, weights, name)
    if isinstance(weights, Mapping):
        return _from_categories(adata, weights, name)
    if _is_list_of_polygons(weights):
        return _from_polygons(adata, weights, name, spatial_key)
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} does not hold numbers; pass one for each of the {adata.n_obs} spots") from error
    if values.shape != (adata.n_obs,):
        raise InputError(f"{name} has shape {values.shape}; pass one number for each of the {adata.n_obs} spots")
    on_tissue = values[_adata.read_tissue_mask(adata)]
    check_finite(on_tissue, name=name, hint="pass numbers for all spots")
    if np.ptp(on_tissue) == 0:
        raise InputError(f"{name} is {on_tissue[0]:g} for every spot; pass weights that differ between spots")
    return values


def _from_column(adata: AnnData, column: str, name: str) -> np.ndarray:
    if column not in adata.obs:
        raise InputError(f"{name}={column!r} is not a column of adata.obs; pass one, or like= for a gene")
    values = adata.obs[column]
    if not pd.api.types.is_numeric_dtype(values):
        example = values.dropna().astype(str).iloc[0] if values.notna().any() else "a"
        raise InputError(
            f"obs[{column!r}] does not hold numbers; pass the values to select: {{{column!r}: [{example!r}]}}"
        )
    return read_spot_weights(adata, values.to_numpy(dtype=np.float64, na_value=np.nan), f"obs[{column!r}]", None)


def _from_categories(adata: AnnData, categories: Mapping[str, Iterable[object]], name: str) -> np.ndarray:
    if not categories:
        raise InputError(f"{name} is empty; pass {{column: values}}, the spots with one of these values")
    selected, in_tissue = np.zeros(adata.n_obs, dtype=bool), _adata.read_tissue_mask(adata)
    for column, values in categories.items():
        if column not in adata.obs:
            raise InputError(f"{name}: {column!r} is not a column of adata.obs; pass {{column: values}}")
        names = check_names(values, name=f"{name}[{column!r}]")
        labels = adata.obs[column].astype(str).where(in_tissue, "")
        unknown = [value for value in names if not (labels == value).any()]
        if unknown:
            existing = ", ".join(map(repr, labels[in_tissue].unique()[:8]))
            raise InputError(f"{name}: no spot has {column} {', '.join(map(repr, unknown))}; pass some of {existing}")
        selected |= labels.isin(names).to_numpy() & in_tissue
    _check_some_selected(selected[in_tissue], name)
    return selected.astype(np.float64)


def _is_list_of_polygons(weights: object) -> TypeGuard[Sequence[np.ndarray]]:
    return isinstance(weights, (list, tuple)) and len(weights) > 0 and all(np.ndim(part) == 2 for part in weights)


def _from_polygons(adata: AnnData, polygons: Sequence[np.ndarray], name: str, spatial_key: str | None) -> np.ndarray:
    from matplotlib.path import Path  # imported only for polygons

    xy = _adata.read_positions(adata, spatial_key or _adata.rasterize_arguments(adata).get("spatial_key") or "spatial")
    selected = np.zeros(len(xy), dtype=bool)
    for polygon in polygons:
        corners = np.asarray(polygon, dtype=np.float64)
        if corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise InputError(f"{name}: a polygon has shape {corners.shape}; pass finite (N, 2) arrays with N >= 3")
        selected |= Path(corners).contains_points(xy)
    _check_some_selected(selected[_adata.read_tissue_mask(adata)], name)
    return selected.astype(np.float64)


def _check_some_selected(selected: np.ndarray, name: str) -> None:
    """Raise `InputError` if all or none of the spots on tissue are selected."""
    if selected.all() or not selected.any():
        raise InputError(f"{name} selects {'all' if selected.all() else 'none'} of the spots; select some of them")
