"""10x Genomics Visium.

Files: the output folder of Space Ranger, or its files side by side, with or without the name of a sample in front, as
in GEO: ``filtered_`` or ``raw_feature_bc_matrix``, ``tissue_positions``, scale factors and images.
Read: counts of genes, spot positions in pixels of the full-resolution image and in the array, the hires and lowres
images, and the scale factors.
Ignored: other features than genes, spots outside of the tissue, and all other files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anndata import AnnData

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, open_binary, translate_errors
from spacex.io._folder import Folder, strip_separators
from spacex.io._matrix_market import read_matrix_market
from spacex.io._position_join import join_positions
from spacex.io._positions import read_positions
from spacex.io._request import Request
from spacex.io._ten_x import is_10x_h5, read_10x_h5

LAYOUT = "a Space Ranger outs/ folder"
FILES: tuple[str, ...] = ("*_feature_bc_matrix.h5", "*_feature_bc_matrix", "*tissue_positions*.*")
COPY_HINT = "copy the vendor's whole output folder"
MATRIX = "filtered_feature_bc_matrix.h5"
_MATRICES = tuple(f"{kind}_feature_bc_matrix{suffix}" for suffix in (".h5", "") for kind in ("filtered", "raw"))
_FLAT_MATRIX = "matrix.mtx"
"""MatrixMarket outside of its usual folder, which is Visium only if there are positions of Visium."""

POSITIONS = tuple(f"tissue_positions{end}" for end in (".csv", "_list.csv", "*.csv", "*.parquet"))
"""Parquet comes last, which needs an extra."""

SUBFOLDERS = ("spatial", "")
"""Folders of positions and images, relative to the counts."""

MAX_JSON = 2**20  # bytes of the scale factors; usual files have some hundred
_COLUMNS = ["in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of Space Ranger."""
    return request.is_folder and has_matrix(request.folder)


def has_matrix(folder: Folder) -> bool:
    """Whether a folder holds a matrix of Space Ranger, of any sample."""
    return bool(
        folder.find(*_MATRICES) or (folder.find(_FLAT_MATRIX) and folder.find(*POSITIONS, subfolders=SUBFOLDERS))
    )


def read(request: Request) -> AnnData:
    """Read the section."""
    request.reject_bin()
    return read_space_ranger(request.folder)


def read_space_ranger(folder: Folder) -> AnnData:
    """Read a folder with a matrix, and with positions and images in ``spatial/`` or beside the matrix."""
    matrix = folder.require(*_MATRICES, _FLAT_MATRIX)
    positions = folder.require_sibling(matrix, *POSITIONS, subfolders=SUBFOLDERS, hint=COPY_HINT)
    adata = join_positions(read_10x(matrix.path), read_positions(positions, required=_COLUMNS))
    library = strip_separators(matrix.sample.prefix) if not matrix.is_only_sample else ""
    adata.uns["spatial"] = {
        library or run_name(folder.path): read_images(lambda name: folder.siblings(matrix, name, subfolders=SUBFOLDERS))
    }
    return adata


def run_name(outs: Path) -> str:
    """Return the name of an output folder, or of its parent if it is named ``outs``."""
    path = outs.resolve()
    return (path.parent if path.name == "outs" else path).name


def read_10x(matrix: Path) -> AnnData:
    """Read 10x counts in HDF5, or as a MatrixMarket file or its folder."""
    return read_10x_h5(matrix) if is_10x_h5(matrix) else read_matrix_market(matrix)


def read_images(find: Callable[[str], list[Path]]) -> dict[str, Any]:
    """Read images and scale factors, as scanpy and squidpy expect them in ``uns["spatial"][library]``.

    `find` returns the files with a usual name, the best one first; missing files are skipped.
    """
    from matplotlib.image import imread

    entry: dict[str, Any] = {"images": {}, "scalefactors": {}, "metadata": {}}
    for path in find("scalefactors_json.json")[:1]:
        with translate_errors(path, "JSON file"), open_binary(path) as file:
            factors = json.loads(file.read(MAX_JSON))
        if not isinstance(factors, dict) or not all(isinstance(value, (int, float, str)) for value in factors.values()):
            raise InputError(f"path='{path}' is not a JSON object of numbers and strings; {REDOWNLOAD_HINT}")
        entry["scalefactors"] = factors
    for kind in ("hires", "lowres"):
        for path in find(f"tissue_{kind}_image.png")[:1]:
            with translate_errors(path, "PNG image"), open_binary(path) as file:
                entry["images"][kind] = imread(file, format="png")
    return entry
