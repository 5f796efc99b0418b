"""Tables of gene pairs: validation, and the look-up of their genes in a section."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from spacex._infra.errors import InputError
from spacex.gene_names import AMBIGUOUS, UNKNOWN, GeneNames, join_names

logger = logging.getLogger("spacex")

COLUMNS = ("gene_a", "gene_b")

PairTable: TypeAlias = pd.DataFrame | Sequence[tuple[str, str]]


def read_pairs(pairs: PairTable, *, name: str, allow_int: bool) -> pd.DataFrame:
    """Validate a table or a list of pairs; return the columns ``gene_a`` and ``gene_b`` as text, in the given order.

    `allow_int` accepts integers as gene names in a list, for sections whose ``var_names`` are integers.
    """
    if isinstance(pairs, pd.DataFrame):
        missing = [column for column in COLUMNS if column not in pairs.columns]
        if missing:
            columns = ", ".join(map(repr, pairs.columns[:8])) or "none"
            raise InputError(
                f"{name} has no column {' and no column '.join(map(repr, missing))} (its columns: {columns}); "
                "rename its columns to gene_a and gene_b"
            )
        table = pairs[list(COLUMNS)].reset_index(drop=True)
    else:
        table = _from_list(pairs, name, allow_int=allow_int)
    if not len(table):
        raise InputError(f"{name} holds no pairs; pass a table with the columns gene_a and gene_b")
    if table.isna().to_numpy().any():
        row = int(table.isna().any(axis=1).to_numpy().argmax())
        raise InputError(f"{name} row {row} has a missing gene name; drop such rows: pairs.dropna()")
    return table.astype(str)


def _from_list(pairs: object, name: str, *, allow_int: bool) -> pd.DataFrame:
    message = f"{name} is not a table of pairs; pass a DataFrame with the columns gene_a and gene_b, or a list of pairs"
    if isinstance(pairs, (str, bytes)):
        raise InputError(message)
    try:
        rows = [(a, b) for a, b in pairs]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(message) from None
    allowed = (str, int, np.integer) if allow_int else str
    if any(not isinstance(gene, allowed) for row in rows for gene in row):
        raise InputError(message)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def find_pairs(genes: GeneNames, embedded: np.ndarray, table: pd.DataFrame, *, name: str) -> np.ndarray:
    """Positions (N, 2) of each pair's genes among the embedded genes; `UNKNOWN` for genes that cannot be used.

    Logs a warning with the unusable genes and their number. `embedded` (n,) are the indices of the embedded genes.
    """
    code, names = pd.factorize(table.to_numpy(dtype=object).ravel())
    index = genes.indices(names)
    for gene in names[index == AMBIGUOUS]:
        genes.check_unique(gene)
    position = np.where(np.isin(index, embedded), np.searchsorted(embedded, index), UNKNOWN)
    pairs = position[code.reshape(table.shape)]
    unusable = {
        "unknown": names[index == UNKNOWN],
        "ambiguous": names[index == AMBIGUOUS],
        "not embedded because of too few counts": names[(index >= 0) & (position == UNKNOWN)],
    }
    _report_unusable(genes, pairs, unusable, name)
    return pairs


def is_usable(pairs: np.ndarray) -> np.ndarray:
    """Mask (N,) of the pairs (N, 2) from `find_pairs` that join two different embedded genes."""
    return (pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])


def _report_unusable(genes: GeneNames, pairs: np.ndarray, unusable: dict[str, np.ndarray], name: str) -> None:
    """Log a warning that lists the genes that cannot be used; raise `InputError` if no pair is left."""
    n_same = int(((pairs[:, 0] == pairs[:, 1]) & (pairs[:, 0] >= 0)).sum())
    n_usable = int(is_usable(pairs).sum())
    reasons = [f"{len(names)} gene(s) {why} ({join_names(names)})" for why, names in unusable.items() if len(names)]
    if not n_usable:
        raise InputError(
            f"{name}: none of {len(pairs)} pair(s) joins two embedded genes: "
            f"{'; '.join(reasons) or 'each pairs a gene with itself'}; pass symbols like {genes.symbols[0]}"
        )
    if n_same:
        reasons.append(f"{n_same} pair(s) of a gene with itself")
    if n_usable < len(pairs):
        logger.warning("%s: %d of %d pair(s) can be used: %s", name, n_usable, len(pairs), "; ".join(reasons))
