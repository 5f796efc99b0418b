"""`markers`: the genes that tell a tissue domain from the others."""

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


def markers(
    adata: AnnData, *, groupby: str = _adata.keys.DOMAIN, n: int = 20, layer: str | None = None
) -> pd.DataFrame:
    """Genes with more expression in a domain than elsewhere, by scanpy's rank-sum test.

    Parameters
    ----------
    adata
        Spots × genes with raw counts, after `spacex.tl.domains`, or with another labelling.
    groupby
        Column of ``obs`` with the labels; spots without one, or off the tissue, are left out.
    n
        Genes to list for each label.
    layer
        Layer with raw counts; by default that of the embedding, else as `spacex.tl.embed` chooses it. Counts are
        normalised to their median library size and log1p-transformed; intensities are taken as they are.

    Returns
    -------
    A table, label by label, the highest score first: ``domain``, ``gene``, ``score`` (z of the rank sum, with ties),
    ``log2_fold_change``, ``share_in`` and ``share_out`` (shares of spots with the gene, in the domain and elsewhere),
    ``pvalue``, ``qvalue`` (Benjamini-Hochberg over all genes of a label); also ``symbol``, where a column of ``var``
    holds symbols that differ from the names.

    Raises
    ------
    InputError
        If `groupby` is not a column of ``obs``, or fewer than two labels have three spots.

    Notes
    -----
    The p-values rank genes and are no evidence that domains differ: domains were found on the same counts, and
    neighbouring spots are alike, so that they are far too small. Read the fold change and the shares.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    >>> found = sx.tl.markers(adata, groupby="domain", n=3)
    >>> found["domain"].value_counts().tolist()
    [3, 3, 3]
    """
    _adata.check_adata(adata)
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
        raise InputError(f"obs[{groupby!r}] has {len(groups)} label(s) of {MIN_SPOTS} spots or more; markers need two")
    matrix, is_count = _adata.choose_matrix(adata, layer)
    kept = np.isin(code, large)
    here = np.array(names, dtype=object)[code[kept]]
    names_of_genes = _adata.read_gene_names(adata)
    table = _ranked(sp.csr_matrix(matrix)[kept], here, groups, pd.Index(names_of_genes.names), is_count, n)
    return names_of_genes.with_symbols(table, symbol=names_of_genes.find(table["gene"]))


def _ranked(
    matrix: sp.csr_matrix, here: np.ndarray, groups: list[str], names: pd.Index, is_count: bool, n: int
) -> pd.DataFrame:
    """The table, by scanpy on a copy that has nothing but counts and labels."""
    import scanpy as sc

    cells = AnnData(matrix.astype(np.float32), var=pd.DataFrame(index=names))
    cells.obs["label"] = pd.Categorical(here, categories=groups)
    present = cells.X.copy()
    present.data = (present.data > 0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names of slots, and of groups in which a gene is constant
        if is_count:
            sc.pp.normalize_total(cells)
            sc.pp.log1p(cells)
        sc.tl.rank_genes_groups(cells, "label", method="wilcoxon", tie_correct=True, use_raw=False)
    tables = []
    for group in groups:
        ranked = sc.get.rank_genes_groups_df(cells, group).head(n)
        index = names.get_indexer(ranked["names"])
        inside = here == group
        shares = [np.asarray(present[rows][:, index].mean(axis=0)).ravel() for rows in (inside, ~inside)]
        values = (
            group, ranked["names"], ranked["scores"], ranked["logfoldchanges"], *shares, ranked["pvals"],
            ranked["pvals_adj"],
        )  # fmt: skip
        tables.append(pd.DataFrame(dict(zip(COLUMNS, values, strict=True))))
    return pd.concat(tables, ignore_index=True)
