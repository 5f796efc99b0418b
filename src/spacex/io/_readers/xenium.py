"""10x Genomics Xenium.

Files: ``cell_feature_matrix.h5`` or the folder ``cell_feature_matrix/``, with ``cells.csv`` or ``cells.parquet``.
Read: counts of genes, cell centroids in micrometers, and the areas of cells and nuclei.
Ignored: controls and codewords, other columns of the cells, and all other files.
"""

from __future__ import annotations

from anndata import AnnData

from spacex.io._position_join import join_positions
from spacex.io._positions import read_positions
from spacex.io._readers.visium import COPY_HINT, read_10x
from spacex.io._request import Request

LAYOUT = "a Xenium output folder"
FILES: tuple[str, ...] = ("*cell_feature_matrix.h5", "*cell_feature_matrix", "*cells.csv*", "*cells.parquet")
_MATRICES = ("cell_feature_matrix.h5", "cell_feature_matrix")
_CELLS = ("cells.csv", "cells.parquet")  # parquet last, which needs an extra
_COLUMNS = ("cell_area", "nucleus_area")


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of cells."""
    return request.is_folder and bool(request.folder.find(*_MATRICES))


def read(request: Request) -> AnnData:
    """Read the section."""
    request.reject_bin()
    matrix = request.folder.require(*_MATRICES)
    cells = request.folder.require_sibling(matrix, *_CELLS, hint=COPY_HINT)
    adata = join_positions(read_10x(matrix.path), read_positions(cells))
    adata.obs = adata.obs[[column for column in _COLUMNS if column in adata.obs]]
    return adata
