"""`compare`: genes and pairs of genes whose spatial context differs between two conditions."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_name, check_seed
from spacex.differential import context_change, distances, label_splits, module_context, pair_change, pooled_pvalue
from spacex.pairs import neighbor_pairs
from spacex.stats import benjamini_hochberg, l2_normalize

logger = logging.getLogger("spacex")

MIN_COUNTS = 5
MAX_SPLITS = 200


def compare(
    adata: AnnData, *, condition_key: str, library_key: str, n_neighbors: int = 8, seed: int = 0
) -> pd.DataFrame:
    """Genes, and pairs of genes, whose spatial context differs between two conditions.

    A gene's context is who it goes with: its likeness to every module in a section. It says nothing of expression
    level, and no coordinates need align. The unit of the test is the section: a difference between conditions is set
    against what the other ways to deal the sections out to two conditions give.

    Parameters
    ----------
    adata
        Several sections, at least two of each condition, on which ``sx.tl.embed(adata, library_key=...)`` was called.
    condition_key
        Column of ``obs`` with two conditions, one for all spots of a section.
    library_key
        Column of ``obs`` that names the sections, the one that was embedded by.
    n_neighbors
        Pairs to test: every gene with its nearest genes in each section, so many of them.
    seed
        Of the splits of sections that are drawn where there are more than 200.

    Returns
    -------
    A table with a row for every gene and then for every pair, each part sorted by p-value: ``gene``, ``partner`` (empty
    for genes), ``effect``, ``pvalue``, ``qvalue`` (Benjamini-Hochberg, of genes and of pairs apart), and, for each
    condition, ``context_<condition>``, the module that the gene is most like, and ``similarity_<condition>``, the mean
    cosine of a pair; also ``symbol`` and ``partner_symbol``, where a column of ``var`` holds symbols that differ from
    the names. The effect of a gene is the mean distance of its contexts between conditions less that within (0: none,
    1: no module in common); that of a pair is the difference of its mean cosine. NaN p-values for genes with fewer than
    5 counts in all but one of the sections of a condition.

    Raises
    ------
    InputError
        If there are no embeddings of sections, not two conditions, a section of both, or one section in a condition,
        with which nothing can be tested.

    Notes
    -----
    With condition means over distances d of contexts between sections, the statistic of a gene is d between conditions
    less the mean of d within either; that of a pair is the difference of the mean cosines over (standard deviation
    between sections + .3). The p-value is the share of all genes' (pairs') statistics under all other labellings
    that are as large (Tusher, Tibshirani & Chu 2001): with two sections a condition there are two other labellings,
    with three nine. Genes of a module change together by chance, so that with few sections the number found scatters:
    ``attrs["labellings"]`` of the table says how many labellings there are, and ``attrs["rank"]`` which place the
    actual one has among them by the number of genes above the 99th percentile of all; with little data, look at it.

    Examples
    --------
    >>> import anndata as ad
    >>> import spacex as sx
    >>> whole = sx.datasets.simulate_section(n_genes=80, n_spots=1200, n_modules=4, technology="st", depth=1.0)
    >>> whole.obs["slice"] = [f"s{i % 4}" for i in range(1200)]
    >>> whole.obs["condition"] = ["case" if i % 4 < 2 else "control" for i in range(1200)]
    >>> model = sx.tl.embed(whole, n_modules=4, library_key="slice", progress=False)
    >>> found = sx.tl.compare(whole, condition_key="condition", library_key="slice")
    >>> bool((found["qvalue"] < 0.05).any())
    False
    """
    _adata.check_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_name(condition_key, name="condition_key")
    if library_key is None:
        raise InputError("library_key=None is not allowed; pass the column of adata.obs that names the sections")
    check_int(n_neighbors, name="n_neighbors", low=1)
    seed = check_seed(seed)
    section, second, conditions = _read_design(adata, condition_key, library_key)
    z = _adata.read_section_embeddings(adata, library_key)
    genes = np.flatnonzero(np.isfinite(z).all(axis=(1, 2)))
    z = z[genes].astype(np.float64)
    module, module_names = _modules_of(adata, genes)
    matrix, is_count = _adata.choose_matrix(adata, None)
    member = np.eye(len(second))[section]
    total = (matrix.T @ member)[genes]
    present = total >= MIN_COUNTS if is_count else total > 0
    splits = label_splits(second, MAX_SPLITS, np.random.default_rng(seed))
    by_gene, rank = _compare_genes(z, module, present, second, splits)
    by_gene["gene"], by_gene["partner"] = genes, -1
    for column in ("context_0", "context_1"):
        by_gene[column] = module_names[by_gene[column]]
    by_pair = _compare_pairs(z, present, second, splits, n_neighbors, conditions)
    for column in ("gene", "partner"):
        by_pair[column] = genes[by_pair[column]]
    table = _named(_table(by_gene, by_pair, conditions), adata)
    table.attrs.update(labellings=len(splits) + 1, rank=rank)
    logger.info(
        "%d genes and %d pairs differ with q < .05 (%d labellings; the actual one is number %d by genes that differ)",
        (by_gene["qvalue"] < 0.05).sum(), (by_pair["qvalue"] < 0.05).sum(), len(splits) + 1, rank,
    )  # fmt: skip
    return table


def _read_design(adata: AnnData, condition_key: str, library_key: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Section (n_obs,) of every spot, which sections (S,) are of the second condition, and the names of both."""
    section, names = _adata.read_sections(adata, library_key)
    if condition_key not in adata.obs:
        raise InputError(f"condition_key={condition_key!r} is not a column of adata.obs; pass one")
    if adata.obs[condition_key].isna().any():
        raise InputError(f"obs[{condition_key!r}] is missing for some spots; drop them, or name their condition")
    code, conditions = pd.factorize(adata.obs[condition_key].astype(str), sort=True)
    if len(conditions) != 2:
        raise InputError(
            f"obs[{condition_key!r}] has {len(conditions)} condition(s) ({', '.join(conditions[:6])}); compare takes "
            "two: subset adata to the sections of two conditions and embed them"
        )
    spots = np.stack([np.bincount(section[code == k], minlength=len(names)) for k in (0, 1)])
    mixed = np.flatnonzero((spots > 0).all(axis=0))
    if len(mixed):
        raise InputError(f"section {names[mixed[0]]!r} holds spots of both conditions; a section must be of one")
    for condition, here in zip(conditions, spots > 0, strict=True):
        if here.sum() < 2:
            raise InputError(
                f"condition {condition!r} has one section ({names[here.argmax()]!r}): what differs between conditions "
                "cannot be told from what differs between any two sections; pass two sections of each at least"
            )
    return section, spots[1] > 0, [str(name) for name in conditions]


def _modules_of(adata: AnnData, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Module (n,) of each gene by number, -1 for none, and the names (K,) of the modules."""
    column = _adata.read_modules(adata).iloc[genes]
    names = np.array([name for name in column.cat.categories if name != _adata.keys.UNASSIGNED], dtype=object)
    if not column.isin(names).any():
        raise InputError("no gene has a module, which contexts are told by; call sx.tl.modules(adata, n_modules=...)")
    return pd.Index(names).get_indexer(column.astype(str)), names


def _compare_genes(
    z: np.ndarray, module: np.ndarray, present: np.ndarray, second: np.ndarray, splits: list[np.ndarray]
) -> tuple[pd.DataFrame, int]:
    """Effect, p-value and contexts of every gene; and the rank of the actual labelling among all."""
    context = module_context(z, module)
    distance = distances(context)
    observed = context_change(distance, present, second)
    relabelled = [context_change(distance, present, split) for split in splits]
    table = pd.DataFrame({"effect": observed, "pvalue": pooled_pvalue(observed, relabelled)})
    for name, here in (("context_0", ~second), ("context_1", second)):
        table[name] = context[:, here].mean(axis=1).argmax(axis=1)
    limit = np.nanquantile(np.concatenate([observed, *relabelled]), 0.99)
    above = [np.sum(statistic > limit) for statistic in relabelled]
    table["qvalue"] = benjamini_hochberg(table["pvalue"])
    return table, int(1 + np.sum(np.array(above) >= np.sum(observed > limit)))


def _compare_pairs(
    z: np.ndarray, present: np.ndarray, second: np.ndarray, splits: list[np.ndarray], n_neighbors: int,
    conditions: list[str],
) -> pd.DataFrame:  # fmt: skip
    """The same for pairs of near neighbours in any section, whose genes are present in all sections."""
    everywhere = np.flatnonzero(present.all(axis=1))
    if len(everywhere) < 3:
        columns = ["gene", "partner", "effect", "pvalue", "qvalue", "similarity_0", "similarity_1"]
        return pd.DataFrame({name: np.empty(0, dtype=int if name in columns[:2] else float) for name in columns})
    direction = l2_normalize(z[everywhere])
    near = [neighbor_pairs(direction[:, s], n_neighbors) for s in range(len(second))]
    pairs = np.unique(np.concatenate(near), axis=0)
    a, b = pairs.T
    cosine = np.stack([np.einsum("nd,nd->n", direction[a, s], direction[b, s]) for s in range(len(second))], axis=1)
    observed = np.abs(pair_change(cosine, second))
    relabelled = [np.abs(pair_change(cosine, split)) for split in splits]
    before, after = cosine[:, ~second].mean(axis=1), cosine[:, second].mean(axis=1)
    pvalue = pooled_pvalue(observed, relabelled)
    return pd.DataFrame(
        {
            "gene": everywhere[a], "partner": everywhere[b], "effect": after - before,
            "pvalue": pvalue, "similarity_0": before, "similarity_1": after, "qvalue": benjamini_hochberg(pvalue),
        }
    )  # fmt: skip


def _table(by_gene: pd.DataFrame, by_pair: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    """Genes, then pairs, each sorted, with the conditions' names in the columns."""
    by_gene = by_gene.sort_values("pvalue", kind="stable")
    by_pair = by_pair.sort_values("pvalue", kind="stable")
    what = [f"{word}_{i}" for word in ("context", "similarity") for i in (0, 1)]
    table = pd.concat([by_gene, by_pair], ignore_index=True)
    table = table.reindex(columns=["gene", "partner", "effect", "pvalue", "qvalue", *what])
    return table.rename(columns={name: f"{name[:-1]}{conditions[int(name[-1])]}" for name in what})


def _named(table: pd.DataFrame, adata: AnnData) -> pd.DataFrame:
    """The table with names in place of the numbers of genes, "" for -1, and with symbols where there are any."""
    gene, partner = (table[column].to_numpy(dtype=np.int64) for column in ("gene", "partner"))
    names = adata.var_names.to_numpy(dtype=object)
    named = table.assign(gene=names[gene], partner=np.where(partner >= 0, names[partner], ""))
    return _adata.read_gene_names(adata).with_symbols(named, symbol=gene, partner_symbol=partner)
