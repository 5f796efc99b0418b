"""Zarr stores of an AnnData or of a SpatialData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spacex.io._anndata import is_zarr_store, read_zarr_store
from spacex.io._readers.visium_hd import DEFAULT_BIN
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a .zarr store (AnnData or SpatialData)"
FILES: tuple[str, ...] = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata", "*.zarr")


def sniff(request: Request) -> bool:
    """Whether a folder is a zarr store."""
    return is_zarr_store(request.path)


def read(request: Request) -> AnnData:
    """Read a section; of a SpatialData the table named ``table``, that of the bins asked for, or the only one."""
    return read_zarr_store(request.path, DEFAULT_BIN if request.bin is None else str(request.bin))
