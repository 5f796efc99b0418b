"""Vizgen MERSCOPE.

Files: ``cell_by_gene*.csv`` and ``cell_metadata*.csv``, of one region or several.
Read: counts, cell centroids in micrometers, and all columns of the metadata.
Ignored: blank barcodes, cells in only one of the tables, and all other files.
"""

from __future__ import annotations

import re

from anndata import AnnData

from spacex.io._counts import make_gene_names_unique, read_count_table, select_genes
from spacex.io._position_join import join_positions
from spacex.io._positions import read_positions
from spacex.io._request import Request

LAYOUT = "a MERSCOPE folder"
FILES: tuple[str, ...] = ("*cell_by_gene*.csv", "*cell_metadata*.csv")
COPY_HINT = "copy the vendor's whole folder"
_COUNTS, _CELLS = "cell_by_gene{}.csv", "cell_metadata{}.csv"
_XY = ["center_x", "center_y"]
_CONTROLS = re.compile("blank", re.IGNORECASE)


def sniff(request: Request) -> bool:
    """Whether a folder holds one of the two tables."""
    return request.is_folder and bool(request.folder.find(_COUNTS, _CELLS))


def read(request: Request) -> AnnData:
    """Read the section."""
    request.reject_bin()
    counts_entry = request.folder.require(_COUNTS, hint=COPY_HINT)
    cells_path = request.folder.require_sibling(counts_entry, _CELLS, hint=COPY_HINT)
    counts = read_count_table(counts_entry.path)
    counts = select_genes(counts, [_CONTROLS.match(name) is None for name in counts.var_names])
    adata = join_positions(counts, read_positions(cells_path, xy=_XY), drop_unmatched=True)
    return make_gene_names_unique(categorize_fov(adata), counts_entry.path)


def categorize_fov(adata: AnnData) -> AnnData:
    """Make ``obs["fov"]`` categorical, or remove it if it is empty, as after a new segmentation."""
    if "fov" in adata.obs:
        if adata.obs["fov"].isna().all():
            del adata.obs["fov"]
        else:
            adata.obs["fov"] = adata.obs["fov"].astype(str).astype("category")
    return adata
