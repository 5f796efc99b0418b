"""Delimited text: compression, comment lines, delimiter, header and decimal sign, told from the first lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, join_names, open_binary, reading
from spacex.io._spellings import as_text

if TYPE_CHECKING:
    import pandas as pd

TEXT_NAME = re.compile(r"\.(csv|tsv|txt|tab)(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)
"""Names of delimited text, compressed or not."""

WHITESPACE = r"\s+"
MISSING = frozenset({"", "NA", "NaN", "nan", "NULL", "None", "<NA>", "n/a", "N/A"})
MAX_LINE = 50_000_000  # characters; a binary file may have no end of line for gigabytes
_DELIMITERS = ("\t", ",", ";", " ")
_N_SAMPLE_LINES = 6
_MAX_PREAMBLE = 10_000  # lines of comments
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class Header(NamedTuple):
    """The form of a delimited text file, and the names of its columns."""

    delimiter: str
    names: list[str]
    n_skipped: int
    """Lines before the first row: comments, empty lines and the header."""
    decimal: str = "."
    rows: tuple[tuple[str, ...], ...] = ()
    """Fields of the first rows."""

    def without_header(self, names: Sequence[str]) -> Header:
        """The header of a file whose first line is a row already."""
        return self._replace(names=list(names), n_skipped=self.n_skipped - 1, rows=(tuple(self.names), *self.rows))


def is_text_table(path: Path) -> bool:
    """Whether the name of a file is that of delimited text."""
    return TEXT_NAME.search(path.name) is not None


def open_text(path: Path) -> IO[str]:
    """Open a text file, compressed or not; a byte order mark is left out."""
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="")


def read_header(path: Path) -> Header:
    """Return the form of a table and the names of its columns.

    Lines that begin with # and empty lines before the header are skipped; a line that begins with # is the header
    where it has a field for every value of the row of numbers below it. R's ``write.table`` names no column for the
    names of the rows; the header then gets an empty first name.
    """
    with reading(path, "table"), open_text(path) as file:
        preamble, lines = _first_lines(file)
    if not lines:
        raise InputError(f"path='{path}' is empty; {REDOWNLOAD_HINT}")
    comments = [line for line in preamble if line.startswith("#")]
    if comments and preamble[-1] is comments[-1] and _is_header(comments[-1][1:], lines):
        lines = [comments[-1][1:], *lines]
        preamble = preamble[:-1]
    delimiter = _delimiter(lines)
    header, *rows = (split(line, delimiter) for line in lines)
    names = [name.strip() for name in header]
    if rows and len(rows[0]) == len(names) + 1:
        names = ["", *names]
    return Header(delimiter, names, len(preamble) + 1, _decimal(delimiter, rows), tuple(map(tuple, rows)))


def _first_lines(file: IO[str]) -> tuple[list[str], list[str]]:
    """Lines before the first one that is neither empty nor a comment, and the first lines from there."""
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


def _is_header(line: str, lines: list[str]) -> bool:
    """Whether a comment names the columns of the lines below it: as many as they have, the first one of numbers."""
    delimiter = _delimiter(lines)
    first, *others = (split(text, delimiter) for text in (line.strip(" "), *lines))
    is_row = len(others[0]) > 1 and all(map(is_number, others[0][1:]))
    return is_row and {len(row) for row in others} == {len(first)}


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter that divides all lines alike; counting would be misled by names that contain it.

    One that divides the header as it divides the rows is preferred to one that leaves it a field short, as R does: in
    ``s1;1,5`` below ``spot;x`` the comma is a decimal sign.
    """
    for checked in (lines, lines[:2]):  # the lines of a damaged file differ in length
        for n_missing in (0, 1):
            for delimiter in (*_DELIMITERS, WHITESPACE):
                n_names, *n_fields = (len(split(line, delimiter)) for line in checked)
                n_fields = n_fields or [n_names]
                if n_fields[0] > 1 and set(n_fields) == {n_names + n_missing}:
                    return delimiter
    return max(_DELIMITERS, key=lines[0].count)


def split(line: str, delimiter: str) -> list[str]:
    """Fields of a line, without their quotes."""
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


def _decimal(delimiter: str, rows: list[list[str]]) -> str:
    """Return a comma where the first numbers have one, as spreadsheets write in much of Europe.

    They divide tables by semicolons, so that these have decimal commas below unless a point is seen.
    """
    fields = [field.strip() for row in rows for field in row]
    if delimiter == "," or any("." in field and is_number(field) for field in fields):
        return "."
    return "," if delimiter == ";" or any(map(_DECIMAL_COMMA.fullmatch, fields)) else "."


def read_delimited(path: Path, header: Header, **options: Any) -> Any:
    """Read the rows of a table with pandas, columns by number; `options` are those of `pandas.read_csv`."""
    import pandas as pd

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
    options = {**defaults, **options}
    if "chunksize" in options:
        return _in_chunks(path, options)
    with open_binary(path) as file:
        return pd.read_csv(file, **options)


def _in_chunks(path: Path, options: dict[str, Any]) -> Iterator[Any]:
    import pandas as pd

    with open_binary(path) as file:
        yield from pd.read_csv(file, **options)


def read_text_table(path: Path, header: Header, what: str, numbers: Sequence[int] = ()) -> pd.DataFrame:
    """Read a table whole, every field as text, missing values included; some columns as `numbers` where they are."""
    with reading(path, what):
        table = cast("pd.DataFrame", read_delimited(
            path, header, keep_default_na=False, na_values={i: list(MISSING) for i in numbers}, low_memory=False,
            dtype={i: str for i in range(len(header.names)) if i not in numbers}, float_precision="high",
        ))  # fmt: skip
    table.columns = unique_names(header.names)
    return table


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of columns, repeated ones with a suffix, as pandas gives them."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        n_before = seen.get(name, 0)
        seen[name] = n_before + 1
        result.append(f"{name}.{n_before}" if n_before else name)
    return result


def typed(text: pd.Series, decimal: str = ".") -> pd.Series:
    """Return a column of text as numbers or truth values where every field is one; missing values become NaN."""
    import pandas as pd

    if not (text.dtype == object or pd.api.types.is_string_dtype(text)):
        return text
    code, distinct = pd.factorize(text)  # text repeats, and is slow to look at
    stripped = pd.Series(as_text(distinct), dtype=object)
    values = stripped.where(~stripped.isin(MISSING))
    words = set(values.dropna().str.casefold())
    if words and words <= {"true", "false"} and not values.isna().any():
        values = values.str.casefold() == "true"
    else:
        with suppress(ValueError, TypeError, OverflowError):
            values = pd.to_numeric(values.str.replace(",", ".", regex=False) if decimal == "," else values)
    return values.reindex(code).set_axis(text.index)


def require_columns(names: Sequence[str], needed: Sequence[str], path: Path, advice: str = REDOWNLOAD_HINT) -> None:
    """Raise `InputError` for columns that a table lacks."""
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {join_names(missing)}; {advice}")
