"""Tables of coordinates: which columns are x and y, and which may name the spots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spacex import _adata
from spacex._infra.errors import InputError
from spacex._infra.validation import check_installed
from spacex.io._delimited import Header, is_number, read_header, read_text_table, require_columns
from spacex.io._files import join_names, reading
from spacex.io._identifiers import OTHER, Found, identifier_column, is_identifier_name, is_row_number_name, name_class
from spacex.io._spellings import Names, by_value

if TYPE_CHECKING:
    import pandas as pd

_NAMES_OF_PAIRS = frozenset(name for pair in (*_adata.COORDINATE_PAIRS, *_adata.ARRAY_PAIRS) for name in pair)
_GRID_PAIRS = (("x", "y"), ("new_x", "new_y"))
"""Columns of which spots of ST arrays have their names, such as 10x12."""

_LETTER_X = re.compile(r"(?<![a-z])x(?![a-z])|x$")
_REDUCED = re.compile(r"umap|tsne|pca|local")
_SPACE_RANGER = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_HEADLESS = {6: _SPACE_RANGER, 3: ["barcode", "x", "y"]}
GRID_NAME = re.compile(r"X?(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
MAX_COLUMNS = 200  # of a coordinate table; a wider one holds counts


@dataclass(frozen=True)
class Positions:
    """A coordinate table.

    Attributes
    ----------
    table
        Columns as text, or as numbers where they cannot name spots.
    xy
        Names of the columns x and y.
    source
        The file.
    decimal
        Sign before the decimals of numbers in text.
    identifier
        The column that names the spots, where it is known.
    """

    table: pd.DataFrame
    xy: list[str]
    source: Path
    decimal: str = "."
    identifier: str | None = None

    @cached_property
    def identifiers(self) -> dict[str, Names]:
        """The columns that may name the spots: all but coordinates and measurements."""
        if self.identifier is not None:
            return {self.identifier: Names(self.table[self.identifier])}
        return {
            str(name): Names(column)
            for name, column in self.table.items()
            if name not in self.xy and not _is_coordinate(name, column) and not _is_fraction(column)
        }

    @cached_property
    def grid_names(self) -> dict[str, Names]:
        """Names of spots made of their places in an array."""
        column_of = {str(name).casefold(): self.table[name].astype(str) for name in self.table.columns}
        pairs = [(x, y) for x, y in _GRID_PAIRS if x in column_of and y in column_of]
        return {
            f"{x} and {y}": Names(column_of[x].map(_grid_value) + "x" + column_of[y].map(_grid_value)) for x, y in pairs
        }

    def find(self, names: Names, *, certain: bool = False) -> Found | None:
        """The column that names these spots and their rows in it, or None where none of them is named."""
        columns: Mapping[str, Names] = self.identifiers
        if self.identifier is None and len(names.text) and GRID_NAME.fullmatch(names.text[0]):
            columns = {**columns, **self.grid_names}
        return identifier_column(columns, names, self.source, certain=certain)


def _grid_value(text: str) -> str:
    return by_value(text.strip())


def _is_coordinate(name: object, column: pd.Series) -> bool:
    """Whether a column has the name of a coordinate and holds numbers; R names one with the names of rows X."""
    if str(name).strip().casefold() not in _NAMES_OF_PAIRS:
        return False
    return len(column) == 0 or is_number(str(column.iloc[0]))


def _is_fraction(column: pd.Series) -> bool:
    """Whether a column holds measurements: numbers that are not whole."""
    return column.dtype.kind == "f" and bool((column % 1 > 0).any())


def known_pair(columns: Sequence[str]) -> list[str] | None:
    """Return the columns that are x and y, or None where no pair is known.

    A pair in use; else the only two columns whose names differ by the letters x and y alone, such as ``bead_x`` and
    ``bead_y``; else rows and columns of an array.
    """
    column_of: dict[str, str] = {}
    for column in sorted(map(str, columns), key=lambda name: name != name.casefold()):  # "x" before the "X" of R
        column_of.setdefault(column.strip().casefold(), column)
    usual, array = (
        [[column_of[x], column_of[y]] for x, y in pairs if x in column_of and y in column_of]
        for pairs in (_adata.COORDINATE_PAIRS, _adata.ARRAY_PAIRS)
    )
    unlike = [
        [column_of[name], column_of[other]]
        for name in column_of
        if not _REDUCED.search(name)
        for letter in _LETTER_X.finditer(name)
        if (other := f"{name[: letter.start()]}y{name[letter.end() :]}") in column_of
    ]
    return next(iter([*usual, *(unlike if len(unlike) == 1 else []), *array]), None)


def is_positions(path: Path) -> bool:
    """Whether the first lines of `path` are those of a coordinate table."""
    if path.suffix.casefold() == ".parquet":
        return "position" in path.name
    header = read_header(path)
    return len(header.names) <= MAX_COLUMNS and known_pair(_headless(header) or header.names) is not None


def _headless(header: Header) -> list[str] | None:
    """Names for the columns of a file whose first line is a spot already: old Space Ranger, or name, x, y."""
    first = header.names
    if len(first) < 2 or not all(map(is_number, first[1:])) or "" in first:
        return None
    in_tissue = {row[1].strip() for row in (first, *header.rows) if len(row) > 1}
    if len(first) == len(_SPACE_RANGER) and not in_tissue <= {"0", "1"}:
        return None
    return None if name_class(first[0]) != OTHER else _HEADLESS.get(len(first))


def read_positions(path: Path, *, xy: list[str] | None = None, needed: Sequence[str] = ()) -> Positions:
    """Read a coordinate table, with or without header; `xy` names x and y where the vendor does.

    An error where it lacks columns that are `needed`. Rows that repeat another one are left out.
    """
    table, decimal = _read_frame(path)
    require_columns(list(table.columns), [*needed, *(xy or ())], path, "export the table of coordinates again")
    xy = xy or known_pair(list(table.columns))
    if xy is None:
        raise InputError(
            f"coordinates='{path}' has the columns {join_names(list(table.columns)[:12])}, "
            f"none known as x and y; name two "
            "of them x and y"
        )
    positions = Positions(_without_repeats(table), xy, path, decimal)
    if not positions.identifiers and not positions.grid_names:
        raise InputError(f"coordinates='{path}' has x and y but no names of spots; add a column 'barcode'")
    return positions


def _read_frame(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if path.suffix.casefold() == ".parquet":
        check_installed("pyarrow", extra="io", purpose=f"coordinates='{path}': reading parquet")
        with reading(path, "parquet file"):
            table = pd.read_parquet(path)
        if table.index.name is not None or table.index.dtype == object:
            table = table.reset_index()
        return table, "."
    header = read_header(path)
    if (names := _headless(header)) is not None:
        header = header.without_header(names)
    fields = zip(*header.rows, strict=False)
    measured = [
        i for i, (name, column) in enumerate(zip(header.names, fields, strict=False)) if _is_measured(name, column)
    ]
    return read_text_table(path, header, "coordinate table", numbers=measured), header.decimal


def _is_measured(name: str, fields: Sequence[str]) -> bool:
    """Whether a column holds measurements, by the first ones: numbers with decimals, and no name of identifiers."""
    is_fraction = [is_number(field) and "." in field for field in fields]
    return all(is_fraction) and any(float(field) % 1 for field in fields) and not is_identifier_name(name)


def _without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out rows that repeat another one, but for the numbers of rows."""
    columns = [name for name in table if not (is_row_number_name(name) and Names(table[name].head()).is_numeric)]
    if any(table[name].is_unique for name in columns):
        return table
    return table[~table.duplicated(columns)]
