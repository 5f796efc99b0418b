"""Xenium: cells with the counts of their transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError
from spacex.io._files import listed
from spacex.io._folder import Folder, one_of
from spacex.io._joining import place
from spacex.io._matrix_market import read_matrix_market
from spacex.io._positions import read_positions
from spacex.io._request import Request
from spacex.io._ten_x import read_10x_h5

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
_CELLS = ("cells.csv.gz", "cells.csv", "cells.parquet")
"""CSV before parquet, which needs an extra."""

_COLUMNS = ("cell_area", "nucleus_area")


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of cells."""
    return request.is_folder and bool(_matrices(request.folder))


def _matrices(folder: Folder) -> list[Path]:
    for name in _MATRICES:
        held = [path for path in folder.glob(name) if path.is_dir() != name.endswith(".h5")]
        if held:
            return held
    return []


def read(request: Request) -> AnnData:
    """Read genes (no controls, no codewords) and the centroids of the cells."""
    request.refuse_bin()
    folder = request.folder
    matrix = one_of(_matrices(folder), "count matrices", folder, _MATRICES)
    sample = matrix.name[: matrix.name.index("cell_feature_matrix")]
    held = [path for path in folder.glob(*_CELLS) if path.is_file()]
    cells = [path for path in held if path.name.startswith(sample)] or held
    if not cells:
        raise InputError(f"path='{folder.path}' has none of {listed(_CELLS)}; copy the vendor's whole output folder")
    adata = read_matrix_market(matrix) if matrix.is_dir() else read_10x_h5(matrix)
    positions = read_positions(cells[0])
    adata = place(adata, positions)
    adata.obs = adata.obs[[column for column in _COLUMNS if column in adata.obs]]
    return adata
