"""Gene names of an AnnData, and look-up of genes by name."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from spacex._adata.results import read_embedding
from spacex._infra.errors import InputError
from spacex.gene_names import GeneNames


def read_gene_names(adata: AnnData) -> GeneNames:
    """Names, symbols and other identifiers of the genes, from ``var_names`` and columns of ``var``."""
    return GeneNames.from_table(adata.var)


def gene_index(adata: AnnData, gene: str) -> int:
    """Index of a gene; raises `InputError` if its name is unknown or ambiguous."""
    return read_gene_names(adata).index(gene)


def embedded_gene_indices(adata: AnnData, names: list[str], *, name: str) -> np.ndarray:
    """Indices of genes, in the given order; raises `InputError` if one is unknown, ambiguous or not embedded."""
    genes = read_gene_names(adata)
    index = np.array([genes.index(gene) for gene in names])
    is_embedded = np.isfinite(read_embedding(adata)[index]).all(axis=1)
    if not is_embedded.all():
        missing = [gene for gene, embedded in zip(names, is_embedded, strict=True) if not embedded]
        raise InputError(f"{name}: {', '.join(missing[:5])} have too few counts and were not embedded; leave them out")
    return index


def indices_sorted_by_name(adata: AnnData, genes: np.ndarray) -> np.ndarray:
    """Indices of the genes in a mask (G,), sorted by name.

    Results computed in this order are independent of the order of genes in a file, to the last bit.
    """
    names = [str(name) for name in adata.var_names]
    return np.array(sorted(np.flatnonzero(genes), key=names.__getitem__), dtype=np.int64)
