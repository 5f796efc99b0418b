"""Visium: the folder of Space Ranger, or its files side by side with the name of a sample in front, as in GEO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._infra.errors import InputError
from spacex.io._bounds import check_settings
from spacex.io._files import join_names, open_binary, reading
from spacex.io._folder import SEPARATORS, Folder
from spacex.io._joining import join_positions
from spacex.io._matrix_market import read_matrix_market
from spacex.io._positions import read_positions
from spacex.io._request import Request
from spacex.io._ten_x import is_10x_h5, read_10x_h5

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a Space Ranger outs/ folder"
FILES: tuple[str, ...] = (
    "*_feature_bc_matrix.h5",
    "*_feature_bc_matrix",
    "*tissue_positions*.csv",
    "*tissue_positions*.parquet",
)
MATRIX = "filtered_feature_bc_matrix.h5"
MATRICES = tuple(f"{kind}_feature_bc_matrix{form}" for form in (".h5", "") for kind in ("filtered", "raw"))
"""HDF5 before the folder of a MatrixMarket, filtered before raw."""

_FLAT = "matrix.mtx"
"""The MatrixMarket without its folder, which is Visium where positions of Visium are there too."""

POSITIONS = tuple(f"tissue_positions{kind}" for kind in (".csv", "_list.csv", "*.csv", "*.parquet"))
"""CSV before parquet, which needs an extra."""

INSIDE = ("spatial", "")
"""Where positions and images are: in a folder of this name, or beside the counts."""

MAX_JSON = 2**20  # bytes of the file of scale factors, which has some hundreds
_SPACE_RANGER = ["in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of Space Ranger."""
    return request.is_folder and holds_matrix(request.folder)


def holds_matrix(folder: Folder) -> bool:
    """Whether a folder holds a matrix of Space Ranger, of whatever sample."""
    return bool(folder.parts(*MATRICES) or (folder.parts(_FLAT) and folder.parts(*POSITIONS, inside=INSIDE)))


def read(request: Request) -> AnnData:
    """Read a section: counts, positions, images and scale factors."""
    request.refuse_bin()
    return read_space_ranger(request.folder)


def read_space_ranger(folder: Folder) -> AnnData:
    """Read a folder that has a matrix, and positions in ``spatial/`` or beside the matrix."""
    matrix = folder.one(*MATRICES, _FLAT)
    positions = folder.beside(matrix, *POSITIONS, inside=INSIDE)
    if not positions:
        names = ("tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions.parquet")
        raise InputError(
            f"path='{folder.path}' has none of {join_names(names)} for {matrix.path.name}; "
            f"copy the vendor's whole output "
            "folder"
        )
    adata = join_positions(read_10x(matrix.path), read_positions(positions[0], needed=_SPACE_RANGER))
    library = folder.path.resolve()
    name = matrix.sample.before.strip(SEPARATORS) if not matrix.is_alone else ""
    adata.uns["spatial"] = {
        name or (library.parent if library.name == "outs" else library).name: read_images(
            lambda file: folder.beside(matrix, file, inside=INSIDE)
        )
    }
    return adata


def read_10x(matrix: Path) -> AnnData:
    """Read the counts of 10x Genomics in HDF5, or as a MatrixMarket or its folder."""
    return read_10x_h5(matrix) if is_10x_h5(matrix) else read_matrix_market(matrix)


def read_images(find: Callable[[str], list[Path]]) -> dict[str, Any]:
    """What scanpy and squidpy expect in ``uns["spatial"][library]``, as far as `find` has the files."""
    from matplotlib.image import imread

    entry: dict[str, Any] = {"images": {}, "scalefactors": {}, "metadata": {}}
    for factors in find("scalefactors_json.json")[:1]:
        with reading(factors, "JSON file"), open_binary(factors) as file:
            entry["scalefactors"] = check_settings(json.loads(file.read(MAX_JSON)), factors)
    for kind in ("hires", "lowres"):
        for image in find(f"tissue_{kind}_image.png")[:1]:
            with reading(image, "PNG image"), open_binary(image) as file:
                entry["images"][kind] = imread(file, format="png")
    return entry
