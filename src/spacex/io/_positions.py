"""Coordinate tables: recognition of the columns of x, of y, and of spot names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_installed
from spacex.io._files import join_names, translate_errors
from spacex.io._identifier_columns import (
    OTHER,
    find_identifier_column,
    is_identifier_name,
    is_row_name_column,
    name_class,
)
from spacex.io._name_matching import NameMatch, Names, by_value
from spacex.io._text_tables import Header, is_number, read_header, read_text_table, require_columns

_COORDINATE_NAMES = frozenset(name for pair in (*_adata.COORDINATE_PAIRS, *_adata.ARRAY_PAIRS) for name in pair)
_ARRAY_NAME_PAIRS = (("x", "y"), ("new_x", "new_y"))
"""Columns that make up the names of the spots of ST arrays, such as 10x12."""

_LETTER_X = re.compile(r"(?<![a-z])x(?![a-z])|x$")
_NOT_SPATIAL = re.compile(r"umap|tsne|pca|local")
_SPACE_RANGER = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_WITHOUT_HEADER = {6: _SPACE_RANGER, 3: ["barcode", "x", "y"]}
"""Columns of tables without header, by their number."""

ARRAY_NAME = re.compile(r"X?(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
"""Spot names of ST arrays, made of the position in the array."""

MAX_COLUMNS = 200  # of a coordinate table; a wider one holds counts


@dataclass(frozen=True)
class Positions:
    """A coordinate table.

    Attributes
    ----------
    table
        Columns as text, or as numbers if they are measurements.
    xy
        Names of the columns of x and y.
    source
        The file.
    decimal
        Decimal sign of numbers in text columns.
    identifier
        The column of spot names, if known.
    """

    table: pd.DataFrame
    xy: list[str]
    source: Path
    decimal: str = "."
    identifier: str | None = None

    @cached_property
    def identifiers(self) -> dict[str, Names]:
        """The columns that may name the spots: all except coordinates and measurements."""
        if self.identifier is not None:
            return {self.identifier: Names(self.table[self.identifier])}
        return {
            str(name): Names(column)
            for name, column in self.table.items()
            if name not in self.xy and not _is_coordinate(name, column) and not _is_fractional(column)
        }

    @cached_property
    def array_names(self) -> dict[str, Names]:
        """Spot names made of array positions, such as 10x12."""
        columns = {str(name).casefold(): self.table[name].astype(str) for name in self.table.columns}
        values = {
            name: columns[name].map(lambda text: by_value(text.strip()))
            for pair in _ARRAY_NAME_PAIRS
            for name in pair
            if set(pair) <= set(columns)
        }
        return {f"{x} and {y}": Names(values[x] + "x" + values[y]) for x, y in _ARRAY_NAME_PAIRS if x in values}

    def match_column(self, names: Names, *, exact_only: bool = False) -> NameMatch | None:
        """Return the column that holds these spot names and their rows, or None; see `find_identifier_column`."""
        columns: Mapping[str, Names] = self.identifiers
        if self.identifier is None and len(names.text) and ARRAY_NAME.fullmatch(names.text[0]):
            columns = {**columns, **self.array_names}
        return find_identifier_column(columns, names, self.source, exact_only=exact_only)


def _is_coordinate(name: object, column: pd.Series) -> bool:
    """Whether a column has the name of a coordinate and holds numbers; R names a column of row names X."""
    if str(name).strip().casefold() not in _COORDINATE_NAMES:
        return False
    return len(column) == 0 or is_number(str(column.iloc[0]))


def _is_fractional(column: pd.Series) -> bool:
    return column.dtype.kind == "f" and bool((column % 1 > 0).any())


def coordinate_columns(columns: Sequence[str]) -> list[str] | None:
    """Return the columns of x and y, or None.

    In this order: a pair of names that tools use; the only two columns whose names differ just by the letters x and
    y, such as ``bead_x`` and ``bead_y``; the rows and columns of an array.
    """
    column_of: dict[str, str] = {}
    for column in sorted(map(str, columns), key=lambda name: name != name.casefold()):  # "x" before the "X" of R
        column_of.setdefault(column.strip().casefold(), column)
    usual, array = (
        [[column_of[x], column_of[y]] for x, y in pairs if x in column_of and y in column_of]
        for pairs in (_adata.COORDINATE_PAIRS, _adata.ARRAY_PAIRS)
    )
    similar = [
        [column_of[name], column_of[other]]
        for name in column_of
        if not _NOT_SPATIAL.search(name)
        for letter in _LETTER_X.finditer(name)
        if (other := f"{name[: letter.start()]}y{name[letter.end() :]}") in column_of
    ]
    return next(iter([*usual, *(similar if len(similar) == 1 else []), *array]), None)


def is_position_table(path: Path) -> bool:
    """Whether the first lines of a file are those of a coordinate table."""
    if path.suffix.casefold() == ".parquet":
        return "position" in path.name
    header = read_header(path)
    return len(header.names) <= MAX_COLUMNS and coordinate_columns(_add_names(header).names) is not None


def _add_names(header: Header) -> Header:
    """Name the columns of a table without header: Space Ranger before 2.0, or spot name, x and y."""
    first = header.names
    if len(first) < 2 or not all(map(is_number, first[1:])) or "" in first or name_class(first[0]) != OTHER:
        return header
    in_tissue = {row[1].strip() for row in (first, *header.rows) if len(row) > 1}
    if len(first) not in _WITHOUT_HEADER or (len(first) == len(_SPACE_RANGER) and not in_tissue <= {"0", "1"}):
        return header
    return header.without_header(_WITHOUT_HEADER[len(first)])


def read_positions(path: Path, *, xy: list[str] | None = None, required: Sequence[str] = ()) -> Positions:
    """Read a coordinate table, with or without header.

    Parameters
    ----------
    path
        Delimited text or parquet.
    xy
        Names of the columns of x and y. None: they are recognized.
    required
        Other columns that the table must have.

    Returns
    -------
    Positions
        The table without repeated rows.

    Raises
    ------
    InputError
        A column is missing, or no column can hold spot names.
    """
    table, decimal = _read_frame(path)
    require_columns(list(table.columns), [*required, *(xy or ())], path, "export the coordinate table again")
    xy = xy or coordinate_columns(list(table.columns))
    if xy is None:
        raise InputError(
            f"coordinates='{path}' has the columns {join_names(list(table.columns)[:12])}, no known pair of x and y; "
            "name two of them x and y"
        )
    positions = Positions(_drop_repeated_rows(table), xy, path, decimal)
    if not positions.identifiers and not positions.array_names:
        raise InputError(f"coordinates='{path}' has x and y but no spot names; add a column 'barcode'")
    return positions


def _read_frame(path: Path) -> tuple[pd.DataFrame, str]:
    """Return a table and the decimal sign of its text columns."""
    if path.suffix.casefold() == ".parquet":
        check_installed("pyarrow", extra="io", purpose=f"coordinates='{path}': reading parquet")
        with translate_errors(path, "parquet file"):
            table = pd.read_parquet(path)
        if table.index.name is not None or table.index.dtype == object:
            table = table.reset_index()
        return table, "."
    header = _add_names(read_header(path))
    columns = zip(header.names, zip(*header.rows, strict=False), strict=False)
    measurements = [i for i, (name, fields) in enumerate(columns) if _is_measurement(name, fields)]
    return read_text_table(path, header, "coordinate table", numbers=measurements), header.decimal


def _is_measurement(name: str, fields: Sequence[str]) -> bool:
    """Whether the first fields of a column are numbers with decimals, and its name is not that of identifiers."""
    is_decimal = [is_number(field) and "." in field for field in fields]
    return all(is_decimal) and any(float(field) % 1 for field in fields) and not is_identifier_name(name)


def _drop_repeated_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Drop rows that repeat another one, except for row numbers."""
    columns = [name for name in table if not (is_row_name_column(name) and Names(table[name].head()).is_numeric)]
    if any(table[name].is_unique for name in columns):
        return table
    return table[~table.duplicated(columns)]
