"""`enrich`: over-representation of gene sets in modules or in the neighborhood of genes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_names
from spacex.gene_names import GeneNames, normalize_name
from spacex.stats import benjamini_hochberg, l2_normalize, stratified_overlap_pvalue
from spacex.tl._gene_sets import GeneSets, read_gene_sets
from spacex.tl._space import SpaceArgument, read_vectors, resolve_space

logger = logging.getLogger("spacex")

COLUMNS = ("module", "term", "overlap", "size", "pvalue", "qvalue", "genes")


def enrich(
    adata: AnnData,
    gene_sets: GeneSets,
    *,
    min_size: int = 2,
    around: str | Sequence[str] | None = None,
    n_neighbors: int = 50,
    space: SpaceArgument = "auto",
) -> pd.DataFrame:
    r"""Test gene sets for over-representation in each module, or among the nearest neighbors of genes.

    The background is the genes that could have been in the module: the embedded genes, with and without a module, of
    the same expression levels (``var["spacex_expression_level"]``). A pattern is hard to see in few counts, so modules,
    like many gene sets, consist of well expressed genes; without this condition any two such groups of genes have more
    genes in common than expected. The p-value is P(X >= k) for k genes in both a set and a module. Within an expression
    level, X follows the hypergeometric distribution for N embedded genes, K of them in the set and n in the module; the
    total over the levels is their convolution (one-sided exact test; Fisher 1935, Mehta, Patel & Gray 1985). Q-values
    are those of Benjamini and Hochberg over all combinations of a module and a set, including those without common
    genes, which are not listed.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    gene_sets
        Path of a GMT file (one set per line: name, description and genes, separated by tabs), or a dict from name to
        genes. Genes by name or symbol; case is ignored if there is no exact match. A symbol stands for all its genes.
    min_size
        Minimum number of embedded genes in a set.
    around
        One gene or several, by name or symbol. Instead of modules, the nearest neighbors of each gene, without the gene
        itself, are tested.
    n_neighbors
        Number of nearest neighbors, with `around`.
    space
        Space of the neighbors, with `around`: ``"section"`` (similar pattern in this section), ``"cofunction"``
        (similar function), or ``"auto"``, the latter if the embedding has a reference.

    Returns
    -------
    A table, sorted by p-value: ``module`` (with `around` the gene), ``term``, ``overlap`` (number of genes in both),
    ``size`` (number of embedded genes of the set), ``pvalue``, ``qvalue``, ``genes`` (those in both, joined by commas);
    also ``symbols``, if a column of ``var`` has symbols that differ from the names.

    Raises
    ------
    InputError
        If there are no modules, if the file is missing or malformed, if no gene of the sets is embedded, or if a gene
        in `around` is unknown, ambiguous or not embedded.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=2, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=2, progress=False)
    >>> gene_sets = {str(name): list(genes) for name, genes in adata.var.groupby("module").groups.items()}
    >>> list(sx.tl.enrich(adata, gene_sets).columns)
    ['module', 'term', 'overlap', 'size', 'pvalue', 'qvalue', 'genes']

    Gene sets among the nearest neighbors of one gene:

    >>> table = sx.tl.enrich(adata, gene_sets, around="gene0001", n_neighbors=20)
    """
    _adata.prepare_adata(adata)
    check_int(min_size, name="min_size", low=1)
    sets = read_gene_sets(gene_sets)
    check_int(n_neighbors, name="n_neighbors", low=1)
    neighbor_space = resolve_space(adata, space)
    z = _adata.read_embedding(adata)
    embedded = np.isfinite(z).all(axis=1)
    all_genes = _adata.read_gene_names(adata)
    genes = all_genes.take(embedded)
    if around is None:
        names, in_group = _group_by_module(adata, embedded)
    else:
        names, in_group = _group_by_neighbors(adata, read_vectors(adata, neighbor_space), embedded, around, n_neighbors)
    in_set = _map_gene_sets(all_genes, embedded, sets)
    has_levels = _adata.keys.EXPRESSION_LEVEL in adata.var
    level = _adata.read_expression_level(adata, embedded) if has_levels else np.zeros(len(genes), dtype=np.int64)
    tested = in_set.sum(axis=0) >= min_size
    if not tested.any():
        raise InputError(
            f"gene_sets: none of {len(sets)} set(s) has {min_size} or more of the {len(genes)} embedded genes; "
            f"pass sets of symbols like {genes.symbols[0]}, or a smaller min_size="
        )
    terms = [term for term, is_tested in zip(sets, tested, strict=True) if is_tested]
    in_set = in_set[:, tested]
    return _table(genes, names, in_group, in_set, terms, _pvalues(in_group, in_set, level))


def _group_by_module(adata: AnnData, embedded: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the modules, and mask (G, M) of the embedded genes in each."""
    module = _adata.read_modules(adata).astype(str).to_numpy()[embedded]
    names = sorted(set(module) - {_adata.keys.UNASSIGNED}, key=lambda name: (len(name), name))
    return names, module[:, None] == np.array(names, dtype=object)[None, :]


def _group_by_neighbors(
    adata: AnnData, z: np.ndarray, embedded: np.ndarray, around: str | Sequence[str], n_neighbors: int
) -> tuple[list[str], np.ndarray]:
    """Names of the genes in `around`, and mask (G, M) of their nearest embedded genes by cosine."""
    names = list(dict.fromkeys(check_names(around, name="around")))
    if not names:
        raise InputError("around is empty; pass one gene or several, or omit it to test modules")
    index = _adata.embedded_gene_indices(adata, names, name="around")
    direction = l2_normalize(z[embedded])
    position = np.cumsum(embedded)[index] - 1  # among the embedded genes
    similarity = direction[position] @ direction.T
    similarity[np.arange(len(position)), position] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(n_neighbors, len(direction) - 1)]
    in_group = np.zeros((len(direction), len(names)), dtype=bool)
    in_group[nearest, np.arange(len(names))[:, None]] = True
    return names, in_group


def _pvalues(in_group: np.ndarray, in_set: np.ndarray, level: np.ndarray) -> np.ndarray:
    """P-values (M, T) from masks of the genes in each group (G, M) and set (G, T), and expression levels (G,)."""
    of_level = (level[:, None] == np.unique(level)).astype(np.int64)
    n_genes, n_in_group, n_in_set = of_level.sum(axis=0), of_level.T @ in_group, of_level.T @ in_set
    overlap = in_group.astype(np.int64).T @ in_set
    pvalue = np.ones(overlap.shape)
    for m, t in zip(*np.nonzero(overlap), strict=True):
        strata = np.column_stack([n_genes, n_in_set[:, t], n_in_group[:, m]])
        pvalue[m, t] = stratified_overlap_pvalue(int(overlap[m, t]), strata)
    return pvalue


def _table(
    genes: GeneNames, names: list[str], in_group: np.ndarray, in_set: np.ndarray, terms: list[str], pvalue: np.ndarray
) -> pd.DataFrame:
    """Table of the groups and sets with common genes, from p-values (M, T) and masks (G, M) and (G, T) of genes."""
    overlap = in_group.T.astype(np.float64) @ in_set.astype(np.float64)
    set_size, qvalue = in_set.sum(axis=0), benjamini_hochberg(pvalue)
    rows, columns = np.nonzero(overlap)
    order = np.lexsort((columns, rows, -overlap[rows, columns], pvalue[rows, columns]))
    rows, columns = rows[order], columns[order]
    shared = [np.flatnonzero(in_group[:, m] & in_set[:, t]) for m, t in zip(rows, columns, strict=True)]
    values = (
        np.array(names, dtype=object)[rows],
        np.array(terms, dtype=object)[columns],
        overlap[rows, columns].astype(int),
        set_size[columns],
        pvalue[rows, columns],
        qvalue[rows, columns],
        np.array([",".join(genes.names[index]) for index in shared], dtype=object),
    )
    table = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    if genes.has_symbols:
        table["symbols"] = [",".join(genes.symbols[index]) for index in shared]
    return table


def _map_gene_sets(genes: GeneNames, embedded: np.ndarray, sets: Mapping[str, list[str]]) -> np.ndarray:
    """Mask (G, T) of the embedded genes in each set; logs how many symbols were mapped, and raises if none was."""
    unique = dict.fromkeys(symbol for symbols in sets.values() for symbol in symbols)
    index = {symbol: genes.genes_with_symbol(symbol) for symbol in unique}
    in_set = np.zeros((len(genes), len(sets)), dtype=bool)
    for t, symbols in enumerate(sets.values()):
        in_set[[gene for symbol in symbols for gene in index[symbol]], t] = True
    n_symbols = len({normalize_name(symbol) for symbol in index})
    n_mapped = len({normalize_name(symbol) for symbol, mapped in index.items() if embedded[mapped].any()})
    if not n_mapped:
        raise InputError(
            f"gene_sets: none of their {n_symbols} symbols (such as {sorted(index)[0]}) is an embedded gene "
            f"(such as {genes.symbols[embedded][0]}); pass sets of the same species and kind of name"
        )
    share = n_mapped / n_symbols
    logger.info("gene sets: %d of their %d symbols (%.0f %%) are embedded genes", n_mapped, n_symbols, 100 * share)
    if share < 0.1:
        logger.warning(
            "only %.0f %% of the symbols in the gene sets are embedded genes; check the species of the gene sets",
            100 * share,
        )
    return in_set[embedded]
