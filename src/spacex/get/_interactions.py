"""Views of the gene-gene interactions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int


def interaction_partners(adata: AnnData, *, n: int = 12) -> pd.DataFrame:
    """Return the most probable partners of each gene.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.interactions`.
    n
        Maximum number of partners of a gene.

    Returns
    -------
    Table with the columns ``gene``, ``partner`` and ``probability``: genes in the order of ``var``, partners by
    probability, the largest first.

    Raises
    ------
    InputError
        If there are no interactions.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.interactions(adata, n_neighbors=5)
    >>> list(sx.get.interaction_partners(adata, n=3).columns)
    ['gene', 'partner', 'probability']
    """
    _adata.prepare_adata(adata)
    check_int(n, name="n", low=1)
    pairs = _adata.read_interactions(adata)
    gene = np.repeat(np.arange(adata.n_vars), np.diff(pairs.indptr))
    order = np.lexsort((-pairs.data, gene))  # stable: equal probabilities stay in the order of var
    rank = np.arange(len(gene)) - pairs.indptr[gene]
    selected = order[rank < n]
    names = adata.var_names.to_numpy()
    return pd.DataFrame(
        {"gene": names[gene[selected]], "partner": names[pairs.indices[selected]], "probability": pairs.data[selected]}
    )


def connected_genes(adata: AnnData, *, n: int = 40) -> np.ndarray:
    """Return the genes with the most probable interactions, from all modules in turn.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.interactions`.
    n
        Maximum number of genes.

    Returns
    -------
    Positions (n,) in ``var``: the gene of each module with the largest sum of probabilities, then the second of each
    module, and so on. Unassigned genes and genes without interactions are left out.

    Raises
    ------
    InputError
        If there are no interactions, or fewer than 3 genes of modules have any.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.interactions(adata, n_neighbors=5)
    >>> sx.get.connected_genes(adata, n=6).shape
    (6,)
    """
    _adata.prepare_adata(adata)
    check_int(n, name="n", low=1)
    degree = np.asarray(_adata.read_interactions(adata).sum(axis=1)).ravel()
    module = _adata.read_modules(adata).astype(str).to_numpy()
    order = np.argsort(-degree, kind="stable")
    order = order[(degree[order] > 0) & (module[order] != _adata.keys.UNASSIGNED)]
    rank = pd.Series(module[order]).groupby(module[order]).cumcount().to_numpy()
    genes = order[np.argsort(rank, kind="stable")][:n]
    if len(genes) < 3:
        raise InputError("fewer than 3 genes of modules have interactions; pass the genes: genes=[...]")
    return genes
