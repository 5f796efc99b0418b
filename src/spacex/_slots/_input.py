"""Reading what the caller brings besides the matrix: names, positions, sections, covariates. Reading checks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._check import InputError, check_finite, check_key

logger = logging.getLogger("spacex")

FEWEST_PIXELS = 10
SPOTS_PER_VALUE = 5


def check_names(adata: AnnData) -> None:
    """Raise `InputError` for too few genes or spots, or gene names that are not unique."""
    if adata.n_vars < 2:
        raise InputError(f"adata has {adata.n_vars} gene(s); SpaCEX compares genes and needs at least 2")
    if adata.n_obs < FEWEST_PIXELS:
        raise InputError(f"adata has {adata.n_obs} spot(s); SpaCEX needs at least {FEWEST_PIXELS}")
    check_unique(adata)


def check_unique(adata: AnnData) -> None:
    """Raise `InputError` for gene names that are not unique."""
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        raise InputError(
            f"{len(twice)} gene name(s) occur more than once (first: {twice[0]!r}); call adata.var_names_make_unique()"
        )


def by_name(adata: AnnData, genes: np.ndarray) -> np.ndarray:
    """Numbers of the genes in a mask (G,), in the order of their names.

    What is made of genes in this order does not depend on the order in which a file has them, to the last bit.
    """
    names = [str(name) for name in adata.var_names]
    return np.array(sorted(np.flatnonzero(genes), key=names.__getitem__), dtype=np.int64)


def read_positions(adata: AnnData, spatial_key: str) -> np.ndarray:
    """Coordinates (S, 2) of the spots; a third coordinate is left out with a warning."""
    check_key(spatial_key, name="spatial_key")
    if spatial_key not in adata.obsm:
        known = ", ".join(map(repr, adata.obsm.keys())) or "none"
        raise InputError(
            f"obsm[{spatial_key!r}] is missing (there: {known}); put coordinates (n_obs, 2) there or pass spatial_key="
        )
    raw = adata.obsm[spatial_key]
    try:
        given = np.asarray(raw.toarray() if sp.issparse(raw) else raw)
        xy = given.astype(np.float64, casting="same_kind" if given.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as error:
        raise InputError(f"obsm[{spatial_key!r}] does not hold numbers; put coordinates (n_obs, 2) there") from error
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise InputError(f"obsm[{spatial_key!r}] has shape {xy.shape}; SpaCEX needs two columns, x and y: (n_obs, 2)")
    if xy.shape[1] > 2:
        logger.warning("obsm[%r] has %d columns; the first two are used", spatial_key, xy.shape[1])
    check_finite(xy[:, :2], name=f"obsm[{spatial_key!r}]", mend="drop the spots without coordinates")
    if np.abs(xy[:, :2]).max(initial=0) > 1e100:
        raise InputError(f"obsm[{spatial_key!r}] holds values above 1e100, too large to compute with; rescale them")
    return np.ascontiguousarray(xy[:, :2])


def read_array(adata: AnnData) -> np.ndarray | None:
    """Array row and column (S, 2) of the spots where ``obs`` has them, whole and complete."""
    if not {"array_row", "array_col"} <= set(adata.obs.columns):
        return None
    try:
        array = adata.obs[["array_row", "array_col"]].to_numpy(dtype=float)
    except (TypeError, ValueError):
        return None
    return array.astype(int) if np.isfinite(array).all() and np.all(array == np.rint(array)) else None


def read_sections(adata: AnnData, library_key: str | None) -> tuple[np.ndarray, list[str]]:
    """Section (S,) of every spot as a number, and the names of the sections."""
    check_key(library_key, name="library_key")
    if library_key is None:
        return np.zeros(adata.n_obs, dtype=np.int64), ["section"]
    if library_key not in adata.obs:
        raise InputError(f"library_key={library_key!r} is not a column of adata.obs; pass one that names the sections")
    codes, names = read_labels(adata, library_key)
    if (codes < 0).any():
        raise InputError(f"obs[{library_key!r}] is missing for {(codes < 0).sum()} spot(s); name a section for each")
    few = [name for name, size in zip(names, np.bincount(codes), strict=True) if size < FEWEST_PIXELS]
    if few:
        shown = ", ".join(few[:5]) + (f", ... ({len(few)} of {len(names)})" if len(few) > 5 else "")
        raise InputError(
            f"section(s) {shown} of obs[{library_key!r}] have fewer than {FEWEST_PIXELS} spots; leave them out"
        )
    return codes, names


def read_labels(adata: AnnData, column: str) -> tuple[np.ndarray, list[str]]:
    """Label (S,) of every spot in a column of ``obs`` as a number, -1 where it is missing, and the labels as text.

    Sorted, categories in their order; an error for what is no label, or labels that are one as text.
    """
    try:
        codes, labels = pd.factorize(adata.obs[column], sort=True)
    except TypeError as error:
        raise InputError(f"obs[{column!r}] does not hold names; pass a column of text or numbers") from error
    names = [str(label) for label in labels]
    twice = pd.Index(names).duplicated()
    if twice.any():
        name = names[int(twice.argmax())]
        raise InputError(
            f"obs[{column!r}] holds {name!r} in more than one type; make it text: "
            f"adata.obs[{column!r}] = adata.obs[{column!r}].astype(str)"
        )
    return codes.astype(np.int64), names


def read_covariates(adata: AnnData, names: Sequence[str]) -> np.ndarray:
    """Columns of ``obs`` as numbers (S, c): numeric ones as they are, others by an indicator for each value.

    An error for a column that is missing, has missing values, or tells almost every spot apart.
    """
    columns = []
    for name in names:
        if name not in adata.obs:
            raise InputError(f"covariates: {name!r} is not a column of adata.obs; pass names of columns")
        column = adata.obs[name]
        if column.isna().any():
            raise InputError(f"obs[{name!r}] is missing for {int(column.isna().sum())} spot(s); fill or drop them")
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=np.float64)[:, None]
            check_finite(values, name=f"obs[{name!r}]", mend="fill or drop them")
        else:
            values = pd.get_dummies(column.astype(str)).to_numpy(dtype=np.float64)
            if values.shape[1] > max(2, adata.n_obs // SPOTS_PER_VALUE):
                raise InputError(
                    f"obs[{name!r}] has {values.shape[1]} values for {adata.n_obs} spots; a covariate needs "
                    f"{SPOTS_PER_VALUE} spots for each value, or numbers"
                )
        columns.append(values)
    return np.hstack(columns)


def read_tissue_image(adata: AnnData, library: str | None) -> tuple[np.ndarray, float] | None:
    """Image (H, W, 3) from 0 to 1 of a section and its pixels per unit of ``obsm["spatial"]``, where there is one.

    Looked for where scanpy and squidpy keep it: ``uns["spatial"][library]``; ``None`` is the only library. The image
    of higher resolution is taken.
    """
    libraries = adata.uns.get("spatial")
    if not isinstance(libraries, Mapping):
        return None
    entry = next(iter(libraries.values())) if library is None and len(libraries) == 1 else libraries.get(library)
    if not isinstance(entry, Mapping):
        return None
    images, factors = entry.get("images") or {}, entry.get("scalefactors") or {}
    for kind in ("hires", "lowres"):
        if kind in images and f"tissue_{kind}_scalef" in factors:
            image = np.asarray(images[kind])
            image = image / 255.0 if image.dtype.kind in "ui" else image.astype(np.float64)
            image = image[..., None] if image.ndim == 2 else image
            return np.broadcast_to(image[..., :3], (*image.shape[:2], 3)), float(factors[f"tissue_{kind}_scalef"])
    return None
