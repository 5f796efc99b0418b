"""Vizgen MERSCOPE: a table of counts and a table about cells.

spatialdata-io reads these too, but with the whole dense table in memory, and needs images and transcripts beside them.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._infra.errors import InputError
from spacex.io._counts import read_count_table, unique_genes
from spacex.io._folder import Folder
from spacex.io._joining import join_positions
from spacex.io._positions import read_positions
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a MERSCOPE folder"
FILES: tuple[str, ...] = ("*cell_by_gene*.csv", "*cell_metadata*.csv")
_COUNTS, _CELLS = "cell_by_gene{}.csv", "cell_metadata{}.csv"
_XY = ["center_x", "center_y"]
_CONTROLS = re.compile("blank", re.IGNORECASE)


def sniff(request: Request) -> bool:
    """Whether a folder holds one of the two tables."""
    return request.is_folder and bool(request.folder.parts(_COUNTS, _CELLS))


def read(request: Request) -> AnnData:
    """Read genes (no blank barcodes) and the cells that both tables have."""
    request.refuse_bin()
    counts_path, cells_path = pair_of_tables(request.folder, _COUNTS, _CELLS)
    counts = without_controls(read_count_table(counts_path), _CONTROLS)
    positions = read_positions(cells_path, xy=_XY)
    # Counts may have cells that segmentation dropped.
    adata = join_positions(counts, positions, partly=True)
    return unique_genes(with_fields_of_view(adata), counts_path)


def pair_of_tables(folder: Folder, counts: str, cells: str) -> tuple[Path, Path]:
    """The table of counts of one sample, or region, and the table of its cells."""
    copy_all = "copy the vendor's whole folder"
    part = folder.one(counts, lacks=copy_all)
    own = folder.beside(part, cells)
    if not own:
        raise InputError(f"path='{folder.path}' lacks {cells.replace('{}', '')} for {part.path.name}; {copy_all}")
    return part.path, own[0]


def without_controls(counts: AnnData, controls: re.Pattern[str]) -> AnnData:
    """Return the genes: variables whose names do not begin like those of controls."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return counts[:, [controls.match(name) is None for name in counts.var_names]].copy()


def with_fields_of_view(adata: AnnData) -> AnnData:
    """Make ``obs["fov"]`` a category; one without values, as after a new segmentation, is left out."""
    if "fov" in adata.obs:
        if adata.obs["fov"].isna().all():
            del adata.obs["fov"]
        else:
            adata.obs["fov"] = adata.obs["fov"].astype(str).astype("category")
    return adata
