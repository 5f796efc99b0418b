"""Tables of gene pairs: reading them, and finding their genes in a section."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from .._check import InputError

logger = logging.getLogger("spacex")

COLUMNS = ("gene_a", "gene_b")
MOST_NAMED = 5

PairTable: TypeAlias = pd.DataFrame | Sequence[tuple[str, str]]


def read_pairs(pairs: PairTable, *, name: str) -> pd.DataFrame:
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
        table = _of_rows(pairs, name)
    if not len(table):
        raise InputError(f"{name} holds no pairs; pass a table with the columns gene_a and gene_b")
    if table.isna().to_numpy().any():
        row = int(table.isna().any(axis=1).to_numpy().argmax())
        raise InputError(f"{name} row {row} lacks the name of a gene; drop such rows: pairs.dropna()")
    return table.astype(str)


def _of_rows(pairs: object, name: str) -> pd.DataFrame:
    """Pairs that were given as a sequence of two names each."""
    wrong = f"{name} is not a table of pairs; pass a DataFrame with the columns gene_a and gene_b, or a list of pairs"
    if isinstance(pairs, (str, bytes)):
        raise InputError(wrong)
    try:
        rows = [(a, b) for a, b in pairs]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(wrong) from None
    if any(not isinstance(gene, str) for row in rows for gene in row):
        raise InputError(wrong)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find_pairs(adata: AnnData, table: pd.DataFrame, embedded: np.ndarray, *, name: str) -> np.ndarray:
    """Genes of each pair (N, 2) as numbers in `embedded` (n,), -1 where it cannot be found; a warning counts those.

    Symbols are matched without regard to case where they do not match as they are.
    """
    names = adata.var_names[embedded]
    place = {str(gene).upper(): i for i, gene in reversed(list(enumerate(names)))}
    place |= {str(gene): i for i, gene in enumerate(names)}
    found = np.stack([_look_up(table[column], place) for column in COLUMNS], axis=1)
    twice = adata.var_names[adata.var_names.duplicated()]
    asked = names[np.unique(found[found >= 0])]
    if asked.isin(twice).any():
        gene = asked[asked.isin(twice)][0]
        raise InputError(f"{name}: gene {gene!r} is the name of several genes; call adata.var_names_make_unique()")
    _tell(adata, table, found, name)
    return found


def _look_up(genes: pd.Series, place: dict[str, int]) -> np.ndarray:
    return np.array([place.get(gene, place.get(gene.upper(), -1)) for gene in genes], dtype=np.int64)


def _tell(adata: AnnData, table: pd.DataFrame, found: np.ndarray, name: str) -> None:
    """Warn of genes that are unknown or not embedded, by name and number; an error where no pair is left."""
    lost = {gene for k, column in enumerate(COLUMNS) for gene in table[column][found[:, k] < 0]}
    here = {str(gene).upper() for gene in adata.var_names}
    unknown, unseen = (sorted(g for g in lost if (g.upper() in here) == inside) for inside in (False, True))
    usable = int(((found >= 0).all(axis=1) & (found[:, 0] != found[:, 1])).sum())
    said = "; ".join(
        f"{len(genes)} gene(s) {what} ({', '.join(genes[:MOST_NAMED])}{', ...' if len(genes) > MOST_NAMED else ''})"
        for genes, what in ((unknown, "unknown here"), (unseen, "have too few counts and were not embedded"))
        if genes
    )
    if not usable:
        raise InputError(
            f"{name}: none of {len(table)} pair(s) joins two embedded genes: {said or 'each is a gene with itself'}; "
            f"pass symbols like {adata.var_names[0]}"
        )
    if usable < len(table):
        itself = int(((found[:, 0] == found[:, 1]) & (found[:, 0] >= 0)).sum())
        said = "; ".join(filter(None, [said, f"{itself} pair(s) of a gene with itself" if itself else ""]))
        logger.warning("%s: %d of %d pair(s) can be used: %s", name, usable, len(table), said)
