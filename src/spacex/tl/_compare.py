"""`compare`: genes and pairs of genes whose spatial context differs between two conditions."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_int, check_name, check_seed
from spacex.differential import (
    MIN_SPLITS,
    CompareParams,
    context_change,
    context_distance,
    module_context,
    pair_change,
    pooled_pvalue,
)
from spacex.pairs import neighbor_pairs
from spacex.stats import benjamini_hochberg, l2_normalize
from spacex.tl._compare_design import average_sections, read_sections_and_conditions, read_units

logger = logging.getLogger("spacex")


def compare(
    adata: AnnData,
    *,
    condition_key: str,
    library_key: str,
    donor_key: str | None = None,
    n_neighbors: int = 8,
    seed: int = 0,
    params: CompareParams | None = None,
) -> pd.DataFrame:
    """Find genes, and pairs of genes, whose spatial context differs between two conditions.

    The context of a gene in a section is its vector of similarities to all modules. It does not depend on the
    expression level, and the coordinates of sections need not be aligned. The unit of the test is the section, or the
    donor if `donor_key` is passed: a difference between conditions is compared with those under other assignments of
    the units to two conditions.

    Pass three units of each condition or more: with two, there are only two other assignments, and q-values are not
    computed. On simulated sections of 900 spots, 82 % of the genes that change their module are found with three
    sections of each condition; sections of about 100 spots are too small.

    Parameters
    ----------
    adata
        Several sections, at least two of each condition, on which ``sx.tl.embed(adata, library_key=...)`` was called.
    condition_key
        Column of ``obs`` with two conditions. All spots of a section have the same condition.
    library_key
        Column of ``obs`` with the names of the sections, the one passed to `spacex.tl.embed`.
    donor_key
        Column of ``obs`` with the donor of each spot, if a donor has several sections: these are not independent, and
        are averaged. If every donor has sections of both conditions, the conditions are exchanged within donors.
    n_neighbors
        Pairs to test: each gene and this number of its nearest genes in each section.
    seed
        Seed of the random assignments of sections, which are sampled if there are more than 200.
    params
        Settings of the statistics and of the test; ``CompareParams()`` by default.

    Returns
    -------
    A table with a row for each gene, followed by a row for each pair; both parts are sorted by p-value. Columns:
    ``gene``, ``partner`` (empty for genes), ``effect``, ``pvalue``, ``qvalue`` (Benjamini-Hochberg, separately for
    genes and pairs; NaN, with a warning, with fewer than nine other assignments), and for each condition
    ``context_<condition>``, the module most similar to the gene, and ``similarity_<condition>``, the mean cosine of the
    pair; also ``symbol`` and ``partner_symbol``, if a column of ``var`` has symbols that differ from the names. The
    effect of a gene is the mean distance of its contexts between conditions minus the mean distance within conditions
    (0: no change, 1: no module in common). The effect of a pair is the difference of its mean cosines. Genes with fewer
    than 5 counts in all but one of the sections of a condition have NaN p-values.

    Raises
    ------
    InputError
        If there are no embeddings of the sections, if there are not exactly two conditions, if a section has both, if a
        condition has only one section or donor, if some donors have both conditions and others one, or if an argument
        is out of range.

    Notes
    -----
    The statistic of a gene is its effect; that of a pair is its effect divided by (standard deviation between sections
    + 0.3). The p-value is the share of the statistics of all genes (pairs) under all other labelings that are at least
    as large (Tusher, Tibshirani & Chu 2001). There are two other labelings with two sections per condition, nine with
    three. Genes of one module change together by chance, so the number of significant genes varies much with few
    sections. ``attrs["labelings"]`` of the table is the number of labelings, and ``attrs["rank"]`` the rank of the
    actual one by the number of genes above the 99th percentile of all; check it if there are few units.

    Examples
    --------
    >>> import anndata as ad
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=1200, n_modules=4, technology="st", depth=1.0)
    >>> adata.obs["slice"] = [f"s{i % 4}" for i in range(1200)]
    >>> adata.obs["condition"] = ["case" if i % 4 < 2 else "control" for i in range(1200)]
    >>> model = sx.tl.embed(adata, n_modules=4, library_key="slice", progress=False)
    >>> table = sx.tl.compare(adata, condition_key="condition", library_key="slice")
    >>> bool((table["qvalue"] < 0.05).any())
    False
    """
    _adata.prepare_adata(adata)
    adata = _adata.subset_to_tissue(adata)
    check_name(condition_key, name="condition_key")
    if library_key is None:
        raise InputError("library_key=None is not allowed; pass the column of adata.obs that names the sections")
    check_int(n_neighbors, name="n_neighbors", low=1)
    seed = check_seed(seed)
    params = resolve_settings(params, CompareParams)
    section, section_is_second, conditions = read_sections_and_conditions(adata, condition_key, library_key)
    design = read_units(adata, donor_key, section, section_is_second, conditions)
    z = _adata.read_section_embeddings(adata, library_key)
    genes = np.flatnonzero(np.isfinite(z).all(axis=(1, 2)))
    z = z[genes].astype(np.float64)
    module, module_names = _read_modules(adata, genes)
    matrix, is_count = _adata.choose_matrix(adata, None)
    total = (matrix.T @ np.eye(len(section_is_second))[section])[genes]
    present = total >= params.min_counts if is_count else total > 0
    if donor_key is not None:
        z, present = average_sections(z, present, design.unit)
    second, splits = design.second, design.splits(params.max_splits, np.random.default_rng(seed))
    by_gene, rank = _compare_genes(z, module, present, second, splits, params)
    by_gene["gene"], by_gene["partner"] = genes, -1
    for column in ("context_0", "context_1"):
        by_gene[column] = module_names[by_gene[column]]
    by_pair = _compare_pairs(z, present, second, splits, n_neighbors, params)
    if len(splits) < MIN_SPLITS:
        by_gene["qvalue"] = by_pair["qvalue"] = np.nan
        logger.warning(
            "q-values are not computed: %d section(s) or donor(s) have %d other assignments to the conditions, and %d "
            "are needed; pass three of each condition, or five donors with both. P-values rank the genes",
            len(second), len(splits), MIN_SPLITS,
        )  # fmt: skip
    for column in ("gene", "partner"):
        by_pair[column] = genes[by_pair[column]]
    table = _with_gene_names(_combine(by_gene, by_pair, conditions), adata)
    table.attrs.update(labelings=len(splits) + 1, rank=rank)
    logger.info(
        "%d genes and %d pairs differ with q < 0.05; by the number of genes that differ, the actual labeling ranks "
        "%d among %d",
        (by_gene["qvalue"] < 0.05).sum(), (by_pair["qvalue"] < 0.05).sum(), rank, len(splits) + 1,
    )  # fmt: skip
    return table


def _read_modules(adata: AnnData, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Module index (n,) of each gene, -1 for unassigned genes, and the names (K,) of the modules."""
    column = _adata.read_modules(adata).iloc[genes]
    names = np.array([name for name in column.cat.categories if name != _adata.keys.UNASSIGNED], dtype=object)
    if not column.isin(names).any():
        raise InputError("no gene has a module, so genes have no context; call sx.tl.modules(adata, n_modules=...)")
    return pd.Index(names).get_indexer(column.astype(str)), names


def _compare_genes(
    z: np.ndarray, module: np.ndarray, present: np.ndarray, second: np.ndarray, splits: list[np.ndarray],
    params: CompareParams,
) -> tuple[pd.DataFrame, int]:  # fmt: skip
    """Table of effects, p-values and contexts of genes, and the rank of the actual labeling among all labelings."""
    context = module_context(z, module, params)
    distance = context_distance(context)
    observed = context_change(distance, present, second)
    permuted = [context_change(distance, present, split) for split in splits]
    table = pd.DataFrame({"effect": observed, "pvalue": pooled_pvalue(observed, permuted)})
    for name, sections in (("context_0", ~second), ("context_1", second)):
        table[name] = context[:, sections].mean(axis=1).argmax(axis=1)
    limit = np.nanquantile(np.concatenate([observed, *permuted]), 0.99)
    n_above = [np.sum(statistic > limit) for statistic in permuted]
    table["qvalue"] = benjamini_hochberg(table["pvalue"])
    return table, int(1 + np.sum(np.array(n_above) >= np.sum(observed > limit)))


def _compare_pairs(
    z: np.ndarray, present: np.ndarray, second: np.ndarray, splits: list[np.ndarray], n_neighbors: int,
    params: CompareParams,
) -> pd.DataFrame:  # fmt: skip
    """Table of effects and p-values of pairs that are neighbors in any section and present in all sections."""
    everywhere = np.flatnonzero(present.all(axis=1))
    if len(everywhere) < 3:
        columns = ["gene", "partner", "effect", "pvalue", "qvalue", "similarity_0", "similarity_1"]
        return pd.DataFrame({name: np.empty(0, dtype=int if name in columns[:2] else float) for name in columns})
    direction = l2_normalize(z[everywhere])
    neighbors = [neighbor_pairs(direction[:, s], n_neighbors) for s in range(len(second))]
    pairs = np.unique(np.concatenate(neighbors), axis=0)
    a, b = pairs.T
    cosine = np.stack([np.einsum("nd,nd->n", direction[a, s], direction[b, s]) for s in range(len(second))], axis=1)
    observed = np.abs(pair_change(cosine, second, params))
    permuted = [np.abs(pair_change(cosine, split, params)) for split in splits]
    before, after = cosine[:, ~second].mean(axis=1), cosine[:, second].mean(axis=1)
    pvalue = pooled_pvalue(observed, permuted)
    return pd.DataFrame(
        {
            "gene": everywhere[a], "partner": everywhere[b], "effect": after - before,
            "pvalue": pvalue, "similarity_0": before, "similarity_1": after, "qvalue": benjamini_hochberg(pvalue),
        }
    )  # fmt: skip


def _combine(by_gene: pd.DataFrame, by_pair: pd.DataFrame, conditions: list[str]) -> pd.DataFrame:
    """Genes, then pairs, each sorted by p-value; the columns of a condition have its name."""
    by_gene = by_gene.sort_values("pvalue", kind="stable")
    by_pair = by_pair.sort_values("pvalue", kind="stable")
    of_condition = {
        f"{name}_{i}": f"{name}_{condition}"
        for name in ("context", "similarity")
        for i, condition in enumerate(conditions)
    }
    table = pd.concat([by_gene, by_pair], ignore_index=True)
    table = table.reindex(columns=["gene", "partner", "effect", "pvalue", "qvalue", *of_condition])
    return table.rename(columns=of_condition)


def _with_gene_names(table: pd.DataFrame, adata: AnnData) -> pd.DataFrame:
    """Replace gene indices by names ("" for -1), and add symbols if there are any."""
    gene, partner = (table[column].to_numpy(dtype=np.int64) for column in ("gene", "partner"))
    names = adata.var_names.to_numpy(dtype=object)
    named = table.assign(gene=names[gene], partner=np.where(partner >= 0, names[partner], ""))
    return _adata.read_gene_names(adata).with_symbols(named, symbol=gene, partner_symbol=partner)
