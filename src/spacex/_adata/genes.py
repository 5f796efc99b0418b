"""The names of the genes of an AnnData, and genes by their names."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from spacex._adata.results import read_embedding
from spacex._infra.errors import InputError
from spacex.gene_names import GeneNames


def read_gene_names(adata: AnnData) -> GeneNames:
    """``var_names`` and, where columns of ``var`` have them, the symbols and other names of the genes."""
    return GeneNames.from_table(adata.var)


def gene_index(adata: AnnData, gene: str) -> int:
    """Number of a gene; an error where its name is unknown or ambiguous."""
    return read_gene_names(adata).index(gene)


def embedded_gene_indices(adata: AnnData, names: list[str], *, name: str) -> np.ndarray:
    """Numbers of genes, in their order; an error where one is unknown, ambiguous or was not embedded."""
    genes = read_gene_names(adata)
    index = np.array([genes.index(gene) for gene in names])
    lost = [gene for gene, z in zip(names, read_embedding(adata)[index], strict=True) if not np.isfinite(z).all()]
    if lost:
        raise InputError(f"{name}: {', '.join(lost[:5])} have too few counts and were not embedded; leave them out")
    return index


def indices_sorted_by_name(adata: AnnData, genes: np.ndarray) -> np.ndarray:
    """Numbers of the genes in a mask (G,), in the order of their names.

    What is made of genes in this order does not depend on the order in which a file has them, to the last bit.
    """
    names = [str(name) for name in adata.var_names]
    return np.array(sorted(np.flatnonzero(genes), key=names.__getitem__), dtype=np.int64)
