"""Coordinate tables: which column names the spots, which are x and y, and joining them to counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spacex._check import InputError, check_extra, check_finite
from spacex.io._counts import read_header
from spacex.io._files import COPY_AGAIN, listed, reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

# Pairs of x and y that are in use, the best first: a table may have pixels, micrometres and array indices side by side.
_PAIRS = (
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("imagecol", "imagerow"),
    ("x_centroid", "y_centroid"),
    ("center_x", "center_y"),
    ("centerx_global_px", "centery_global_px"),
    ("pixel_x", "pixel_y"),
    ("xcoord", "ycoord"),
    ("x_coord", "y_coord"),
    ("coord_x", "coord_y"),
    ("x_um", "y_um"),
    ("spatial_x", "spatial_y"),
    ("spatial1", "spatial2"),
    ("x", "y"),
    ("array_col", "array_row"),
    ("col", "row"),
)
_NAMES = ("barcode", "barcodes", "cell_id", "cell", "spot", "spot_id", "entityid", "name", "id", "")
_SPACE_RANGER = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
_WIDEST = 200  # columns; what has more is counts


class Positions(NamedTuple):
    """Where spots lie: a table by name, and the names of its columns x and y."""

    table: pd.DataFrame
    xy: list[str]
    source: Path
    outside: frozenset[str] = frozenset()  # spots off the tissue


def known_pair(columns: list[str]) -> list[str] | None:
    """Return the columns that are x and y, or None where no pair is known."""
    folded = {column.casefold(): column for column in columns}
    pairs = ([folded[x], folded[y]] for x, y in _PAIRS if x in folded and y in folded)
    return next(pairs, None)


def is_positions(path: Path) -> bool:
    """Whether the first line of `path` is that of a coordinate table."""
    if path.suffix == ".parquet":
        return "position" in path.name
    names = read_header(path).names
    return len(names) <= _WIDEST and (known_pair(names) is not None or _headless(names) is not None)


def _headless(first: list[str]) -> list[str] | None:
    """Return names for the columns of a file whose first line is already a spot: old Space Ranger, or name, x, y."""
    try:
        [float(value) for value in first[1:]]
    except ValueError:
        return None
    return {6: _SPACE_RANGER, 3: ["barcode", "x", "y"]}.get(len(first))


def read_positions(path: Path) -> Positions:
    """Read a coordinate table, with or without header."""
    table = _read_frame(path)
    pair = known_pair(list(table.columns))
    if pair is None:
        raise InputError(
            f"coordinates='{path}' has the columns {listed(list(table.columns)[:12])}, none known as x and y; name two "
            "of them x and y"
        )
    named = [column for name in _NAMES for column in table.columns if str(column).casefold() == name]
    spare = [column for column in table.columns if column not in pair]
    if not spare:
        raise InputError(f"coordinates='{path}' has x and y but no names of spots; add a column 'barcode'")
    name = next((column for column in named if column in spare), spare[0])
    table = table.set_index(name)
    table.index = table.index.astype(str)
    if table.index.has_duplicates:
        raise InputError(f"coordinates='{path}' repeats {table.index[table.index.duplicated()][0]!r}; leave one row")
    outside = table.index[table["in_tissue"] == 0] if "in_tissue" in table else []
    return Positions(table, pair, path, frozenset(outside))


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".parquet":
        check_extra("pyarrow", extra="io", purpose=f"coordinates='{path}': reading parquet")
        with reading(path, "parquet file"):
            return pd.read_parquet(path)
    header = read_header(path)
    headless = _headless(header.names)
    columns = headless or header.names
    named = [i for i, column in enumerate(columns) if column.casefold() in _NAMES] or [0]
    with reading(path, "coordinate table"):
        table = pd.read_csv(
            path,
            sep=header.delimiter,
            header=None,
            skiprows=0 if headless else 1,
            names=range(len(columns)),
            index_col=False,
            dtype=dict.fromkeys(named, str),
            encoding="utf-8-sig",
        )
    table.columns = columns
    return table


def orient(counts: AnnData, positions: Positions, source: Path) -> AnnData:
    """Turn a table of counts so that its rows are the spots that `positions` names."""
    known = positions.table.index
    rows, columns = (float(names.isin(known).mean()) for names in (counts.obs_names, counts.var_names))
    if rows == columns:
        said = "both sides name spots alike" if rows else "neither side names a spot"
        raise InputError(
            f"path='{source}' and coordinates='{positions.source}' do not fit: {said} (rows such as "
            f"{counts.obs_names[0]!r}, columns such as {counts.var_names[0]!r}, coordinates such as "
            f"{(*known, 'none')[0]!r}); name spots in both alike"
        )
    if rows > columns:
        return counts
    turned = counts.T.copy()
    turned.X = turned.X.tocsr()
    return turned


def place(adata: AnnData, positions: Positions, *, partly: bool = False) -> AnnData:
    """Write ``obsm["spatial"]`` and the other columns of the coordinate table; `partly` drops what has no position."""
    if adata.obs_names.has_duplicates:
        raise InputError(
            f"counts repeat spot {adata.obs_names[adata.obs_names.duplicated()][0]!r}; leave one row of it"
        )
    absent = ~adata.obs_names.isin(positions.table.index)
    if absent.all() or (absent.any() and not partly):
        raise InputError(
            f"path='{positions.source}' has no position for {int(absent.sum())} of the {adata.n_obs} spots of the "
            f"counts (such as {adata.obs_names[absent][0]!r}); copy counts and coordinates of one run"
        )
    dropped = absent | adata.obs_names.isin(list(positions.outside))
    if dropped.any():
        adata = adata[~dropped].copy()
    table = positions.table.loc[adata.obs_names]
    try:
        xy = table[positions.xy].to_numpy(dtype=float)
    except ValueError as error:
        raise InputError(
            f"path='{positions.source}' has a coordinate that is no number: {error}; {COPY_AGAIN}"
        ) from error
    check_finite(xy, name=f"path='{positions.source}', columns {listed(positions.xy)}", mend="leave such spots out")
    adata.obsm["spatial"] = xy
    for column in table.columns.drop(positions.xy):
        adata.obs[str(column)] = table[column].to_numpy()
    return adata
