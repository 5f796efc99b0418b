"""Names of spots in two files: looked up as they are, or in a spelling that means the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MIN_SHARE = 0.5
"""Share of the names that must be found where a prefix or suffix is left out."""

N_SAMPLED = 100
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SEPARATORS = "_-:.#|/ "
_WELL = re.compile(r"[-.]1")
"""The suffix that Cell Ranger gives to every barcode of a single well."""


class Match(NamedTuple):
    """Where names stand in a column."""

    row: np.ndarray
    """(n,) row of each name, the first of several; -1 where it is missing."""
    is_distinct: bool = True
    """Whether no name stands in several rows."""
    spelling: str = ""
    """How spellings had to be changed; empty where they agree."""
    is_literal: bool = True
    """Whether no prefix or suffix was left out."""

    @property
    def share(self) -> float:
        """Share of the names that were found."""
        return float((self.row >= 0).mean()) if len(self.row) else 0.0


class Names:
    """Names (n,) of spots as text, and what a look-up needs of them, computed when it is asked for."""

    def __init__(self, values: Any) -> None:
        self._values = values

    @cached_property
    def text(self) -> np.ndarray:
        """(n,) names without spaces around them; bytes are decoded, whole numbers have no decimals."""
        return as_text(self._values)

    @cached_property
    def _coded(self) -> tuple[np.ndarray, pd.Index]:
        import pandas as pd

        code, distinct = pd.factorize(self.text)
        return code, pd.Index(distinct)

    @property
    def n_distinct(self) -> int:
        """Number of different names."""
        return len(self._coded[1])

    @cached_property
    def is_unique(self) -> bool:
        """Whether no name repeats; missing ones do not count."""
        return self.n_distinct - ("" in self._coded[1]) == int((self.text != "").sum())

    @cached_property
    def may_be_respelled(self) -> bool:
        """Whether these could be other spellings of names: none repeats, and they are no measurements."""
        measured = (text for text in self.text[:N_SAMPLED] if _NUMBER.fullmatch(text) and by_value(text) == text)
        return self.is_unique and all(text.lstrip("+-").isdecimal() for text in measured)

    @property
    def is_numeric(self) -> bool:
        """Whether the first names are numbers."""
        return all(_NUMBER.fullmatch(text) for text in self.text[:N_SAMPLED])

    @cached_property
    def by_value(self) -> Names:
        """Numbers by their value."""
        return self._respelled(by_value)

    @cached_property
    def without_r(self) -> Names:
        """Numbers by their value, names as R spells them."""
        return self.by_value._respelled(_without_r)

    def _respelled(self, change: Callable[[str], str]) -> Names:
        return Names(np.array([change(text) for text in self.text], dtype=object))

    @cached_property
    def affixes(self) -> tuple[str, str]:
        """The prefix and suffix that all names share, up to and from a separator; empty where there is none."""
        if self.n_distinct < 2 or _NUMBER.fullmatch(self.text[0]):
            return "", ""
        before = common_start(self.text.tolist())
        after = common_start([text[::-1] for text in self.text])[::-1]
        ends = [i + 1 for i, letter in enumerate(before) if letter in _SEPARATORS]
        starts = [i for i, letter in enumerate(after) if letter in _SEPARATORS]
        return before[: ends[-1]] if ends else "", after[starts[0] :] if starts else ""

    def rows_in(self, known: Names) -> Match:
        """Look the names up in another list as they are."""
        code, distinct = self._coded
        code_of_row = distinct.get_indexer(known.text)
        rows = np.flatnonzero(code_of_row >= 0)[::-1]
        row = np.full(len(distinct), -1, dtype=np.int64)
        row[code_of_row[rows]] = rows  # the first of several rows is written last
        n_rows = len(rows) - int((known.text[rows] == "").sum())
        row[distinct == ""] = -1
        return Match(row[code], n_rows == int((row >= 0).sum()))


def as_text(values: Any) -> np.ndarray:
    """Names (n,) as text: bytes decoded, whole numbers without decimals, without spaces around them."""
    import pandas as pd

    values = np.asarray(values)
    if values.dtype.kind in "iu":
        return values.astype(str).astype(object)
    if pd.api.types.infer_dtype(values, skipna=False) == "string":
        return np.array([value.strip() for value in values], dtype=object)
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    import pandas as pd

    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def match(wanted: Names, known: Names, *, affixes: bool = True) -> Match:
    """Look up names in a column, in the spelling under which most are found.

    Spellings are tried in this order: as they are; numbers by their value (``7``, ``7.0``, ``007``); as R spells
    names (``X10x12``, ``AAAC.1``); where `affixes` may be left out, without a prefix or suffix that all names of one
    of the two sides share, such as the name of a sample or ``-1``. A spelling counts only where it keeps all names of
    both sides apart, so that two names never become one.
    """
    best = wanted.rows_in(known)
    if (best.row >= 0).all() or not known.may_be_respelled or not wanted.is_unique:
        return best
    without_affixes = _without_affixes(wanted, known) if affixes else ()
    for found in itertools.chain(_respelled(wanted, known), without_affixes):
        if (found.row >= 0).sum() > (best.row >= 0).sum():
            best = found
        if (best.row >= 0).all():
            break
    return best


def _respelled(wanted: Names, known: Names) -> Iterator[Match]:
    """Matches in spellings that mean the same."""
    for said, form in (("numbers compared by value", "by_value"), ("names compared as R spells them", "without_r")):
        left, right = getattr(wanted, form), getattr(known, form)
        if (left.n_distinct, right.n_distinct) == (wanted.n_distinct, known.n_distinct):
            yield left.rows_in(right)._replace(spelling=said)


def _without_affixes(wanted: Names, known: Names) -> Iterator[Match]:
    """Matches where a prefix or suffix that all names of one side share is left out."""
    for form in ("by_value", "without_r"):
        left, right = getattr(wanted, form), getattr(known, form)
        if (left.n_distinct, right.n_distinct) != (wanted.n_distinct, known.n_distinct):
            continue
        right_names = set(right.text)
        sampled = left.text[:: max(1, len(left.text) // N_SAMPLED)]
        for prefix, suffix in _affix_changes(left, right):
            if right_names.isdisjoint(_changed(sampled, prefix, suffix)):
                continue
            found = Names(_changed(left.text, prefix, suffix)).rows_in(right)
            if found.share >= MIN_SHARE:
                said = " and ".join(repr(affix) for change in (prefix, suffix) for affix in change if affix)
                yield found._replace(spelling=f"{said} left out", is_literal=False)


Change = tuple[str, str]
"""A prefix or suffix that names have, and what stands in its place in the column; one of them is empty."""


def _affix_changes(wanted: Names, known: Names) -> Iterator[tuple[Change, Change]]:
    """Prefixes and suffixes to leave out, each on one side: where both have one, they name different samples.

    A prefix on one side and a suffix on the other are both left out only where one is the ``-1`` of Cell Ranger.
    """
    sides = [_cuts(*names.affixes) for names in (wanted, known)]
    prefixes, suffixes = (
        [("", ""), *((cut, "") for cut in sides[0][kind]), *(("", cut) for cut in sides[1][kind])] for kind in (0, 1)
    )
    for prefix, suffix in itertools.product(prefixes, suffixes):
        crossed = any(prefix) and any(suffix) and bool(prefix[0]) != bool(suffix[0])
        if (any(prefix) or any(suffix)) and (not crossed or _WELL.fullmatch(max(suffix))):
            yield prefix, suffix


def _cuts(prefix: str, suffix: str) -> tuple[list[str], list[str]]:
    """Beginnings of a prefix and ends of a suffix that could be left out, the longest first."""
    ends = [i for i, letter in enumerate(prefix) if letter in _SEPARATORS]
    starts = [i for i, letter in enumerate(suffix) if letter in _SEPARATORS]
    return [prefix[: i + 1] for i in reversed(ends)], [suffix[i:] for i in starts]


def _changed(texts: Iterable[str], prefix: Change, suffix: Change) -> list[str]:
    (before, new_before), (after, new_after) = prefix, suffix
    return [new_before + text[len(before) : len(text) - len(after)] + new_after for text in texts]


def by_value(text: str) -> str:
    """A number in one spelling, where it is whole; other text as it is."""
    if text.isdecimal():
        return text.lstrip("0") or "0"
    if not _NUMBER.fullmatch(text):
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else text


def _without_r(text: str) -> str:
    """A name as R's ``make.names`` spells it, without the X that it puts before a number."""
    spelled = re.sub(r"[^A-Za-z0-9_.]", ".", text)
    return spelled[1:] if re.match(r"X[0-9.]", spelled) else spelled


def common_start(texts: Sequence[str]) -> str:
    """The longest text that all begin with."""
    first, last = min(texts), max(texts)
    n_shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:n_shared]
