"""Xenium: cells with the counts of their transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spacex._infra.errors import InputError
from spacex.io._files import join_names
from spacex.io._joining import join_positions
from spacex.io._positions import read_positions
from spacex.io._readers.visium import read_10x
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a Xenium output folder"
FILES: tuple[str, ...] = (
    "*cell_feature_matrix.h5",
    "*cell_feature_matrix",
    "*cells.csv.gz",
    "*cells.csv",
    "*cells.parquet",
)
_MATRICES = ("cell_feature_matrix.h5", "cell_feature_matrix")
_CELLS = ("cells.csv", "cells.parquet")
"""CSV before parquet, which needs an extra."""

_COLUMNS = ("cell_area", "nucleus_area")


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of cells."""
    return request.is_folder and bool(request.folder.parts(*_MATRICES))


def read(request: Request) -> AnnData:
    """Read genes (no controls, no codewords) and the centroids of the cells."""
    request.refuse_bin()
    folder = request.folder
    matrix = folder.one(*_MATRICES)
    cells = folder.beside(matrix, *_CELLS)
    if not cells:
        raise InputError(
            f"path='{folder.path}' has none of {join_names(_CELLS)}; copy the vendor's whole output folder"
        )
    adata = join_positions(read_10x(matrix.path), read_positions(cells[0]))
    adata.obs = adata.obs[[column for column in _COLUMNS if column in adata.obs]]
    return adata
