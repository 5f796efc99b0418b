"""Recognition of the column of a table that holds the spot names of another file."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from spacex._infra.errors import InputError
from spacex.io._files import join_names
from spacex.io._name_matching import MIN_MATCHED, NameMatch, Names, match_names

_STRONG = (
    "barcode", "barcodes", "cellbarcode", "beadbarcode", "bead", "beadid", "cellid", "entityid", "cell", "cells",
    "spot", "spotid", "spots", "cellname", "cellnames", "objectid",
)  # fmt: skip
"""Normalized names of columns that identify spots or cells."""

_WEAK = ("geneid", "genename", "gene", "genes", "symbol", "featureid", "feature", "name", "names", "id", "ids", "label")
"""Normalized names of columns that may identify rows."""

_WEAK_END = re.compile(
    r"(^|[^a-z])(id|ids|name|names|label|key|cell|bead|spot)$|(barcodes?|(cell|bead|spot)(id|name))$"
)
"""Ends, in lower case, of the names of columns that may identify rows."""

_ROW_NAMES = re.compile(r"|unnamed\d*|index|level0|row(name|number)s?")
"""Normalized names of columns of row names, which are often numbers."""

STRONG, WEAK, OTHER = range(3)
"""Classes of column names: usual names of identifiers, possible ones, and all others."""


def normalize_name(name: object) -> str:
    """Return the name of a column in lower case without punctuation."""
    return re.sub(r"[^a-z0-9]", "", str(name).casefold())


def is_row_name_column(name: object) -> bool:
    """Whether a column of this name holds row names, which are often numbers."""
    return _ROW_NAMES.fullmatch(normalize_name(name)) is not None


def is_identifier_name(name: object) -> bool:
    """Whether a column of this name may hold identifiers or row names."""
    return name_class(name) != OTHER or is_row_name_column(name)


def name_class(name: object) -> int:
    """Return `STRONG`, `WEAK` or `OTHER`: how likely a column of this name holds identifiers."""
    normalized = normalize_name(name)
    if normalized in _STRONG:
        return STRONG
    return WEAK if normalized in _WEAK or _WEAK_END.search(str(name).casefold()) else OTHER


def uncertainty(match: NameMatch) -> int:
    """Return the class of the column name, plus one if a prefix or suffix was removed."""
    return name_class(match.column) + (not match.has_affixes)


def find_identifier_column(
    columns: Mapping[str, Names], names: Names, source: object, *, exact_only: bool = False
) -> NameMatch | None:
    """Return the column that holds these spot names, or None.

    Columns are ranked by their names and then by the fraction of spot names that they hold: usual names (``barcode``,
    ``cell_id``, ...), possible ones (``id``, ``sample_name``), all others, and last row names, which are often
    numbers.

    Parameters
    ----------
    columns
        Values of the candidate columns.
    names
        Spot names of the other file.
    source
        File with the columns, for messages.
    exact_only
        Consider only columns with a usual name that hold all spot names literally.

    Raises
    ------
    InputError
        Two columns of equal rank assign the spot names to different rows.
    """
    usual = (names.lookup(columns[name])._replace(column=name) for name in columns if name_class(name) == STRONG)
    matches = [match for match in usual if match.is_distinct and match.share == 1]
    if not matches and not exact_only:
        matches = [match for column in columns if (match := _match_column(column, columns[column], names)) is not None]
    return _choose_column(matches, source)


def _match_column(column: str, values: Names, names: Names) -> NameMatch | None:
    """Match a column; None if it holds too few of the spot names for the class of its name."""
    # Row numbers and ranks must not match "cell_7" by removing its prefix.
    is_other = name_class(column) == OTHER
    match = match_names(names, values, affixes=not (is_other and values.is_numeric))
    return match._replace(column=column) if match.share >= (MIN_MATCHED if is_other else np.finfo(float).tiny) else None


def _choose_column(matches: list[NameMatch], source: object) -> NameMatch | None:
    likely = [match for match in matches if match.is_distinct and match.share >= MIN_MATCHED]
    candidates = likely or matches
    if not candidates:
        return None
    rank = min(map(uncertainty, candidates))
    share = max(match.share for match in candidates if uncertainty(match) == rank)
    ties = [match for match in candidates if uncertainty(match) == rank and match.share == share]
    chosen = min(ties, key=lambda match: is_row_name_column(match.column))
    better = [match for match in likely if match.share > share and not is_row_name_column(match.column)]
    # A column such as n_counts may hold the same numbers by chance: no other column may disagree with it.
    others = likely if name_class(chosen.column) == OTHER else better
    rivals = list(dict.fromkeys(match.column for match in (*ties, *others) if match.disagrees(chosen)))
    if rivals:
        raise InputError(
            f"path='{source}' has several columns that could name its rows, {join_names([chosen.column, *rivals])}, "
            "and they disagree; name the right one barcode"
        )
    return max(better, key=lambda match: match.share, default=chosen)
