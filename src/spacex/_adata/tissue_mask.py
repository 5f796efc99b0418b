"""Mask of the spots in the tissue, from ``obs["in_tissue"]`` of any type."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._infra.errors import InputError, safe_repr

logger = logging.getLogger("spacex")

IN_TISSUE = "in_tissue"
INSIDE = frozenset({"true", "t", "yes", "y", "in", "inside", "tissue", "in tissue", "in_tissue", "on tissue"})
OUTSIDE = frozenset(
    {"false", "f", "no", "n", "out", "outside", "background", "off tissue", "not in tissue", "not_in_tissue"}
)
MISSING = frozenset({"", "nan", "na", "none", "<na>"})


def read_tissue_mask(adata: AnnData) -> np.ndarray:
    """Mask (S,) of the spots in the tissue; all spots if ``obs["in_tissue"]`` does not exist.

    The column holds numbers, booleans or text. Zero is outside, a missing value inside.

    Raises
    ------
    InputError
        If a value cannot be interpreted, or no spot is in the tissue.
    """
    if IN_TISSUE not in adata.obs:
        return np.ones(adata.n_obs, dtype=bool)
    try:
        codes, values = pd.factorize(adata.obs[IN_TISSUE])
    except TypeError as error:
        raise InputError(f"obs[{IN_TISSUE!r}] holds values that are not numbers; pass 0 and 1") from error
    inside = np.array([*map(_is_inside, values), True])[codes]  # code -1 (missing) selects the last element
    if adata.n_obs and not inside.any():
        raise InputError(
            f"obs[{IN_TISSUE!r}] is 0 for all {adata.n_obs} spots; set it to 1 for those in the tissue, "
            f"or remove the column: del adata.obs[{IN_TISSUE!r}]"
        )
    return inside


def _is_inside(value: Any) -> bool:
    text = " ".join(str(value).casefold().split())
    try:
        number = float(text)
    except ValueError:
        if text in INSIDE | MISSING:
            return True
        if text in OUTSIDE:
            return False
        raise InputError(
            f"obs[{IN_TISSUE!r}] holds {safe_repr(value)}; pass 0 for spots off the tissue and 1 for the others, "
            f"or remove the column: del adata.obs[{IN_TISSUE!r}]"
        ) from None
    return math.isnan(number) or number != 0


def log_off_tissue(in_tissue: np.ndarray, *, of: str = "") -> None:
    """Log how many spots are excluded by a mask (S,); `of` names the AnnData."""
    n_off = int((~in_tissue).sum())
    if n_off:
        name = f"{of}: " if of else ""
        logger.warning("%s%d of %d spots have in_tissue == 0 and are excluded", name, n_off, len(in_tissue))


def subset_to_tissue(adata: AnnData) -> AnnData:
    """View of the spots in the tissue; `adata` itself if all are."""
    in_tissue = read_tissue_mask(adata)
    if in_tissue.all():
        return adata
    if adata.isbacked and adata.is_view:  # anndata cannot create a view of this view
        adata = adata.to_memory()
    return adata[in_tissue]
