"""NanoString CosMx.

Files: the flat files that AtoMx exports, ``*exprMat_file.csv`` and ``*metadata_file.csv``.
Read: counts, cell centroids in pixels, and all columns of the metadata; cells are named ``cell_fov``, or by the column
``cell`` if several slides repeat these names.
Ignored: controls, cell 0 (molecules outside of cells), cells in only one of the tables, and all other files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex.io._counts import make_gene_names_unique, read_count_table, select_genes
from spacex.io._identifier_columns import is_row_name_column
from spacex.io._name_matching import as_text, by_value
from spacex.io._position_join import join_positions
from spacex.io._positions import Positions, read_positions
from spacex.io._readers.merscope import COPY_HINT, categorize_fov
from spacex.io._request import Request
from spacex.io._text_tables import read_header, require_columns

LAYOUT = "a CosMx folder"
FILES: tuple[str, ...] = ("*exprMat_file.csv*", "*metadata_file.csv*")
_COUNTS, _CELLS = "exprMat_file.csv", "metadata_file.csv"
_XY = ["CenterX_global_px", "CenterY_global_px"]
_KEYS = ["cell_ID", "fov"]
_UNIQUE = "cell"
"""Name of a cell that is unique over all slides of a study; newer exports have it in both tables."""

_CONTROLS = re.compile("Negative|NegPrb|SystemControl")
_KEY_COLUMN = "cell_name"


def sniff(request: Request) -> bool:
    """Whether a folder holds one of the two tables."""
    return request.is_folder and bool(request.folder.find(_COUNTS, _CELLS))


def read(request: Request) -> AnnData:
    """Read the section."""
    request.reject_bin()
    counts_entry = request.folder.require(_COUNTS, hint=COPY_HINT)
    cells_path = request.folder.require_sibling(counts_entry, _CELLS, hint=COPY_HINT)
    counts_path = counts_entry.path
    columns = read_header(counts_path).names
    require_columns(columns, _KEYS, counts_path, "export the flat files again")
    labels = [name for name in columns if name == _UNIQUE or is_row_name_column(name)]
    counts = read_count_table(counts_path, labels=[*_KEYS, *labels])
    counts = select_genes(counts, [_CONTROLS.match(name) is None for name in counts.var_names])
    adata = _join(counts, read_positions(cells_path, xy=_XY, required=_KEYS), counts_path)
    for name in _KEYS:
        adata.obs[name] = adata.obs[name].astype(str)
    return make_gene_names_unique(categorize_fov(adata), counts_path)


def _join(counts: AnnData, positions: Positions, path: Path) -> AnnData:
    """Join the tables by field of view and cell, or by the unique name if it distinguishes more cells."""
    cells = positions.table.copy()
    tables = (counts.obs, cells)
    keys = [_make_key(table, _KEYS) for table in tables]
    if all(_UNIQUE in table for table in tables):
        names = [table[_UNIQUE].astype(str) for table in tables]
        if any(name.nunique() > key.nunique() for name, key in zip(names, keys, strict=True)):
            keys = names
    key, cells[_KEY_COLUMN] = keys
    counts = _drop_repeated_rows(counts, key, path)
    counts.obs = counts.obs[[]]
    # Newer exports repeat "cell" as "cell_id", which differs from "cell_ID" only in case: SpatialData and
    # case-insensitive file systems would reject the pair.
    table = cells.drop(columns=["cell_id"], errors="ignore")
    positions = replace(positions, table=table, identifier=_KEY_COLUMN)
    return join_positions(counts, positions, drop_unmatched=True)  # cell 0, and cells that segmentation dropped


def _make_key(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return names made of cell and field of view: cells are numbered within their field."""
    numbers = ([by_value(text) for text in as_text(table[name])] for name in columns)
    return pd.Series(["_".join(parts) for parts in zip(*numbers, strict=True)], index=table.index, dtype=object)


def _drop_repeated_rows(counts: AnnData, key: pd.Series, path: Path) -> AnnData:
    """Name cells by their key, and drop repeated rows; an error if their counts differ."""
    counts.obs_names = key.tolist()
    is_repeated = counts.obs_names.duplicated()
    if not is_repeated.any():
        return counts
    first, repeats = counts[~is_repeated].copy(), counts[is_repeated]
    if (first[repeats.obs_names].X != repeats.X).nnz:
        raise InputError(
            f"path='{path}' repeats cell {repeats.obs_names[0]!r} (cell_ID_fov) with other counts; export one slide at "
            "a time, or with the column 'cell'"
        )
    return first
