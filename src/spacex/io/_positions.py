"""Coordinate tables: which columns are x and y, which one names the spots, and joining them to counts."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spacex._check import InputError, check_extra, check_finite
from spacex.io._counts import transposed
from spacex.io._delimited import Header, is_number, read_header, read_text_table, require_columns, typed
from spacex.io._files import COPY_AGAIN, listed, reading
from spacex.io._identifiers import (
    MIN_SHARE,
    NAME_CLASSES,
    Found,
    as_text,
    identifier_column,
    is_identifier_name,
    is_row_number_name,
    name_class,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger("spacex")

# Pairs of x and y that are in use, the best first: a table may have pixels, micrometers and array indices side by side.
_PAIRS = (
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("imagecol", "imagerow"),
    ("x_centroid", "y_centroid"),
    ("center_x", "center_y"),
    ("centerx_global_px", "centery_global_px"),
    ("x_global_px", "y_global_px"),
    ("x_slide_mm", "y_slide_mm"),
    ("sdimx", "sdimy"),
    ("pixel_x", "pixel_y"),
    ("xcoord", "ycoord"),
    ("x_coord", "y_coord"),
    ("coord_x", "coord_y"),
    ("x_coordinate", "y_coordinate"),
    ("x_position", "y_position"),
    ("x_location", "y_location"),
    ("pos_x", "pos_y"),
    ("centroid_x", "centroid_y"),
    ("centroid_col", "centroid_row"),
    ("x_um", "y_um"),
    ("x_mm", "y_mm"),
    ("x_px", "y_px"),
    ("global_x", "global_y"),
    ("spatial_x", "spatial_y"),
    ("spatial1", "spatial2"),
    ("spatial_1", "spatial_2"),
    ("x", "y"),
    ("array_col", "array_row"),
    ("col", "row"),
)
_LETTER_X = re.compile(r"(?<![a-z])x(?![a-z])|x$")
_REDUCED = re.compile(r"umap|tsne|pca|local")
_SPACE_RANGER = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_HEADLESS = {6: _SPACE_RANGER, 3: ["barcode", "x", "y"]}
_PLACE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
_PLACE_COLUMN = "x and y"
MAX_COLUMNS = 200  # of a coordinate table; a wider one holds counts


class Positions(NamedTuple):
    """A coordinate table as text, and the names of its columns x and y."""

    table: pd.DataFrame
    xy: list[str]
    source: Path
    decimal: str = "."
    identifier: str | None = None
    """The column that names the spots, where it is known."""

    @property
    def identifiers(self) -> dict[str, pd.Series]:
        """The columns that may name the spots: all but coordinates; where spots are named ``10x12``, also x and y."""
        if self.identifier is not None:
            return {self.identifier: self.table[self.identifier]}
        pairs = {name for pair in _PAIRS for name in pair} | {name.casefold() for name in self.xy}
        columns = {
            str(name): self.table[name] for name in self.table.columns if str(name).strip().casefold() not in pairs
        }
        folded_names = {str(name).casefold(): name for name in self.table.columns}
        if {"x", "y"} <= set(folded_names):
            x, y = (self.table[folded_names[name]].astype(str) for name in ("x", "y"))
            columns[_PLACE_COLUMN] = x + "x" + y
        return columns

    def find(self, identifiers: Sequence[str]) -> Found | None:
        """The column that names these spots and their rows in it, or None where none of them is named."""
        return identifier_column(self.identifiers, identifiers, self.source)


def known_pair(columns: Sequence[str]) -> list[str] | None:
    """Return the columns that are x and y, or None where no pair is known.

    A pair in use; else the only two columns whose names differ by the letters x and y alone, such as ``bead_x`` and
    ``bead_y``.
    """
    column_of = {str(column).strip().casefold(): column for column in columns}
    known = ([column_of[x], column_of[y]] for x, y in _PAIRS if x in column_of and y in column_of)
    unlike = [
        [column_of[name], column_of[other]]
        for name in column_of
        if (other := re.sub(_LETTER_X, "y", name)) != name and other in column_of and not _REDUCED.search(name)
    ]
    return next(known, unlike[0] if len(unlike) == 1 else None)


def is_positions(path: Path) -> bool:
    """Whether the first lines of `path` are those of a coordinate table."""
    if path.suffix.casefold() == ".parquet":
        return "position" in path.name
    header = read_header(path)
    return len(header.names) <= MAX_COLUMNS and known_pair(_headless(header) or header.names) is not None


def _headless(header: Header) -> list[str] | None:
    """Names for the columns of a file whose first line is a spot already: old Space Ranger, or name, x, y."""
    first = header.names
    if len(first) < 2 or not all(map(is_number, first[1:])) or "" in first[1:]:
        return None
    return _HEADLESS.get(len(first))


def read_positions(path: Path, *, xy: list[str] | None = None, needed: Sequence[str] = ()) -> Positions:
    """Read a coordinate table, with or without header; `xy` names x and y where the vendor does.

    An error where it lacks columns that are `needed`.
    """
    table, decimal = _read_frame(path)
    require_columns(list(table.columns), [*needed, *(xy or ())], path, "export the table of coordinates again")
    xy = xy or known_pair(list(table.columns))
    if xy is None:
        raise InputError(
            f"coordinates='{path}' has the columns {listed(list(table.columns)[:12])}, none known as x and y; name two "
            "of them x and y"
        )
    positions = Positions(table, xy, path, decimal)
    if not positions.identifiers or (len(table.columns) == 2 and _PLACE_COLUMN not in positions.identifiers):
        raise InputError(f"coordinates='{path}' has x and y but no names of spots; add a column 'barcode'")
    return positions


def _read_frame(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if path.suffix.casefold() == ".parquet":
        check_extra("pyarrow", extra="io", purpose=f"coordinates='{path}': reading parquet")
        with reading(path, "parquet file"):
            table = pd.read_parquet(path)
        if table.index.name is not None or table.index.dtype == object:
            table = table.reset_index()
        return table, "."
    header = read_header(path)
    if (names := _headless(header)) is not None:
        header = header.without_header(names)
    return read_text_table(path, header, "coordinate table"), header.decimal


def orient(counts: AnnData, positions: Positions, source: Path) -> AnnData:
    """Turn a table of counts so that its rows are the spots that `positions` names, and name the rows so."""
    rows = {name: positions.find(names) for name, names in _row_names(counts).items()}
    name = max(rows, key=lambda name: _evidence(rows[name]))
    column = positions.find(counts.var_names.tolist())
    evidence = _evidence(rows[name]), _evidence(column)
    if evidence[0] == evidence[1]:
        said = "both sides name spots alike" if column else "neither side names a spot"
        raise InputError(
            f"path='{source}' and coordinates='{positions.source}' do not fit: {said} (rows such as "
            f"{_first(counts.obs_names)}, columns such as {_first(counts.var_names)}, coordinates such as "
            f"{_example(positions)}); name spots in both alike"
        )
    if evidence[0] < evidence[1]:
        return transposed(counts)
    counts.obs_names = _row_names(counts)[name]
    counts.obs = counts.obs[[column for column in counts.obs if column != name and not is_row_number_name(column)]]
    return counts


def _evidence(found: Found | None) -> tuple[bool, int, float]:
    """How well a column of coordinates names a side of the counts: by many names, in a column meant for names."""
    if found is None:
        return False, -len(NAME_CLASSES), 0.0
    return found.match.share >= MIN_SHARE, -name_class(found.column), found.match.share


def _row_names(counts: AnnData) -> dict[str, list[str]]:
    """The names of rows, and columns of text that may be them, which stand on the left of a table of counts."""
    columns = {str(name): counts.obs[name].astype(str).tolist() for name in counts.obs.columns}
    return {"": counts.obs_names.tolist(), **columns}


def _first(names: pd.Index) -> str:
    return repr(names[0]) if len(names) else "none"


def _example(positions: Positions) -> str:
    """The first value of the column that most likely names the spots."""
    columns = positions.identifiers
    name = next((name for name in columns if is_identifier_name(name) and name), next(iter(columns)))
    return repr(as_text(columns[name][:1])[0]) if len(positions.table) else "none"


def place(adata: AnnData, positions: Positions, *, partly: bool = False) -> AnnData:
    """Write ``obsm["spatial"]`` and the other columns of the coordinate table; `partly` drops what has no position."""
    check_unique_rows(adata)
    found = positions.find(adata.obs_names.tolist())
    row = found.match.row if found is not None else np.full(adata.n_obs, -1)
    if found is not None:
        _check_unique_positions(positions, found, adata.obs_names)
    absent = row < 0
    if absent.all() or (absent.any() and not partly):
        raise InputError(
            f"path='{positions.source}' has no position for {int(absent.sum())} of the {adata.n_obs} spots of the "
            f"counts (such as {adata.obs_names[absent][0]!r}); copy counts and coordinates of one run"
        )
    assert found is not None
    if found.match.spelling:
        logger.info("%s: spots found by %r, %s", positions.source.name, found.column, found.match.spelling)
    if absent.any():
        logger.info("%s: %d of %d cells have no position and are left out", positions.source.name,
                    int(absent.sum()), len(absent))  # fmt: skip
        adata = adata[~absent].copy()
    write_positions(adata, positions, row[~absent], found.column)
    return adata


def check_unique_rows(adata: AnnData) -> None:
    """Raise `InputError` where names of spots repeat."""
    if adata.obs_names.has_duplicates:
        raise InputError(
            f"counts repeat spot {adata.obs_names[adata.obs_names.duplicated()][0]!r}; leave one row of it"
        )


def _check_unique_positions(positions: Positions, found: Found, names: pd.Index) -> None:
    """Raise `InputError` where one of the spots has two rows that differ."""
    import pandas as pd

    named = pd.Series(as_text(positions.identifiers[found.column]), index=positions.table.index)
    repeated = named[named.duplicated(keep=False) & named.isin(names)]
    columns = [name for name in positions.table.columns if not is_row_number_name(name) or name == found.column]
    rows = positions.table.loc[repeated.index, columns].drop_duplicates()
    if len(rows) > repeated.nunique():
        first = repeated.loc[rows.index][repeated.loc[rows.index].duplicated()].iloc[0]
        raise InputError(f"coordinates='{positions.source}' repeats {first!r} with other values; leave one row")


def write_positions(adata: AnnData, positions: Positions, row: np.ndarray, identifier: str) -> None:
    """Write ``obsm["spatial"]`` and ``obs`` from the rows (S,) of a coordinate table."""
    table = positions.table.iloc[row]
    try:
        values = [typed(table[name], positions.decimal).to_numpy(dtype=float) for name in positions.xy]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"path='{positions.source}' has a coordinate that is no number: {error}; {COPY_AGAIN}"
        ) from error
    xy = np.column_stack(values)
    check_finite(
        xy, name=f"path='{positions.source}', columns {listed(positions.xy)}", mend="leave such spots out"
    )  # fmt: skip
    adata.obsm["spatial"] = xy
    for column in table.columns.drop(positions.xy):
        if column == identifier or is_row_number_name(column):
            continue
        adata.obs[str(column)] = typed(table[column], positions.decimal).to_numpy()
