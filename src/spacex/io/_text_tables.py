"""Delimited text: comment lines, delimiter, header and decimal sign are detected from the first lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, has_suffix, join_names, open_binary, translate_errors
from spacex.io._name_matching import as_text

WHITESPACE = r"\s+"
MISSING = frozenset({"", "NA", "NaN", "nan", "NULL", "None", "<NA>", "n/a", "N/A"})
MAX_LINE = 50_000_000  # characters; a binary file may have no line break for gigabytes
_DELIMITERS = ("\t", ",", ";", " ")
_N_SAMPLE_LINES = 6
_MAX_PREAMBLE = 10_000  # lines of comments
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class Header(NamedTuple):
    """Format of a delimited text file, and the names of its columns."""

    delimiter: str
    names: list[str]
    n_skipped: int
    """Number of lines before the first row: comments, empty lines and the header."""
    decimal: str = "."
    rows: tuple[tuple[str, ...], ...] = ()
    """Fields of the first rows."""

    def without_header(self, names: Sequence[str]) -> Header:
        """Return the format of a file without header, whose first line is a row."""
        return self._replace(names=list(names), n_skipped=self.n_skipped - 1, rows=(tuple(self.names), *self.rows))


def is_text_table(path: Path) -> bool:
    """Whether a file has the suffix of delimited text."""
    return has_suffix(path, ".csv", ".tsv", ".txt", ".tab")


def open_text(path: Path) -> IO[str]:
    """Open a text file, compressed or not, without its byte order mark."""
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="")


def read_header(path: Path) -> Header:
    """Detect the format of a table and the names of its columns.

    Lines that begin with # and empty lines before the header are skipped. A line that begins with # is the header
    if it has one field for every field of the numeric row below it. R's ``write.table`` writes no name for the column
    of row names; the header then gets an empty first name.
    """
    with translate_errors(path, "table"), open_text(path) as file:
        preamble, lines = _first_lines(file)
    if not lines:
        raise InputError(f"path='{path}' is empty; {REDOWNLOAD_HINT}")
    if preamble and preamble[-1].startswith("#") and _is_header(preamble[-1][1:], lines):
        lines = [preamble.pop()[1:], *lines]
    delimiter = _detect_delimiter(lines)
    header, *rows = (split(line, delimiter) for line in lines)
    names = [name.strip() for name in header]
    if rows and len(rows[0]) == len(names) + 1:
        names = ["", *names]
    return Header(delimiter, names, len(preamble) + 1, _detect_decimal(delimiter, rows), tuple(map(tuple, rows)))


def _first_lines(file: IO[str]) -> tuple[list[str], list[str]]:
    """Return the comments and empty lines at the start, and the first lines after them."""
    preamble: list[str] = []
    lines: list[str] = []
    while len(lines) < _N_SAMPLE_LINES and (line := file.readline(MAX_LINE)):
        line = line.rstrip("\r\n")
        is_content = bool(line.strip()) and not line.startswith("#")
        if lines or is_content:
            lines += [line] if line.strip() else []
        elif len(preamble) < _MAX_PREAMBLE:
            preamble.append(line)
        else:
            break
    return preamble, lines


def _is_header(comment: str, lines: list[str]) -> bool:
    """Whether a comment has as many fields as the lines below it, the first of which holds numbers."""
    delimiter = _detect_delimiter(lines)
    names, *rows = (split(text, delimiter) for text in (comment.strip(" "), *lines))
    is_row = len(rows[0]) > 1 and all(map(is_number, rows[0][1:]))
    return is_row and {len(row) for row in rows} == {len(names)}


def _detect_delimiter(lines: list[str]) -> str:
    """Return the delimiter that divides all lines into equally many fields; names may contain other delimiters.

    A delimiter that gives the header as many fields as the rows precedes one that gives it one field less, as in R:
    in ``s1;1,5`` below ``spot;x`` the comma is a decimal sign.
    """
    for checked in (lines, lines[:2]):  # lines of a damaged file differ in length
        for n_missing in (0, 1):
            for delimiter in (*_DELIMITERS, WHITESPACE):
                n_names, *n_fields = (len(split(line, delimiter)) for line in checked)
                n_fields = n_fields or [n_names]
                if n_fields[0] > 1 and set(n_fields) == {n_names + n_missing}:
                    return delimiter
    return max(_DELIMITERS, key=lines[0].count)


def split(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line, without their quotes."""
    if delimiter == WHITESPACE:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


def is_number(text: str) -> bool:
    """Whether a field holds a number or is missing."""
    if text.strip() in MISSING:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python allows it between digits


def _detect_decimal(delimiter: str, rows: list[list[str]]) -> str:
    """Return a comma if the first numbers have one, as European spreadsheets write them, else a point.

    These spreadsheets use semicolons as delimiters: such a table has decimal commas unless a number has a point.
    """
    fields = [field.strip() for row in rows for field in row]
    if delimiter == "," or any("." in field and is_number(field) for field in fields):
        return "."
    return "," if delimiter == ";" or any(map(_DECIMAL_COMMA.fullmatch, fields)) else "."


def read_delimited(path: Path, header: Header, **options: Any) -> Iterator[pd.DataFrame]:
    """Yield the rows of a table as frames with columns by index; `options` are those of `pandas.read_csv`."""
    defaults = {
        "sep": header.delimiter,
        "decimal": header.decimal,
        "header": None,
        "skiprows": header.n_skipped,
        "names": range(len(header.names)),
        "index_col": False,
        "encoding": "utf-8-sig",
        "on_bad_lines": "error",
    }
    with open_binary(path) as file:
        table = pd.read_csv(file, **{**defaults, **options})
        yield from [table] if isinstance(table, pd.DataFrame) else table


def read_text_table(path: Path, header: Header, kind: str, numbers: Sequence[int] = ()) -> pd.DataFrame:
    """Read a whole table as text, missing values included; the columns `numbers` are parsed if they are numeric."""
    with translate_errors(path, kind):
        (table,) = read_delimited(
            path, header, keep_default_na=False, na_values={i: list(MISSING) for i in numbers}, low_memory=False,
            dtype={i: str for i in range(len(header.names)) if i not in numbers}, float_precision="high",
        )  # fmt: skip
    table.columns = unique_names(header.names)
    return table


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names with a suffix for repeats, as pandas does."""
    counts: dict[str, int] = {}
    result = []
    for name in names:
        n_before = counts.get(name, 0)
        counts[name] = n_before + 1
        result.append(f"{name}.{n_before}" if n_before else name)
    return result


def typed(text: pd.Series, decimal: str = ".") -> pd.Series:
    """Convert a text column to numbers or booleans if all of its fields allow it; missing values become NaN."""
    if not (text.dtype == object or pd.api.types.is_string_dtype(text)):
        return text
    code, distinct = pd.factorize(text)  # parsing is slow, and values repeat
    stripped = pd.Series(as_text(distinct), dtype=object)
    values = stripped.where(~stripped.isin(MISSING))
    words = set(values.dropna().str.casefold())
    if words and words <= {"true", "false"} and not values.isna().any():
        values = values.str.casefold() == "true"
    else:
        with suppress(ValueError, TypeError, OverflowError):
            values = pd.to_numeric(values.str.replace(",", ".", regex=False) if decimal == "," else values)
    return values.reindex(code).set_axis(text.index)


def require_columns(names: Sequence[str], required: Sequence[str], path: Path, hint: str = REDOWNLOAD_HINT) -> None:
    """Raise `InputError` if a table lacks a column."""
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {join_names(missing)}; {hint}")
