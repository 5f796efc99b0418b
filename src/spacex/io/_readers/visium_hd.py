"""Visium HD: squares of ``binned_outputs/``, and cells of ``segmented_outputs/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, join_names, open_binary, reading
from spacex.io._folder import Folder
from spacex.io._readers.visium import INSIDE, MATRIX, holds_matrix, read_10x, read_images, read_space_ranger
from spacex.io._request import Request
from spacex.io._spellings import Names, match

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a Visium HD folder with binned_outputs/ or segmented_outputs/"
FILES: tuple[str, ...] = (
    "binned_outputs",
    "segmented_outputs",
    "square_0*",
    "*feature_cell_matrix*",
    "*cell_segmentations.geojson",
)
DEFAULT_BIN = "008um"
CELLS = "cells"
_CELL_MATRICES = tuple(f"{kind}_feature_cell_matrix{form}" for form in (".h5", "") for kind in ("filtered", "raw"))
_OUTLINES = ("cell_segmentations.geojson", "*cell_segmentations*.geojson")


def sniff(request: Request) -> bool:
    """Whether a folder holds bins or segmented cells."""
    return request.is_folder and (_bins(request.path) is not None or _cells(request.path) is not None)


def _bins(path: Path) -> Path | None:
    """The folder of the bins' folders."""
    if (path / "binned_outputs").is_dir():
        return path / "binned_outputs"
    return path if any(entry.is_dir() for entry in path.glob("square_*")) else None


def _cells(path: Path) -> Path | None:
    """The folder of segmented cells."""
    folders = (path, path / "segmented_outputs")
    return next((folder for folder in folders if folder.is_dir() and Folder(folder).parts(*_CELL_MATRICES)), None)


def read(request: Request) -> AnnData:
    """Read bins of one size; cells where they are asked for, ``bin="cells"``, or nothing else is there."""
    bins, cells = _bins(request.path), _cells(request.path)
    if cells is not None and (request.bin == CELLS or (bins is None and request.bin is None)):
        return _read_cells(request.at(cells).folder)
    size = _size(request.bin)
    squares = sorted(entry.name for entry in bins.glob("square_*") if entry.is_dir()) if bins is not None else []
    if bins is None or f"square_{size}" not in squares:
        sizes = [name.removeprefix("square_") for name in squares] + [CELLS] * (cells is not None)
        raise InputError(
            f"bin={size!r} is not in '{bins or request.path}'; pass one of "
            f"{join_names(map(repr, sizes)) or 'none found'}"
        )
    folder = Folder(bins / f"square_{size}")
    if not holds_matrix(folder):
        raise InputError(f"path='{folder.path}' lacks {MATRIX}; copy the whole binned_outputs/ folder")
    return read_space_ranger(folder)


def _size(bin: str | int | None) -> str:
    """A size of bins as in the names of folders; 8 and "8um" are "008um"."""
    if bin is None:
        return DEFAULT_BIN
    number = str(bin).removesuffix("um")
    return f"{int(number):03d}um" if number.isdecimal() else str(bin)


def _read_cells(folder: Folder) -> AnnData:
    """Read segmented cells: counts, and the centroids of their outlines in pixels of the full-resolution image."""
    matrix = folder.one(*_CELL_MATRICES)
    outlines = folder.beside(matrix, *_OUTLINES)
    if not outlines:
        raise InputError(f"path='{folder.path}' lacks {_OUTLINES[0]}; copy the whole segmented_outputs/ folder")
    adata = read_10x(matrix.path)
    with reading(outlines[0], "GeoJSON file"), open_binary(outlines[0]) as file:
        names, xy, area = _outlines(json.load(file))
    row = match(Names(adata.obs_names), Names(names)).row
    if (row < 0).any():
        lost = adata.obs_names[row < 0]
        raise InputError(
            f"path='{outlines[0]}' has no outline for {len(lost)} of the {adata.n_obs} cells (such as {lost[0]!r}); "
            "copy matrix and outlines of one run"
        )
    adata.obsm["spatial"], adata.obs["cell_area"] = xy[row], area[row]
    parent = folder.path.resolve().parent
    name = parent.parent.name if parent.name == "outs" else parent.name
    adata.uns["spatial"] = {name: read_images(lambda file: folder.beside(matrix, file, inside=INSIDE))}
    return adata


def _outlines(collection: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names (C,), centroids (C, 2) and areas (C,) of the cells of a GeoJSON collection."""
    features = collection["features"]
    if not features:
        raise InputError(f"it holds no cells; {REDOWNLOAD_HINT}")
    names, centroids, areas = [], np.empty((len(features), 2)), np.empty(len(features))
    for i, feature in enumerate(features):
        properties, geometry = feature["properties"], feature["geometry"]
        cell = str(next(properties[key] for key in ("cell_id", "cellid", "id") if key in properties))
        names.append(f"cellid_{int(cell):09d}-1" if cell.isdecimal() else cell)
        parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        centroids[i], areas[i] = _centroid([np.asarray(part[0], dtype=float)[:, :2] for part in parts])
    return names, centroids, areas


def _centroid(rings: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Centroid (2,) and area of polygons from their outer rings (n, 2), by the shoelace formula."""
    total, moment = 0.0, np.zeros(2)
    for ring in rings:
        origin = ring[0]
        a, b = ring - origin, np.roll(ring, -1, axis=0) - origin
        cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        area = cross.sum() / 2
        if area:
            center = origin + ((a + b) * cross[:, None]).sum(axis=0) / (6 * area)
            total, moment = total + abs(area), moment + abs(area) * center
    return (moment / total, total) if total else (np.concatenate(rings).mean(axis=0), 0.0)
