"""NanoString CosMx: a table of counts and a table about cells, in the flat files that AtoMx exports.

Read directly: spatialdata-io reads them with the whole dense table in memory, and needs images and label folders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._infra.errors import InputError
from spacex.io._counts import read_count_table, unique_genes
from spacex.io._delimited import read_header, require_columns
from spacex.io._identifiers import is_row_number_name
from spacex.io._joining import join_positions
from spacex.io._positions import Positions, read_positions
from spacex.io._readers.merscope import pair_of_tables, with_fields_of_view, without_controls
from spacex.io._request import Request
from spacex.io._spellings import as_text, by_value

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LAYOUT = "a CosMx folder"
FILES: tuple[str, ...] = ("*exprMat_file.csv*", "*metadata_file.csv*")
_COUNTS, _CELLS = "exprMat_file.csv", "metadata_file.csv"
_XY = ["CenterX_global_px", "CenterY_global_px"]
_KEYS = ["cell_ID", "fov"]
_UNIQUE = "cell"
"""A name of the cell over all slides of a study, which newer exports have in both tables."""

_CONTROLS = re.compile("Negative|NegPrb|SystemControl")
_KEY_COLUMN = "cell_name"


def sniff(request: Request) -> bool:
    """Whether a folder holds one of the two tables."""
    return request.is_folder and bool(request.folder.parts(_COUNTS, _CELLS))


def read(request: Request) -> AnnData:
    """Read genes (no controls) and the cells that both tables have, named ``cell_fov``."""
    request.refuse_bin()
    counts_path, cells_path = pair_of_tables(request.folder, _COUNTS, _CELLS)
    columns = read_header(counts_path).names
    require_columns(columns, _KEYS, counts_path, "export the flat files again")
    labels = [name for name in columns if name == _UNIQUE or is_row_number_name(name)]
    counts = read_count_table(counts_path, labels=[*_KEYS, *labels])
    positions = read_positions(cells_path, xy=_XY, needed=_KEYS)
    adata = _joined(without_controls(counts, _CONTROLS), positions, counts_path)
    for name in _KEYS:
        adata.obs[name] = adata.obs[name].astype(str)
    return unique_genes(with_fields_of_view(adata), counts_path)


def _joined(counts: AnnData, positions: Positions, path: Path) -> AnnData:
    """Join the tables by field of view and cell; where these repeat, as over several slides, by the unique name."""
    cells = positions.table.copy()
    tables = (counts.obs, cells)
    keys = [_key(table, _KEYS) for table in tables]
    if all(_UNIQUE in table for table in tables):
        names = [table[_UNIQUE].astype(str) for table in tables]
        if any(name.nunique() > key.nunique() for name, key in zip(names, keys, strict=True)):
            keys = names
    key, cells[_KEY_COLUMN] = keys
    counts = _without_repeats(counts, key, path)
    # Newer exports repeat "cell" as "cell_id", which differs from "cell_ID" in case alone: SpatialData and file
    # systems that ignore case would refuse the pair.
    table = cells.drop(columns=["cell_id"], errors="ignore")
    counts.obs = counts.obs[[]]
    # A row of cell 0 has what lies outside of all cells; segmentation may have dropped others.
    return join_positions(counts, replace(positions, table=table, identifier=_KEY_COLUMN), partly=True)


def _key(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Numbers of the cell and of its field of view in one name: cells are numbered within their field."""
    import pandas as pd

    numbers = ([by_value(text) for text in as_text(table[name])] for name in columns)
    return pd.Series(["_".join(parts) for parts in zip(*numbers, strict=True)], index=table.index, dtype=object)


def _without_repeats(counts: AnnData, key: pd.Series, path: Path) -> AnnData:
    """Name cells by their key, and leave out rows that repeat another one; an error where their counts differ."""
    counts.obs_names = key.tolist()
    is_repeated = counts.obs_names.duplicated()
    if not is_repeated.any():
        return counts
    first = counts[~is_repeated].copy()
    again = counts[is_repeated]
    same = first[again.obs_names].X
    if (same != again.X).nnz:
        raise InputError(
            f"path='{path}' repeats cell {again.obs_names[0]!r} (cell_ID_fov) with other counts; export one slide at a "
            "time, or with the column 'cell'"
        )
    return first
