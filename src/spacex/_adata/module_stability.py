"""Reading and writing of the stability of modules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.results import read_modules

MIN_STABLE_JACCARD = 0.5
"""Minimum of both Jaccard indices of a stable module."""

COLUMNS = {"jaccard_halves": keys.JACCARD_HALVES, "jaccard_seeds": keys.JACCARD_SEEDS}


def write_module_stability(adata: AnnData, module: np.ndarray, halves: np.ndarray, seeds: np.ndarray) -> None:
    """Write the indices (K,) of the modules as those of their genes, whose modules (G,) are given.

    Writes ``var["spacex_module_jaccard_halves"]`` and ``var["spacex_module_jaccard_seeds"]``, with NaN for genes
    without a module (-1). Stored by gene, the values stay right when modules are renamed or genes removed.
    """
    for column, values in zip(COLUMNS.values(), (halves, seeds), strict=True):
        adata.var[column] = np.where(module >= 0, values[module], np.nan)


def read_module_stability(adata: AnnData) -> pd.DataFrame | None:
    """Return the stability of the modules; None if it was not computed.

    Returns
    -------
    A table with a row for each module in their order, and the columns ``jaccard_halves``, ``jaccard_seeds`` and
    ``stable``, which is nullable. Values are missing if genes of the module have different ones: it was edited.
    """
    slots = list(COLUMNS.values())
    if not all(slot in adata.var and pd.api.types.is_numeric_dtype(adata.var[slot]) for slot in slots):
        return None
    module = read_modules(adata)
    names = [name for name in module.cat.categories if name != keys.UNASSIGNED and (module == name).any()]
    groups = adata.var[slots].astype(np.float64).groupby(module.to_numpy().astype(str))
    size = module.astype(str).value_counts()
    is_common = groups.max().eq(groups.min()) & groups.count().eq(size, axis=0)
    table = groups.max().where(is_common.all(axis=1)).loc[names].set_axis(list(COLUMNS), axis=1)
    stable = (table >= MIN_STABLE_JACCARD).all(axis=1).astype("boolean")
    return table.assign(stable=stable.mask(table.isna().any(axis=1)))


def unstable_modules(adata: AnnData) -> set[str]:
    """Return the names of the modules that are not stable; empty if the stability was not computed."""
    table = read_module_stability(adata)
    return set() if table is None else set(table.index[table["stable"].eq(False).fillna(False)])
