"""Joining two files: the column of a table that holds the names of the spots of another file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from spacex._infra.errors import InputError
from spacex.io._files import join_names
from spacex.io._spellings import MIN_SHARE, Match, Names, match

_STRONG = (
    "barcode", "barcodes", "cellbarcode", "beadbarcode", "bead", "beadid", "cellid", "entityid", "cell", "cells",
    "spot", "spotid", "spots", "cellname", "cellnames", "objectid",
)  # fmt: skip
"""Names of columns that identify spots or cells, without case and punctuation."""

_WEAK = ("geneid", "genename", "gene", "genes", "symbol", "featureid", "feature", "name", "names", "id", "ids", "label")
"""Names of columns that may identify rows, or something else about them."""

_WEAK_END = re.compile(
    r"(^|[^a-z])(id|ids|name|names|label|key|cell|bead|spot)$|(barcodes?|(cell|bead|spot)(id|name))$"
)
"""Ends of the names of columns that may identify rows, in lower case."""

_ROW_NUMBERS = re.compile(r"|unnamed\d*|index|level0|row(name|number)s?")
"""Names of columns that hold the names of rows, which are often their numbers, without case and punctuation."""

STRONG, WEAK, OTHER = range(3)
"""Classes of the names of columns: those of identifiers, those that may be, and all others."""


def folded(name: object) -> str:
    """The name of a column without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", str(name).casefold())


def is_row_number_name(name: object) -> bool:
    """Whether a column of this name holds the names of rows, which are often their numbers."""
    return _ROW_NUMBERS.fullmatch(folded(name)) is not None


def is_identifier_name(name: object) -> bool:
    """Whether a column of this name holds identifiers, or the names of rows."""
    return name_class(name) != OTHER or is_row_number_name(name)


def name_class(name: object) -> int:
    """`STRONG`, `WEAK` or `OTHER`: how likely a column of this name holds identifiers."""
    if folded(name) in _STRONG:
        return STRONG
    return WEAK if folded(name) in _WEAK or _WEAK_END.search(str(name).casefold()) else OTHER


class Found(NamedTuple):
    """A column, and where the names of the other file stand in it."""

    column: str
    match: Match

    @property
    def level(self) -> int:
        """How far the column is from a certain one: the class of its name, one more without a prefix or suffix."""
        return name_class(self.column) + (not self.match.is_literal)

    @property
    def is_certain(self) -> bool:
        """Whether a column of a usual name holds all names as they are."""
        return self.level == STRONG and self.match.is_distinct and self.match.share == 1

    def disagrees(self, other: Found) -> bool:
        """Whether two columns put a name in different rows."""
        both = (self.match.row >= 0) & (other.match.row >= 0)
        return bool((self.match.row[both] != other.match.row[both]).any())


def identifier_column(
    columns: Mapping[str, Names], identifiers: Names, source: object, *, certain: bool = False
) -> Found | None:
    """Return the column whose values are these names, or None where no column has them.

    Told by values, then by names: a column of a usual name (``barcode``, ``cell_id``, ...) is preferred to one whose
    name only may be that of identifiers (``id``, ``sample_name``), this one to all others, and those to the names of
    rows, which are often mere numbers. An error where two columns of one kind hold as many names and would join the
    rows differently. `certain`: only a column of a usual name that holds all of them as they are.
    """
    usual = [Found(name, identifiers.rows_in(columns[name])) for name in columns if name_class(name) == STRONG]
    found = [one for one in usual if one.is_certain]
    if not found and not certain:
        found = [one for name in columns if (one := _look_up(name, columns[name], identifiers)) is not None]
    return _chosen(found, source)


def _look_up(name: str, values: Names, identifiers: Names) -> Found | None:
    """A column with the rows of the names in it; None where it has too few of them for the name of the column."""
    # The number of a row, or a rank, is not that of "cell_7".
    found = Found(name, match(identifiers, values, affixes=name_class(name) != OTHER or not values.is_numeric))
    return found if found.match.share >= (MIN_SHARE if name_class(name) == OTHER else np.finfo(float).tiny) else None


def _chosen(found: list[Found], source: object) -> Found | None:
    likely = [one for one in found if one.match.is_distinct and one.match.share >= MIN_SHARE]
    candidates = likely or found
    if not candidates:
        return None
    level = min(one.level for one in candidates)
    share = max(one.match.share for one in candidates if one.level == level)
    alike = [one for one in candidates if one.level == level and one.match.share == share]
    named = [one for one in alike if not is_row_number_name(one.column)]
    chosen = (named or alike)[0]
    better = [one for one in likely if one.match.share > share and not is_row_number_name(one.column)]
    # A column such as n_counts may hold the same numbers by chance: no other column may disagree with it.
    others = likely if name_class(chosen.column) == OTHER else better
    rivals = list(dict.fromkeys(one.column for one in (*alike, *others) if one.disagrees(chosen)))
    if rivals:
        raise InputError(
            f"path='{source}' has several columns that could name its rows, "
            f"{join_names([chosen.column, *rivals])}, and "
            "they disagree; name the right one barcode"
        )
    return max(better, key=lambda one: one.match.share, default=chosen)
