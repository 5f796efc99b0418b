"""Matching of spot names between two files, also across the spellings in which tools write them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from os.path import commonprefix
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

MIN_MATCHED = 0.5
"""Minimum fraction of the names that must match when a prefix or suffix is removed."""

N_SAMPLED = 100
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SEPARATORS = "_-:.#|/ "
_WELL_SUFFIX = re.compile(r"[-.]1")
"""The suffix that Cell Ranger gives to every barcode of a single well."""


class NameMatch(NamedTuple):
    """Rows of a column that hold the query names."""

    row: np.ndarray
    """(n,) row of each name, the first one if it repeats; -1 if it is missing."""
    is_distinct: bool = True
    """Whether no name occurs in several rows."""
    spelling: str = ""
    """How the names were respelled; empty if they match literally."""
    has_affixes: bool = True
    """Whether prefixes and suffixes were compared too."""
    column: str = ""
    """Name of the column."""

    @property
    def share(self) -> float:
        """Fraction of the names that match."""
        return float((self.row >= 0).mean()) if len(self.row) else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether all names match."""
        return bool((self.row >= 0).all())

    def disagrees(self, other: NameMatch) -> bool:
        """Whether two columns assign a name to different rows."""
        both = (self.row >= 0) & (other.row >= 0)
        return bool((self.row[both] != other.row[both]).any())


class Names:
    """Names (n,) of spots as text, with lazily computed properties that matching needs."""

    def __init__(self, values: Any) -> None:
        self._values = values

    @cached_property
    def text(self) -> np.ndarray:
        """(n,) names, stripped; bytes are decoded and whole numbers have no decimals."""
        return as_text(self._values)

    @cached_property
    def _factorized(self) -> tuple[np.ndarray, pd.Index]:
        code, distinct = pd.factorize(self.text)
        return code, pd.Index(distinct)

    @property
    def n_distinct(self) -> int:
        """Number of distinct names."""
        return len(self._factorized[1])

    @cached_property
    def is_unique(self) -> bool:
        """Whether no name repeats; missing ones do not count."""
        return self.n_distinct - ("" in self._factorized[1]) == int((self.text != "").sum())

    @cached_property
    def allows_respelling(self) -> bool:
        """Whether these may be respelled names: they are unique and not measurements."""
        fractions = (text for text in self.text[:N_SAMPLED] if _NUMBER.fullmatch(text) and by_value(text) == text)
        return self.is_unique and all(text.lstrip("+-").isdecimal() for text in fractions)

    @property
    def is_numeric(self) -> bool:
        """Whether the first names are numbers."""
        return all(_NUMBER.fullmatch(text) for text in self.text[:N_SAMPLED])

    @cached_property
    def by_value(self) -> Names:
        """The names with numbers in a canonical spelling."""
        return self._respelled(by_value)

    @cached_property
    def in_r(self) -> Names:
        """The names with numbers in a canonical spelling and others in that of R."""
        return self.by_value._respelled(_in_r)

    def _respelled(self, respell: Callable[[str], str]) -> Names:
        return Names(np.array([respell(text) for text in self.text], dtype=object))

    @cached_property
    def affixes(self) -> tuple[str, str]:
        """The prefix and suffix that all names share, up to and from a separator; empty if there is none."""
        if self.n_distinct < 2 or _NUMBER.fullmatch(self.text[0]):
            return "", ""
        forward, backward = self.text.tolist(), [text[::-1] for text in self.text]
        prefix, suffix = commonprefix(forward), commonprefix(backward)[::-1]  # noqa: RUF071
        ends = [i + 1 for i, letter in enumerate(prefix) if letter in _SEPARATORS]
        starts = [i for i, letter in enumerate(suffix) if letter in _SEPARATORS]
        return prefix[: ends[-1]] if ends else "", suffix[starts[0] :] if starts else ""

    def lookup(self, target: Names) -> NameMatch:
        """Match the names literally to those of another list."""
        code, distinct = self._factorized
        code_of_row = distinct.get_indexer(target.text)
        rows = np.flatnonzero(code_of_row >= 0)[::-1]
        row = np.full(len(distinct), -1, dtype=np.int64)
        row[code_of_row[rows]] = rows  # the first of several rows is written last
        n_rows = len(rows) - int((target.text[rows] == "").sum())
        row[distinct == ""] = -1
        return NameMatch(row[code], n_rows == int((row >= 0).sum()))


def as_text(values: Any) -> np.ndarray:
    """Return names (n,) as stripped text: bytes decoded, whole numbers without decimals, missing ones empty."""
    values = np.asarray(values)
    if values.dtype.kind in "iu":
        return values.astype(str).astype(object)
    if pd.api.types.infer_dtype(values, skipna=False) == "string":
        return np.array([value.strip() for value in values], dtype=object)
    return np.array([_to_text(value) for value in values], dtype=object)


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def match_names(query: Names, target: Names, *, affixes: bool = True) -> NameMatch:
    """Match names to a column, in the spelling under which most of them match.

    Spellings are tried in this order: literal; numbers by value (``7``, ``7.0``, ``007``); as R writes names
    (``X10x12``, ``AAAC.1``); and, if `affixes`, without a prefix or suffix that all names of one side share, such as
    the name of a sample or ``-1``. A spelling is tried only if it keeps all names of both sides distinct.
    """
    best = query.lookup(target)
    if best.is_complete or not target.allows_respelling or not query.is_unique:
        return best
    without_affixes = _match_without_affixes(query, target) if affixes else ()
    for match in itertools.chain(_match_respelled(query, target), without_affixes):
        if (match.row >= 0).sum() > (best.row >= 0).sum():
            best = match
        if best.is_complete:
            break
    return best


def _spellings(query: Names, target: Names) -> Iterator[tuple[str, Names, Names]]:
    """Yield the spellings that keep all names of both sides distinct, with their descriptions."""
    for description, form in (("numbers compared by value", "by_value"), ("names compared as R writes them", "in_r")):
        left, right = getattr(query, form), getattr(target, form)
        if (left.n_distinct, right.n_distinct) == (query.n_distinct, target.n_distinct):
            yield description, left, right


def _match_respelled(query: Names, target: Names) -> Iterator[NameMatch]:
    for description, left, right in _spellings(query, target):
        yield left.lookup(right)._replace(spelling=description)


def _match_without_affixes(query: Names, target: Names) -> Iterator[NameMatch]:
    """Yield the matches after removing a prefix or suffix that all names of one side share."""
    for _, left, right in _spellings(query, target):
        right_names = set(right.text)
        sampled = left.text[:: max(1, len(left.text) // N_SAMPLED)]
        for prefix, suffix in _affix_changes(left, right):
            if right_names.isdisjoint(_replace_affixes(sampled, prefix, suffix)):
                continue
            match = Names(_replace_affixes(left.text, prefix, suffix)).lookup(right)
            if match.share >= MIN_MATCHED:
                removed = " and ".join(repr(affix) for change in (prefix, suffix) for affix in change if affix)
                yield match._replace(spelling=f"{removed} removed", has_affixes=False)


Change = tuple[str, str]
"""An affix of the query and its replacement in the target; one of them is empty."""


def _affix_changes(query: Names, target: Names) -> Iterator[tuple[Change, Change]]:
    """Yield changes of the prefix and the suffix, each removed from one side only: two prefixes name two samples.

    A prefix of one side and a suffix of the other are both removed only if the suffix is the ``-1`` of Cell Ranger.
    """
    affixes = [_removable(*names.affixes) for names in (query, target)]
    prefixes, suffixes = (
        [("", ""), *((affix, "") for affix in affixes[0][i]), *(("", affix) for affix in affixes[1][i])] for i in (0, 1)
    )
    for prefix, suffix in itertools.product(prefixes, suffixes):
        is_crossed = any(prefix) and any(suffix) and bool(prefix[0]) != bool(suffix[0])
        if (any(prefix) or any(suffix)) and (not is_crossed or _WELL_SUFFIX.fullmatch(max(suffix))):
            yield prefix, suffix


def _removable(prefix: str, suffix: str) -> tuple[list[str], list[str]]:
    """Return the parts of a prefix and a suffix, divided at separators, that may be removed; the longest first."""
    ends = [i for i, letter in enumerate(prefix) if letter in _SEPARATORS]
    starts = [i for i, letter in enumerate(suffix) if letter in _SEPARATORS]
    return [prefix[: i + 1] for i in reversed(ends)], [suffix[i:] for i in starts]


def _replace_affixes(texts: Iterable[str], prefix: Change, suffix: Change) -> list[str]:
    (old_prefix, new_prefix), (old_suffix, new_suffix) = prefix, suffix
    return [new_prefix + text[len(old_prefix) : len(text) - len(old_suffix)] + new_suffix for text in texts]


def by_value(text: str) -> str:
    """Return a whole number in its canonical spelling, and other text unchanged."""
    if text.isdecimal():
        return text.lstrip("0") or "0"
    if not _NUMBER.fullmatch(text):
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else text


def _in_r(text: str) -> str:
    """Return a name as R's ``make.names`` spells it, without the X that it puts before a number."""
    spelled = re.sub(r"[^A-Za-z0-9_.]", ".", text)
    return spelled[1:] if re.match(r"X[0-9.]", spelled) else spelled
