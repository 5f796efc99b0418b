"""Reading what the caller brings besides the matrix: names, sections, labels, covariates. Reading checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata.tissue_mask import read_tissue_mask
from spacex._adata.validation import MIN_PIXELS
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_name

SPOTS_PER_VALUE = 5


def read_sections(adata: AnnData, library_key: str | None) -> tuple[np.ndarray, list[str]]:
    """Section (S,) of every spot as a number, -1 off the tissue, and the names of the sections."""
    check_name(library_key, name="library_key")
    in_tissue = read_tissue_mask(adata)
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
    in_tissue = read_tissue_mask(adata)
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
