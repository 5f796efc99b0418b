"""Section, labels and covariates of the spots, from columns of ``obs``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata.tissue_mask import read_tissue_mask
from spacex._adata.validation import MIN_PIXELS
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_name

MIN_SPOTS_PER_LEVEL = 5
"""Minimum average number of spots for each level of a categorical covariate."""


def read_sections(adata: AnnData, library_key: str | None) -> tuple[np.ndarray, list[str]]:
    """Section (S,) of each spot as an index, -1 off the tissue, and the names of the sections."""
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
    small = [name for name, size in zip(names, np.bincount(codes[in_tissue]), strict=True) if size < MIN_PIXELS]
    if small:
        listed = ", ".join(small[:5]) + (f", ... ({len(small)} of {len(names)})" if len(small) > 5 else "")
        raise InputError(f"section(s) {listed} of obs[{library_key!r}] have fewer than {MIN_PIXELS} spots; remove them")
    return codes, names


def read_labels(adata: AnnData, column: str, spots: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, list[str]]:
    """Labels of spots in a column of ``obs``.

    Returns
    -------
    Label (S,) of each spot as an index, -1 if missing, and the labels as text, sorted or in the order of categories.

    Raises
    ------
    InputError
        If values cannot be labels, or different labels have the same text.
    """
    try:
        codes, labels = pd.factorize(adata.obs[column][spots], sort=True)
    except TypeError as error:
        raise InputError(f"obs[{column!r}] does not hold names; pass a column of text or numbers") from error
    names = [str(label) for label in labels]
    duplicated = pd.Index(names).duplicated()
    if duplicated.any():
        name = names[int(duplicated.argmax())]
        raise InputError(
            f"obs[{column!r}] holds {name!r} in more than one type; convert it to text: "
            f"adata.obs[{column!r}] = adata.obs[{column!r}].astype(str)"
        )
    return codes.astype(np.int64), names


def read_covariates(adata: AnnData, names: Sequence[str]) -> np.ndarray:
    """Columns of ``obs`` as numbers (S, c), NaN off the tissue; columns that are not numeric are one-hot encoded.

    Raises
    ------
    InputError
        If a column does not exist, has missing values, or has too many levels.
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
            if values.shape[1] > max(2, len(column) // MIN_SPOTS_PER_LEVEL):
                raise InputError(
                    f"obs[{name!r}] has {values.shape[1]} values for {len(column)} spots; a covariate needs "
                    f"{MIN_SPOTS_PER_LEVEL} spots for each value, or numbers"
                )
        columns.append(values)
    inside = np.hstack(columns)
    covariates = np.full((adata.n_obs, inside.shape[1]), np.nan)
    covariates[in_tissue] = inside
    return covariates
