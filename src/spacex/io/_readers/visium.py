"""Visium: the folder of Space Ranger, or its files side by side with the name of a sample in front, as in GEO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._check import InputError
from spacex.io._bounds import check_settings
from spacex.io._delimited import open_binary
from spacex.io._files import listed, reading
from spacex.io._folder import Folder, one_of, samples
from spacex.io._joining import place
from spacex.io._matrix_market import read_matrix_market
from spacex.io._positions import read_positions
from spacex.io._request import Request
from spacex.io._ten_x import read_10x_h5

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

_POSITIONS = (
    "tissue_positions.csv*", "tissue_positions_list.csv*", "tissue_positions*.csv*", "tissue_positions*.parquet"
)  # fmt: skip
"""CSV before parquet, which needs an extra."""

MAX_JSON = 2**20  # bytes of the file of scale factors, which has some hundreds
_SPACE_RANGER = ["in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]


def sniff(request: Request) -> bool:
    """Whether a folder holds a matrix of Space Ranger."""
    return request.is_folder and bool(matrices(request.folder))


def matrices(folder: Folder) -> list[Path]:
    """The counts of a folder, the best form first; none where only matrices of other forms are there."""
    return _best(folder, MATRICES)


def _best(folder: Folder, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        held = [path for path in folder.glob(name) if path.is_dir() != name.endswith(".h5")]
        if held:
            return held
    return []


def read(request: Request) -> AnnData:
    """Read a section: counts, positions, images and scale factors."""
    request.refuse_bin()
    return read_space_ranger(request.folder)


def read_space_ranger(folder: Folder) -> AnnData:
    """Read a folder that has a matrix, and positions in ``spatial/`` or beside the matrix."""
    matrix = one_of(matrices(folder), "count matrices", folder, MATRICES)
    sample = matrix.name[: min(matrix.name.index(name) for name in MATRICES if name in matrix.name)]
    positions_file = _positions_file(folder, sample)
    adata = read_matrix_market(matrix) if matrix.is_dir() else read_10x_h5(matrix)
    adata = place(adata, read_positions(positions_file, needed=_SPACE_RANGER))
    adata.uns["spatial"] = {_library(folder, sample): read_images(folder, sample)}
    return adata


def _library(folder: Folder, sample: str) -> str:
    """Name of the section: that of the sample, or of the folder above ``outs/``."""
    if sample and folder.sample is not None:
        return sample.rstrip("._- ")
    path = folder.path.resolve()
    return path.parent.name if path.name == "outs" else path.name


def _positions_file(folder: Folder, sample: str) -> Path:
    """The file of positions, of the same sample where several are there."""
    held = folder.glob(*_POSITIONS, inside=("spatial", ""))
    own = [path for path in held if path.name.startswith(sample)] or held
    if not own:
        names = ("tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions.parquet")
        raise InputError(f"path='{folder.path}' has none of {listed(names)}; copy the vendor's whole output folder")
    if len(samples(own, ["tissue_positions"])) > 1:
        return one_of(own, "files of positions", folder, ["tissue_positions"])
    return own[0]


def read_images(folder: Folder, sample: str = "") -> dict[str, Any]:
    """What scanpy and squidpy expect in ``uns["spatial"][library]``, as far as the files are there."""
    from matplotlib.image import imread

    entry: dict[str, Any] = {"images": {}, "scalefactors": {}, "metadata": {}}
    inside = ("spatial", "")
    if factors := _own(folder.glob("scalefactors_json.json*", inside=inside), sample):
        with reading(factors, "JSON file"), open_binary(factors) as file:
            entry["scalefactors"] = check_settings(json.loads(file.read(MAX_JSON)), factors)
    for kind in ("hires", "lowres"):
        if image := _own(folder.glob(f"tissue_{kind}_image.png*", inside=inside), sample):
            with reading(image, "PNG image"), open_binary(image) as file:
                entry["images"][kind] = imread(file, format="png")
    return entry


def _own(paths: list[Path], sample: str) -> Path | None:
    """The file of a sample, or the first where none has its name."""
    return next((path for path in paths if path.name.startswith(sample)), paths[0] if paths else None)
