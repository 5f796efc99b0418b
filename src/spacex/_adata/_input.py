"""Reading what the caller brings besides the matrix: names, sections, labels, covariates. Reading checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata._in_tissue import read_in_tissue
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_key

MIN_PIXELS = 10
SPOTS_PER_VALUE = 5


def check_names(adata: AnnData) -> None:
    """Raise `InputError` for too few genes or spots, or gene names that are not unique."""
    if adata.n_vars < 2:
        raise InputError(f"adata has {adata.n_vars} gene(s); SpaCEX compares genes and needs at least 2")
    check_spots(adata)
    check_unique(adata)


def check_spots(adata: AnnData) -> None:
    """Raise `InputError` for too few spots in the tissue."""
    n_spots = int(read_in_tissue(adata).sum())
    if n_spots < MIN_PIXELS:
        where = f" in the tissue, of {adata.n_obs}" if n_spots < adata.n_obs else ""
        raise InputError(f"adata has {n_spots} spot(s){where}; SpaCEX needs at least {MIN_PIXELS}")


def check_unique(adata: AnnData) -> None:
    """Raise `InputError` for gene names that are not unique."""
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        raise InputError(
            f"{len(twice)} gene name(s) occur more than once (first: {twice[0]!r}); call adata.var_names_make_unique()"
        )


def indices_sorted_by_name(adata: AnnData, genes: np.ndarray) -> np.ndarray:
    """Numbers of the genes in a mask (G,), in the order of their names.

    What is made of genes in this order does not depend on the order in which a file has them, to the last bit.
    """
    names = [str(name) for name in adata.var_names]
    return np.array(sorted(np.flatnonzero(genes), key=names.__getitem__), dtype=np.int64)


def read_sections(adata: AnnData, library_key: str | None) -> tuple[np.ndarray, list[str]]:
    """Section (S,) of every spot as a number, -1 off the tissue, and the names of the sections."""
    check_key(library_key, name="library_key")
    in_tissue = read_in_tissue(adata)
    if library_key is None:
        return np.where(in_tissue, 0, -1), ["section"]
    if library_key not in adata.obs:
        raise InputError(f"library_key={library_key!r} is not a column of adata.obs; pass one that names the sections")
    codes = np.full(adata.n_obs, -1, dtype=np.int64)
    codes[in_tissue], names = read_labels(adata, library_key, in_tissue)
    n_missing = int((codes[in_tissue] < 0).sum())
    if n_missing:
        raise InputError(f"obs[{library_key!r}] is missing for {n_missing} spot(s); name a section for each")
    few = [name for name, size in zip(names, np.bincount(codes[in_tissue]), strict=True) if size < MIN_PIXELS]
    if few:
        shown = ", ".join(few[:5]) + (f", ... ({len(few)} of {len(names)})" if len(few) > 5 else "")
        raise InputError(
            f"section(s) {shown} of obs[{library_key!r}] have fewer than {MIN_PIXELS} spots; leave them out"
        )
    return codes, names


def read_labels(adata: AnnData, column: str, spots: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, list[str]]:
    """Label (S,) of spots in a column of ``obs`` as a number, -1 where it is missing, and the labels as text.

    Sorted, categories in their order; an error for what is no label, or labels that are one as text.
    """
    try:
        codes, labels = pd.factorize(adata.obs[column][spots], sort=True)
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
    """Columns of ``obs`` as numbers (S, c), NaN off the tissue: numeric ones as they are, others by an indicator each.

    An error for a column that is missing, has missing values, or tells almost every spot apart.
    """
    in_tissue = read_in_tissue(adata)
    columns = []
    for name in names:
        if name not in adata.obs:
            raise InputError(f"covariates: {name!r} is not a column of adata.obs; pass names of columns")
        column = adata.obs[name][in_tissue]
        if column.isna().any():
            raise InputError(f"obs[{name!r}] is missing for {int(column.isna().sum())} spot(s); fill or drop them")
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=np.float64)[:, None]
            check_finite(values, name=f"obs[{name!r}]", hint="fill or drop them")
        else:
            values = pd.get_dummies(column.astype(str)).to_numpy(dtype=np.float64)
            if values.shape[1] > max(2, len(column) // SPOTS_PER_VALUE):
                raise InputError(
                    f"obs[{name!r}] has {values.shape[1]} values for {len(column)} spots; a covariate needs "
                    f"{SPOTS_PER_VALUE} spots for each value, or numbers"
                )
        columns.append(values)
    inside = np.hstack(columns)
    covariates = np.full((adata.n_obs, inside.shape[1]), np.nan)
    covariates[in_tissue] = inside
    return covariates


def read_libraries(adata: AnnData) -> dict[str, Mapping[str, Any]]:
    """The libraries of ``uns["spatial"]``, where scanpy and squidpy keep images; what else lies there is left out."""
    libraries = adata.uns.get("spatial")
    if not isinstance(libraries, Mapping):
        return {}
    return {str(name): entry for name, entry in libraries.items() if isinstance(entry, Mapping)}


def read_tissue_image(adata: AnnData, library: str | None) -> tuple[np.ndarray, float] | None:
    """Image (H, W, 3) from 0 to 1 of a section and its pixels per unit of ``obsm["spatial"]``, where there is one.

    Looked for in ``uns["spatial"][library]``; ``None`` is the only library. The image of higher resolution is taken.
    """
    libraries = read_libraries(adata)
    entry = next(iter(libraries.values())) if library is None and len(libraries) == 1 else libraries.get(str(library))
    images, factors = ((entry or {}).get(part) for part in ("images", "scalefactors"))
    if not isinstance(images, Mapping) or not isinstance(factors, Mapping):
        return None
    for kind in ("hires", "lowres"):
        scale = factors.get(f"tissue_{kind}_scalef")
        image = np.asarray(images[kind]) if images.get(kind) is not None and scale is not None else np.empty(0)
        if (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))) and image.dtype.kind in "uif":
            image = image / 255.0 if image.dtype.kind in "ui" else image.astype(np.float64)
            image = image[..., None] if image.ndim == 2 else image
            return np.broadcast_to(image[..., :3], (*image.shape[:2], 3)), float(np.asarray(scale))
    return None
