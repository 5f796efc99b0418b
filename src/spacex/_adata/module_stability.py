"""Reading and writing of the stability of modules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.results import read_modules

MIN_STABLE_JACCARD = 0.5
"""Minimum of both Jaccard indices of a stable module."""


def write_module_stability(adata: AnnData, module: np.ndarray, **indices: np.ndarray) -> None:
    """Write each index (K,) to ``var["spacex_module_jaccard_<name>"]``: that of the module (G,) of each gene.

    NaN for genes without a module (-1). Values of genes follow their module when modules are renamed, and when genes
    are removed.
    """
    for name, values in indices.items():
        adata.var[keys.jaccard_column(name)] = np.where(module >= 0, values[module], np.nan)


def read_module_stability(adata: AnnData) -> pd.DataFrame | None:
    """Return the stability of the modules; None if it was not computed.

    Returns
    -------
    A table with a row for each module in their order, and the columns ``jaccard_halves``, ``jaccard_seeds`` and
    ``stable``, which is nullable. Values are missing if genes of the module have different ones: it was edited.
    """
    columns = {f"jaccard_{name}": keys.jaccard_column(name) for name in keys.JACCARD_NAMES}
    if not all(column in adata.var and pd.api.types.is_numeric_dtype(adata.var[column]) for column in columns.values()):
        return None
    module = read_modules(adata)
    names = [name for name in module.cat.categories if name != keys.UNASSIGNED and (module == name).any()]
    groups = adata.var[list(columns.values())].astype(np.float64).groupby(module.to_numpy().astype(str))
    is_common = groups.max().sub(groups.min()).eq(0.0)  # false with missing values
    table = groups.mean().where(is_common.all(axis=1)).loc[names].set_axis(list(columns), axis=1)
    stable = (table >= MIN_STABLE_JACCARD).all(axis=1).astype("boolean")
    return table.assign(stable=stable.mask(table.isna().any(axis=1)))


def unstable_modules(adata: AnnData) -> set[str]:
    """Return the names of the modules that are not stable; empty if the stability was not computed."""
    table = read_module_stability(adata)
    return set() if table is None else set(table.index[table["stable"].eq(False).fillna(False)])
