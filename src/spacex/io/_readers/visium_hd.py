"""10x Genomics Visium HD.

Files: ``binned_outputs/square_*/``, each a Visium folder; ``segmented_outputs/`` (Space Ranger 4) with
``*_feature_cell_matrix`` and ``cell_segmentations.geojson``.
Read: the bins of one size as for Visium; or the cells, with the centroids of their outlines in pixels of the
full-resolution image and their areas.
Ignored: bins of other sizes, bins outside of the tissue, nuclei, and all other files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, join_names, open_binary, translate_errors
from spacex.io._folder import Folder
from spacex.io._name_matching import Names, match_names
from spacex.io._readers.visium import MATRIX, SUBFOLDERS, has_matrix, read_10x, read_images, read_space_ranger, run_name
from spacex.io._request import Request

LAYOUT = "a Visium HD folder with binned_outputs/ or segmented_outputs/"
FILES: tuple[str, ...] = ("binned_outputs", "segmented_outputs", "square_0*", "*cell_segmentations.geojson")
DEFAULT_BIN = "008um"
CELLS = "cells"
_MATRICES = tuple(f"{kind}_feature_cell_matrix{suffix}" for suffix in (".h5", "") for kind in ("filtered", "raw"))
_OUTLINES = ("cell_segmentations.geojson", "*cell_segmentations*.geojson")


def sniff(request: Request) -> bool:
    """Whether a folder holds bins or segmented cells."""
    return request.is_folder and (_bins_folder(request.path) or _cells_folder(request.path)) is not None


def _bins_folder(path: Path) -> Path | None:
    """Return the folder that contains those of the bins."""
    if (path / "binned_outputs").is_dir():
        return path / "binned_outputs"
    return path if any(entry.is_dir() for entry in path.glob("square_*")) else None


def _cells_folder(path: Path) -> Path | None:
    folders = (path, path / "segmented_outputs")
    return next((folder for folder in folders if folder.is_dir() and Folder(folder).find(*_MATRICES)), None)


def read(request: Request) -> AnnData:
    """Read bins of one size, or the cells if ``bin="cells"`` or there are no bins."""
    bins, cells = _bins_folder(request.path), _cells_folder(request.path)
    if cells is not None and (request.bin == CELLS or (bins is None and request.bin is None)):
        return _read_cells(request.with_path(cells).folder)
    size = _bin_size(request.bin)
    squares = sorted(entry.name for entry in bins.glob("square_*") if entry.is_dir()) if bins is not None else []
    if bins is None or f"square_{size}" not in squares:
        sizes = [name.removeprefix("square_") for name in squares] + [CELLS] * (cells is not None)
        raise InputError(
            f"bin={size!r} is not in '{bins or request.path}'; pass one of {join_names(map(repr, sizes)) or 'no size'}"
        )
    folder = Folder(bins / f"square_{size}")
    if not has_matrix(folder):
        raise InputError(f"path='{folder.path}' lacks {MATRIX}; copy the whole binned_outputs/ folder")
    return read_space_ranger(folder)


def _bin_size(bin: str | int | None) -> str:
    """Return the size of the bins as in folder names: 8 and "8um" become "008um"."""
    if bin is None:
        return DEFAULT_BIN
    number = str(bin).removesuffix("um")
    return f"{int(number):03d}um" if number.isdecimal() else str(bin)


def _read_cells(folder: Folder) -> AnnData:
    """Read segmented cells with the centroids and areas of their outlines."""
    matrix = folder.require(*_MATRICES)
    outlines = folder.require_sibling(matrix, *_OUTLINES, hint="copy the whole segmented_outputs/ folder")
    adata = read_10x(matrix.path)
    with translate_errors(outlines, "GeoJSON file"), open_binary(outlines) as file:
        names, xy, area = _parse_outlines(json.load(file))
    row = match_names(Names(adata.obs_names), Names(names)).row
    if (row < 0).any():
        missing = adata.obs_names[row < 0]
        raise InputError(
            f"path='{outlines}' has no outline for {len(missing)} of the {adata.n_obs} cells (such as {missing[0]!r}); "
            "copy matrix and outlines of one run"
        )
    adata.obsm["spatial"], adata.obs["cell_area"] = xy[row], area[row]
    library = run_name(folder.path.resolve().parent)
    adata.uns["spatial"] = {library: read_images(lambda name: folder.siblings(matrix, name, subfolders=SUBFOLDERS))}
    return adata


def _parse_outlines(collection: Any) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names (C,), centroids (C, 2) and areas (C,) of the cells in a GeoJSON feature collection."""
    features = collection["features"]
    if not features:
        raise InputError(f"it holds no cells; {REDOWNLOAD_HINT}")
    names, centroids, areas = [], np.empty((len(features), 2)), np.empty(len(features))
    for i, feature in enumerate(features):
        properties, geometry = feature["properties"], feature["geometry"]
        cell = str(next(properties[key] for key in ("cell_id", "cellid", "id") if key in properties))
        names.append(f"cellid_{int(cell):09d}-1" if cell.isdecimal() else cell)
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        centroids[i], areas[i] = _centroid([np.asarray(polygon[0], dtype=float)[:, :2] for polygon in polygons])
    return names, centroids, areas


def _centroid(rings: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the centroid (2,) and area of polygons from their outer rings (n, 2), by the shoelace formula."""
    total_area, moment = 0.0, np.zeros(2)
    for ring in rings:
        origin = ring[0]
        a, b = ring - origin, np.roll(ring, -1, axis=0) - origin
        cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        area = cross.sum() / 2
        if area:
            center = origin + ((a + b) * cross[:, None]).sum(axis=0) / (6 * area)
            total_area, moment = total_area + abs(area), moment + abs(area) * center
    return (moment / total_area, total_area) if total_area else (np.concatenate(rings).mean(axis=0), 0.0)
