"""Output folders of 10x Genomics: Visium (Space Ranger), Visium HD, Xenium."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._check import InputError
from spacex._stored import read_json
from spacex.io._bounds import check_settings
from spacex.io._counts import unique_genes
from spacex.io._files import COPY_AGAIN, listed, read_table, reading, require_hdf5
from spacex.io._matrix_market import read_matrix_market

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MATRIX = "filtered_feature_bc_matrix.h5"
DEFAULT_BIN = "008um"
XENIUM_MATRIX = "cell_feature_matrix.h5"
_POSITION_FILES = ("tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions.parquet")
_CELL_FILES = ("cells.csv.gz", "cells.csv", "cells.parquet")
_CENTROID_XY = ["x_centroid", "y_centroid"]
_PIXEL_XY = ["pxl_col_in_fullres", "pxl_row_in_fullres"]
_POSITION_COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", *reversed(_PIXEL_XY)]


def read_visium(path: Path) -> AnnData:
    """Read a Space Ranger ``outs/`` folder; public downloads put the sample's name before the file's."""
    matrices = visium_matrices(path)
    if len(matrices) > 1:
        raise InputError(f"path='{path}' holds several count matrices, {listed(m.name for m in matrices)}; leave one")
    adata = read_matrix_market(matrices[0]) if matrices[0].is_dir() else read_10x_h5(matrices[0])
    source = _find(path / "spatial", _POSITION_FILES)
    positions = _visium_positions(source)
    _place(adata, positions, _PIXEL_XY, source)
    for column in ("in_tissue", "array_row", "array_col"):
        adata.obs[column] = positions.loc[adata.obs_names, column].to_numpy(dtype=int)
    adata = adata[adata.obs["in_tissue"] == 1].copy()
    name = path.resolve().parent.name if path.name == "outs" else path.resolve().name
    adata.uns["spatial"] = {name: _visium_images(path / "spatial")}
    return adata


def visium_matrices(path: Path) -> list[Path]:
    """Return the counts of a Space Ranger folder: HDF5 before the folder of a MatrixMarket, filtered before raw."""
    found = (
        sorted(place for place in path.glob(f"*{kind}_feature_bc_matrix{form}") if place.is_dir() != bool(form))
        for form in (".h5", "")
        for kind in ("filtered", "raw")
    )
    return next((places for places in found if places), [])


def _visium_positions(file: Path) -> pd.DataFrame:
    """Return the positions by barcode; only the newer releases of Space Ranger write a header."""
    positions = read_table(file, header_starts="barcode", columns=_POSITION_COLUMNS)
    _require_columns(positions, _POSITION_COLUMNS, file)
    return positions.set_index("barcode")


def _visium_images(folder: Path) -> dict[str, Any]:
    """Return what scanpy and squidpy expect in ``uns["spatial"][library]``, as far as the files are there."""
    from matplotlib.image import imread

    entry: dict[str, Any] = {"images": {}, "scalefactors": {}, "metadata": {}}
    factors = folder / "scalefactors_json.json"
    if factors.is_file():
        with reading(factors, "JSON file"):
            entry["scalefactors"] = check_settings(read_json(factors, mend=COPY_AGAIN), factors)
    for kind in ("hires", "lowres"):
        image = folder / f"tissue_{kind}_image.png"
        if image.is_file():
            with reading(image, "PNG image"):
                entry["images"][kind] = imread(image)
    return entry


def read_visium_hd(path: Path, bin: str) -> AnnData:
    """Read one bin size of a ``binned_outputs/`` folder; each is laid out as Space Ranger lays out Visium."""
    squares = sorted(entry.name for entry in path.glob("square_*") if entry.is_dir())
    if f"square_{bin}" not in squares:
        sizes = [name.removeprefix("square_") for name in squares]
        raise InputError(f"bin={bin!r} is not in '{path}'; pass one of {', '.join(map(repr, sizes)) or 'none found'}")
    if not visium_matrices(path / f"square_{bin}"):
        raise InputError(f"path='{path / f'square_{bin}'}' lacks {MATRIX}; copy the whole binned_outputs/ folder")
    return read_visium(path / f"square_{bin}")


def read_xenium(path: Path) -> AnnData:
    """Read a Xenium output folder: its genes (no controls, no codewords) and the centroids of its cells."""
    source = _find(path, _CELL_FILES)
    adata = read_10x_h5(path / XENIUM_MATRIX)
    cells = read_table(source)
    _require_columns(cells, ["cell_id", *_CENTROID_XY], source)
    _place(adata, cells.set_index("cell_id"), _CENTROID_XY, source)
    for column in ("cell_area", "nucleus_area"):
        if column in cells:
            adata.obs[column] = cells.set_index("cell_id").loc[adata.obs_names, column].to_numpy(dtype=float)
    return adata


def read_10x_h5(path: Path) -> AnnData:
    """Read a 10x matrix, its genes only, with unique names."""
    import scanpy

    require_hdf5(path)
    with reading(path, "10x matrix"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        adata = scanpy.read_10x_h5(path)
    return unique_genes(adata, path)


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of `names` that is in `folder`; CSV comes first, since it needs no extra."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"path='{folder}' has none of {listed(names)}; copy the vendor's whole output folder")


def _require_columns(table: pd.DataFrame, columns: list[str], file: Path) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"path='{file}' lacks the column(s) {listed(missing)}; {COPY_AGAIN}")


def _place(adata: AnnData, table: pd.DataFrame, columns: list[str], source: Path) -> None:
    """Write ``obsm["spatial"]`` from the rows of `table` that carry the names of the observations."""
    absent = ~adata.obs_names.isin(table.index)
    if absent.any():
        raise InputError(
            f"path='{source}' has no position for {int(absent.sum())} of the {adata.n_obs} barcodes of the "
            f"matrix (such as {adata.obs_names[absent][0]!r}); copy matrix and positions of one run"
        )
    if table.index.has_duplicates:
        raise InputError(f"path='{source}' repeats barcode {table.index[table.index.duplicated()][0]!r}; leave one row")
    adata.obsm["spatial"] = table.loc[adata.obs_names, columns].to_numpy(dtype=float)
