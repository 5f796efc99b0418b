"""Joining two files by identifiers: which column holds them, and spellings that mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spacex._check import InputError
from spacex.io._files import listed

if TYPE_CHECKING:
    import pandas as pd

_NAMES = (
    "barcode", "barcodes", "cellbarcode", "beadbarcode", "bead", "beadid", "cellid", "entityid", "cell", "cells",
    "spot", "spotid", "spots", "cellname", "cellnames", "objectid",
)  # fmt: skip
"""Names of columns that identify spots or cells, without case and punctuation, the most telling first."""

_WEAK_NAMES = ("geneid", "genename", "gene", "genes", "symbol", "featureid", "feature", "name", "names", "id", "label")
"""Names of columns that may identify rows, or something else about them."""

_ROW_NUMBERS = ("", "unnamed0", "index", "rownames", "rowname")
"""Names of columns that hold the names of rows, which are often their numbers."""

MIN_SHARE = 0.5
"""Share of the identifiers that a column of a usual name must hold to be preferred to all others."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_SEPARATORS = "_-:.#|/ "


def folded(name: object) -> str:
    """The name of a column without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", str(name).casefold())


def is_identifier_name(name: object) -> bool:
    """Whether a column of this name holds identifiers, or the names of rows."""
    return folded(name) in (*_NAMES, *_WEAK_NAMES) or is_row_number_name(name)


def is_row_number_name(name: object) -> bool:
    """Whether a column of this name holds the names of rows, which are often their numbers."""
    return folded(name) in _ROW_NUMBERS


def _name_rank(name: object) -> int:
    """How telling the name of a column is: the lower, the more likely it holds identifiers."""
    ranked = (*_NAMES, *_WEAK_NAMES)
    key = folded(name)
    return ranked.index(key) if key in ranked else len(ranked) + is_row_number_name(name)


def as_text(values: Any) -> np.ndarray:
    """Identifiers (n,) as text: bytes decoded, whole numbers without decimals, without spaces around them."""
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


class Match(NamedTuple):
    """Where identifiers stand in a column."""

    row: np.ndarray
    """(n,) row of each identifier, -1 where it is missing."""
    spelling: str
    """How spellings had to be changed; empty where they agree."""

    @property
    def share(self) -> float:
        """Share of the identifiers that were found."""
        return float((self.row >= 0).mean()) if len(self.row) else 0.0


def match(identifiers: Sequence[str], values: Sequence[str]) -> Match:
    """Look up identifiers in a column, in the spelling under which most are found.

    Spellings are tried in this order: as they are; numbers by their value (``7``, ``7.0``, ``007``); as R spells
    names (``X10x12``, ``AAAC.1``); without a prefix or suffix that all values of one of the two sides share, such as
    the name of a sample or ``-1``. A spelling counts only where it keeps all values of both sides apart, so that two
    identifiers never become one.
    """
    wanted, known = as_text(identifiers), as_text(values)
    best = Match(_rows(wanted, known), "")
    if (best.row >= 0).all() or not _may_be_identifiers(known) or len(set(wanted)) < len(wanted):
        return best
    for spelling, left, right in _spellings(wanted, known):
        if len(set(left)) < len(left) or len(set(right)) < len(right):
            continue
        row = _rows(left, right)
        if (row >= 0).sum() > (best.row >= 0).sum():
            best = Match(row, spelling)
        if (best.row >= 0).all():
            break
    return best


def _may_be_identifiers(values: np.ndarray) -> bool:
    """Whether values could be identifiers in another spelling: none repeats, and they are no measurements."""
    measured = (value for value in values[:100] if _NUMBER.fullmatch(value) and _by_value(value) == value)
    return len(set(values)) == len(values) and all(value.lstrip("+-").isdecimal() for value in measured)


def _spellings(wanted: np.ndarray, known: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    left, right = _each(wanted, _by_value), _each(known, _by_value)
    yield "numbers compared by value", left, right
    left, right = _each(left, _without_r), _each(right, _without_r)
    yield "names compared as R spells them", left, right
    for prefix, suffix in ((True, False), (False, True), (True, True)):
        for one, other, shorter in ((left, right, 0), (right, left, 1)):
            short, affix = _without_affix(one, prefix=prefix, suffix=suffix)
            if affix and not _shares_affix(other, one, prefix=prefix, suffix=suffix):
                said = f"{affix} left out"
                yield said, *((short, other) if shorter == 0 else (other, short))


def _each(values: np.ndarray, change: Any) -> np.ndarray:
    return np.array([change(value) for value in values], dtype=object)


def _by_value(text: str) -> str:
    """A number in one spelling, where it is whole; other text as it is."""
    if not _NUMBER.fullmatch(text):
        return text
    if text.isdecimal():
        return text.lstrip("0") or "0"
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else text


def _without_r(text: str) -> str:
    """A name as R's ``make.names`` spells it, without the X that it puts before a number."""
    spelled = re.sub(r"[^A-Za-z0-9_.]", ".", text)
    return spelled[1:] if re.match(r"X[0-9.]", spelled) else spelled


def common_start(texts: Sequence[str]) -> str:
    """The longest text that all begin with."""
    for i, letters in enumerate(zip(*texts, strict=False)):
        if len(set(letters)) > 1:
            return texts[0][:i]
    return min(texts, key=len)


def _affixes(values: np.ndarray, *, prefix: bool, suffix: bool) -> tuple[str, str]:
    """The prefix and suffix that all values share, up to and from a separator; empty where there is none."""
    texts = [str(value) for value in values]
    if len(texts) < 2:
        return "", ""
    before = common_start(texts) if prefix else ""
    ends = [i + 1 for i, letter in enumerate(before) if letter in _SEPARATORS]
    before = before[: ends[-1]] if ends else ""
    after = common_start([text[::-1] for text in texts])[::-1] if suffix else ""
    starts = [i for i, letter in enumerate(after) if letter in _SEPARATORS]
    after = after[starts[0] :] if starts else ""
    return before, after


def _without_affix(values: np.ndarray, *, prefix: bool, suffix: bool) -> tuple[np.ndarray, str]:
    before, after = _affixes(values, prefix=prefix, suffix=suffix)
    if (prefix and not before) or (suffix and not after):
        return values, ""
    said = " and ".join(f"{kind} {text!r}" for kind, text in (("prefix", before), ("suffix", after)) if text)
    return _each(values, lambda text: text[len(before) : len(text) - len(after)]), said


def _shares_affix(values: np.ndarray, others: np.ndarray, *, prefix: bool, suffix: bool) -> bool:
    """Whether values have a prefix or suffix of their own of the same kind: another sample, not another spelling."""
    own = _affixes(values, prefix=prefix, suffix=suffix)
    return any(a and b for a, b in zip(own, _affixes(others, prefix=prefix, suffix=suffix), strict=True))


def _rows(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Row of each identifier among known values, the first of repeated ones, -1 where it is missing."""
    row_of: dict[str, int] = {}
    for row, value in enumerate(known):
        row_of.setdefault(value, row)
    return np.array([row_of.get(value, -1) if value else -1 for value in wanted], dtype=np.int64)


class Found(NamedTuple):
    """The column that holds the identifiers of another file."""

    column: str
    match: Match


def identifier_column(columns: Mapping[str, pd.Series], identifiers: Sequence[str], source: object) -> Found | None:
    """Return the column whose values are these identifiers, or None where no column has any of them.

    Columns that hold at least half of the identifiers are asked first: those with a usual name (``barcode``,
    ``cell_id``, ...), then others, then those of the names of rows, which are often mere numbers. Among these the
    column that holds most identifiers is taken. An error where two of one rank hold as many and would join the rows
    differently.
    """
    found = [Found(str(name), match(identifiers, values.tolist())) for name, values in columns.items()]
    found = [one for one in found if one.match.share > 0]
    if not found:
        return None
    held = [one for one in found if one.match.share >= MIN_SHARE]
    groups = ([one for one in held if name_class(one.column) == rank] for rank in range(len(NAME_CLASSES)))
    candidates = next(filter(None, groups), found)
    most = max(one.match.share for one in candidates)
    best = [one for one in candidates if one.match.share == most]
    rank = min(_name_rank(one.column) for one in best)
    chosen, *others = [one for one in best if _name_rank(one.column) == rank]
    unlike = [one.column for one in others if not np.array_equal(one.match.row, chosen.match.row)]
    if unlike:
        raise InputError(
            f"path='{source}' has several columns that could name its rows, {listed([chosen.column, *unlike])}, and "
            "they disagree; name the right one barcode"
        )
    return chosen


NAME_CLASSES = ("of identifiers", "of anything", "of row names")


def name_class(name: str) -> int:
    """Number of the class of a column's name among `NAME_CLASSES`: identifiers, anything, or names of rows."""
    return 0 if folded(name) in _NAMES else 2 if is_row_number_name(name) else 1
