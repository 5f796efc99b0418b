"""Tables of gene pairs: reading them, and looking up their genes in a section."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.gene_names import AMBIGUOUS, UNKNOWN, GeneNames, join_names

logger = logging.getLogger("spacex")

COLUMNS = ("gene_a", "gene_b")

PairTable: TypeAlias = pd.DataFrame | Sequence[tuple[str, str]]


def read_pairs(adata: AnnData, pairs: PairTable, *, name: str) -> pd.DataFrame:
    """Names of the genes of each pair, in order: columns ``gene_a`` and ``gene_b``, as text."""
    if isinstance(pairs, pd.DataFrame):
        missing = [column for column in COLUMNS if column not in pairs.columns]
        if missing:
            there = ", ".join(map(repr, pairs.columns[:8])) or "none"
            raise InputError(
                f"{name} has no column {' and no column '.join(map(repr, missing))} (there: {there}); "
                "rename its columns to gene_a and gene_b"
            )
        table = pairs[list(COLUMNS)].reset_index(drop=True)
    else:
        table = _of_rows(pairs, name, numbers=pd.api.types.is_integer_dtype(adata.var_names))
    if not len(table):
        raise InputError(f"{name} holds no pairs; pass a table with the columns gene_a and gene_b")
    if table.isna().to_numpy().any():
        row = int(table.isna().any(axis=1).to_numpy().argmax())
        raise InputError(f"{name} row {row} lacks the name of a gene; drop such rows: pairs.dropna()")
    return table.astype(str)


def _of_rows(pairs: object, name: str, *, numbers: bool) -> pd.DataFrame:
    """Pairs that were given as a sequence of two names each, which may be `numbers` where those of the genes are."""
    wrong = f"{name} is not a table of pairs; pass a DataFrame with the columns gene_a and gene_b, or a list of pairs"
    if isinstance(pairs, (str, bytes)):
        raise InputError(wrong)
    try:
        rows = [(a, b) for a, b in pairs]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(wrong) from None
    if any(not isinstance(gene, (str, int, np.integer) if numbers else str) for row in rows for gene in row):
        raise InputError(wrong)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find_pairs(adata: AnnData, table: pd.DataFrame, *, name: str) -> np.ndarray:
    """Genes of each pair (N, 2) by number, below zero where they cannot be used; a warning names and counts those."""
    genes = _adata.read_gene_names(adata)
    is_embedded = np.isfinite(_adata.read_embedding(adata)).all(axis=1)
    asked, names = pd.factorize(table.to_numpy(dtype=object).ravel())
    number = genes.find(names)
    for gene in names[number == AMBIGUOUS]:
        genes.check_distinct(gene)
    usable = (number >= 0) & is_embedded[np.maximum(number, 0)]
    pairs = np.where(usable, number, UNKNOWN)[asked.reshape(table.shape)]
    unusable = {
        "unknown here": names[number == UNKNOWN],
        "ambiguous": names[number == AMBIGUOUS],
        "have too few counts and were not embedded": names[(number >= 0) & ~usable],
    }
    _warn(genes, pairs, unusable, name)
    return pairs


def _warn(genes: GeneNames, pairs: np.ndarray, unusable: dict[str, np.ndarray], name: str) -> None:
    """Warn of genes that cannot be used, by name and number; an error where no pair is left."""
    is_same = (pairs[:, 0] == pairs[:, 1]) & (pairs[:, 0] >= 0)
    n_usable = int(((pairs >= 0).all(axis=1) & ~is_same).sum())
    reasons = [f"{len(lost)} gene(s) {why} ({join_names(lost)})" for why, lost in unusable.items() if len(lost)]
    if not n_usable:
        raise InputError(
            f"{name}: none of {len(pairs)} pair(s) joins two embedded genes: "
            f"{'; '.join(reasons) or 'each is a gene with itself'}; pass symbols like {genes.symbols[0]}"
        )
    if is_same.any():
        reasons.append(f"{is_same.sum()} pair(s) of a gene with itself")
    if n_usable < len(pairs):
        logger.warning("%s: %d of %d pair(s) can be used: %s", name, n_usable, len(pairs), "; ".join(reasons))
