"""Sizes of the modules and the genes of a module."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError


def module_sizes(adata: AnnData) -> pd.Series:
    """Return the number of embedded genes in each module, in the order of the modules.

    `spacex.tl.embed` numbers modules by evidence, so that the first ones have the most correctly assigned genes.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    Sizes by module name. Unassigned genes are not counted.

    Raises
    ------
    InputError
        If there is no embedding or there are no modules.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> list(sx.get.module_sizes(adata).index)
    ['0', '1', '2', '3']
    """
    _adata.prepare_adata(adata)
    column = _adata.read_modules(adata)
    is_embedded = np.isfinite(_adata.read_embedding(adata)[:, 0])
    sizes = column[is_embedded & (column != _adata.keys.UNASSIGNED).to_numpy()].value_counts(sort=False)
    return sizes[sizes > 0].rename_axis(None).rename("genes")


def module_genes(adata: AnnData, module: str) -> np.ndarray:
    """Return the positions of a module's genes, ranked by probability times strength.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.
    module
        Name of the module.

    Returns
    -------
    Positions (n,) in ``var``, the largest product of probability and norm of the embedding first.

    Raises
    ------
    InputError
        If there is no embedding, or no gene is in `module`.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.get.module_genes(adata, "0").dtype.kind
    'i'
    """
    _adata.prepare_adata(adata)
    modules = _adata.read_modules(adata).astype(str).to_numpy()
    member = np.flatnonzero(modules == str(module))
    if not len(member):
        names = sorted(set(modules) - {_adata.keys.UNASSIGNED}, key=lambda name: (len(name), name))
        raise InputError(f"there is no module {module}; modules are {', '.join(names)}")
    strength = np.linalg.norm(_adata.read_embedding(adata)[member].astype(np.float64), axis=1)
    weight = strength * _adata.read_module_probability(adata)[member]
    return member[np.argsort(-np.nan_to_num(weight, nan=-1.0), kind="stable")]
