"""`markers`: marker genes of tissue domains."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_name

COLUMNS = ("domain", "gene", "score", "log2_fold_change", "share_in", "share_out", "pvalue", "qvalue")
MIN_SPOTS = 3
"""Minimum number of spots with a label."""


def markers(
    adata: AnnData, *, groupby: str = _adata.keys.DOMAIN, n: int = 20, layer: str | None = None
) -> pd.DataFrame:
    """Find genes with higher expression in a domain than elsewhere, by scanpy's rank-sum test.

    Parameters
    ----------
    adata
        Spots × genes with raw counts, after `spacex.tl.domains`, or with other labels of the spots.
    groupby
        Column of ``obs`` with the labels. Spots without a label or off the tissue are excluded.
    n
        Number of genes per label.
    layer
        Layer with raw counts; by default that of the embedding, otherwise chosen as in `spacex.tl.embed`. Counts are
        normalized to the median library size and log1p-transformed; intensities are used as they are.

    Returns
    -------
    A table, sorted by label and descending score: ``domain``, ``gene``, ``score`` (z-score of the rank sum, corrected
    for ties), ``log2_fold_change``, ``share_in`` and ``share_out`` (shares of spots that express the gene, in the
    domain and elsewhere), ``pvalue``, ``qvalue`` (Benjamini-Hochberg over all genes of a label); also ``symbol``, if a
    column of ``var`` has symbols that differ from the names.

    Raises
    ------
    InputError
        If `groupby` is not a column of ``obs``, or if fewer than two labels have at least three spots.

    Notes
    -----
    Use the p-values only to rank genes. They are much too small, because the domains were computed from the same counts
    and neighboring spots are correlated. Interpret the fold change and the shares.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    >>> table = sx.tl.markers(adata, groupby="domain", n=3)
    >>> table["domain"].value_counts().tolist()
    [3, 3, 3]
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_int(n, name="n", low=1)
    check_name(groupby, name="groupby")
    check_name(layer, name="layer")
    if groupby not in adata.obs:
        call = (
            "call sx.tl.domains(adata)" if groupby == _adata.keys.DOMAIN else "pass a column with labels of the spots"
        )
        raise InputError(f"groupby={groupby!r} is not a column of adata.obs; {call}")
    _adata.check_unique_gene_names(adata)
    code, names = _adata.read_labels(adata, groupby)
    large = np.flatnonzero(np.bincount(code[code >= 0], minlength=len(names)) >= MIN_SPOTS)
    groups = [names[k] for k in large]
    if len(groups) < 2:
        raise InputError(
            f"obs[{groupby!r}] has {len(groups)} label(s) with {MIN_SPOTS} spots or more; "
            "pass a column with at least two"
        )
    matrix, is_count = _adata.choose_matrix(adata, layer)
    used = np.isin(code, large)
    label = np.array(names, dtype=object)[code[used]]
    genes = _adata.read_gene_names(adata)
    table = _rank_genes(sp.csr_matrix(matrix)[used], label, groups, pd.Index(genes.names), is_count, n)
    return genes.with_symbols(table, symbol=genes.indices(table["gene"]))


def _rank_genes(
    matrix: sp.csr_matrix, label: np.ndarray, groups: list[str], names: pd.Index, is_count: bool, n: int
) -> pd.DataFrame:
    """Table of markers, by scanpy on a new AnnData with only the matrix (S, G) and the labels (S,)."""
    import scanpy as sc

    cells = AnnData(matrix.astype(np.float32), var=pd.DataFrame(index=names))
    cells.obs["label"] = pd.Categorical(label, categories=groups)
    present = cells.X.copy()
    present.data = (present.data > 0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy warns of slot names, and of groups in which a gene is constant
        if is_count:
            sc.pp.normalize_total(cells)
            sc.pp.log1p(cells)
        sc.tl.rank_genes_groups(cells, "label", method="wilcoxon", tie_correct=True, use_raw=False)
    tables = []
    for group in groups:
        ranked = sc.get.rank_genes_groups_df(cells, group).head(n)
        index = names.get_indexer(ranked["names"])
        in_group = label == group
        shares = [np.asarray(present[rows][:, index].mean(axis=0)).ravel() for rows in (in_group, ~in_group)]
        values = (
            group, ranked["names"], ranked["scores"], ranked["logfoldchanges"], *shares, ranked["pvals"],
            ranked["pvals_adj"],
        )  # fmt: skip
        tables.append(pd.DataFrame(dict(zip(COLUMNS, values, strict=True))))
    return pd.concat(tables, ignore_index=True)
