"""Vizgen MERSCOPE and NanoString CosMx: a CSV of counts and a CSV about cells, joined by the cell.

The two tables are read directly. spatialdata-io reads them too, but with the whole dense table in memory, and needs
images, label folders and transcripts beside them; names of files and columns are those that it (0.7) and the vendors'
releases have.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spacex._check import InputError
from spacex.io._counts import read_count_table, read_header, unique_genes
from spacex.io._files import listed, reading
from spacex.io._positions import Positions, place

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


class CellTables(NamedTuple):
    """How a vendor lays out counts and cells in two files."""

    vendor: str
    counts: str
    cells: str
    xy: list[str]
    keys: list[str]  # columns that name a cell; none: the first, whose name changed over the releases
    controls: re.Pattern[str]


MERSCOPE = CellTables(
    "MERSCOPE",
    "cell_by_gene.csv",
    "cell_metadata.csv",
    ["center_x", "center_y"],
    [],
    re.compile("blank", re.IGNORECASE),
)
COSMX = CellTables(
    "CosMx",
    "exprMat_file.csv",
    "metadata_file.csv",
    ["CenterX_global_px", "CenterY_global_px"],
    ["cell_ID", "fov"],
    re.compile("Negative|NegPrb|SystemControl"),
)
VENDORS = (MERSCOPE, COSMX)


def find_tables(folder: Path, vendor: CellTables) -> dict[str, list[Path]]:
    """Return the files of counts and of cells, whatever name of a sample stands before theirs."""
    return {
        name: sorted(path for form in ("", ".gz") for path in folder.glob(f"*{name}{form}"))
        for name in (vendor.counts, vendor.cells)
    }


def read_cell_tables(folder: Path, vendor: CellTables) -> AnnData:
    """Read the two tables of `vendor` from `folder`: genes only, and the cells that both have."""
    found = find_tables(folder, vendor)
    for name, paths in found.items():
        if len(paths) != 1:
            said = f"holds several {name}, {listed(p.name for p in paths)}; leave one"
            raise InputError(
                f"path='{folder}' {said if paths else f'lacks {name} (or .gz); copy the whole {vendor.vendor} folder'}"
            )
    counts_path, cells_path = (paths[0] for paths in found.values())
    counts = _read_merscope_counts(counts_path) if vendor is MERSCOPE else _read_cosmx_counts(counts_path)
    counts = counts[:, [vendor.controls.match(name) is None for name in counts.var_names]].copy()
    cells = _read_cells(cells_path, vendor)
    # Counts may have cells that segmentation dropped, and CosMx a "cell 0" for what lies outside of all.
    adata = place(counts, Positions(cells, vendor.xy, cells_path), partly=True)
    if "fov" in adata.obs:
        adata.obs["fov"] = adata.obs["fov"].astype(str).astype("category")
    return unique_genes(adata, counts_path)


def _read_merscope_counts(path: Path) -> AnnData:
    return read_count_table(path)  # the first column is "cell", unnamed in older releases


def _read_cosmx_counts(path: Path) -> AnnData:
    """Read counts; cells are numbered within their field of view, so both make the name: ``cell_fov``."""
    columns = read_header(path).names
    missing = [name for name in COSMX.keys if name not in columns]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {listed(missing)}; export the flat files again")
    counts = read_count_table(path, labels=[name for name in ("cell_ID", "fov", "cell") if name in columns])
    counts.obs_names = counts.obs["cell_ID"] + "_" + counts.obs["fov"]
    del counts.obs
    return counts


def _read_cells(path: Path, vendor: CellTables) -> pd.DataFrame:
    """Return what is known of the cells by their names, which are text: MERSCOPE's do not fit a float."""
    import pandas as pd

    header = read_header(path)
    keys = vendor.keys or header.names[:1]
    missing = [name for name in [*keys, *vendor.xy] if name not in header.names]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {listed(missing)}; export the cells' table again")
    with reading(path, "table of cells"):
        cells = pd.read_csv(
            path,
            sep=header.delimiter,
            header=None,
            skiprows=1,
            names=header.names,
            index_col=False,
            dtype=dict.fromkeys(keys, str),
            encoding="utf-8-sig",
        )
    cells.index = pd.Index(cells[keys].agg("_".join, axis=1) if vendor.keys else cells[keys[0]], name=None)
    if cells.index.has_duplicates:
        raise InputError(f"path='{path}' repeats cell {cells.index[cells.index.duplicated()][0]!r}; leave one row")
    # The index has MERSCOPE's one key. Newer CosMx exports repeat "cell" as "cell_id", which differs from "cell_ID" in
    # case alone: SpatialData and file systems that ignore case would refuse the pair.
    return cells.drop(columns=["cell_id"] if vendor.keys else keys, errors="ignore")
