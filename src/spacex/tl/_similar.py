"""`similar_genes`: the genes with the most similar spatial pattern."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_choice, check_int
from spacex.stats import (
    benjamini_hochberg,
    cosine_pvalue,
    direction_variance,
    l2_normalize,
    sign_flip_pvalue,
    weak_genes,
)
from spacex.tl._space import Space, read_vectors


def similar_genes(adata: AnnData, gene: str, *, n: int = 20, space: Space = "section") -> pd.DataFrame:
    """Find the genes nearest to a gene, by spatial pattern or by function.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    gene
        Name or symbol of the gene.
    n
        Number of genes to return.
    space
        ``"section"``: genes with a similar pattern in this section (``varm["X_spacex"]``). ``"cofunction"``: genes with
        a similar function (``varm["X_spacex_cofunction"]``), of which a reference knows more than one section does;
        this includes genes that only the reference knows.

    Returns
    -------
    A table with the columns ``gene``, ``similarity`` (cosine of the embeddings) and ``qvalue``, the most similar first;
    also ``symbol``, if a column of ``var`` has symbols that differ from the names. The q-value is that of Benjamini and
    Hochberg over all genes; its p-value is the probability that a gene without a pattern is as similar. The directions
    of such genes are those of the genes that `spacex.tl.embed` redraws without a pattern. By function, the p-value is
    the share of genes that are as dissimilar: without a relation, a cosine and its negative are equally likely.

    Raises
    ------
    InputError
        If there is no embedding, if the gene is unknown, ambiguous or not embedded, or if `n` is out of range.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> list(sx.tl.similar_genes(adata, "gene0001", n=5).columns)
    ['gene', 'similarity', 'qvalue']
    """
    _adata.prepare_adata(adata)
    check_choice(space, name="space", allowed=("section", "cofunction"))
    full = read_vectors(adata, space)
    check_int(n, name="n", low=1)
    genes = _adata.read_gene_names(adata)
    index = genes.index(gene)
    embedded = np.isfinite(full).all(axis=1)
    if not embedded[index]:
        raise InputError(
            f"gene {gene!r} was not embedded: it has too few counts in this section; choose another, or pass "
            "Config(min_counts=...) to sx.tl.embed"
        )
    direction = l2_normalize(full)
    others = np.flatnonzero(embedded & (np.arange(len(full)) != index))
    similarity = direction[others] @ direction[index]
    if space == "section":
        null = _adata.read_null_embedding(adata)
        null_variance = direction_variance(weak_genes(full[embedded]) if null is None else null)
        pvalue = cosine_pvalue(similarity, direction[index], null_variance)
    else:
        pvalue = sign_flip_pvalue(similarity)
    order = np.argsort(-similarity, kind="stable")[:n]
    table = {
        "gene": adata.var_names[others[order]].to_numpy(),
        "similarity": similarity[order],
        "qvalue": benjamini_hochberg(pvalue)[order],
    }
    return genes.with_symbols(pd.DataFrame(table), symbol=others[order])
