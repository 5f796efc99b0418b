"""AnnData and SpatialData files.

Files: ``*.h5ad``, or a ``.zarr`` store of an AnnData or a SpatialData.
Read: all slots of the AnnData; of a SpatialData the table named ``table``, the one of `bin`, or the only one, with
coordinates from its shapes if it has none.
Ignored: other elements of a SpatialData, except the images that `to_spatialdata` wrote.
"""

from __future__ import annotations

from anndata import AnnData

from spacex.io._anndata import is_h5ad, is_zarr_store, read_h5ad_file, read_zarr_store
from spacex.io._readers.visium_hd import DEFAULT_BIN
from spacex.io._request import Request

LAYOUT = "a .h5ad file or a .zarr store (AnnData or SpatialData)"
FILES: tuple[str, ...] = ("*.h5ad", "zarr.json", ".zgroup", ".zattrs", ".zmetadata", "*.zarr")


def sniff(request: Request) -> bool:
    """Whether the input is a .h5ad file or a zarr store."""
    return is_h5ad(request.path) or is_zarr_store(request.path)


def read(request: Request) -> AnnData:
    """Read the section."""
    if is_zarr_store(request.path):
        return read_zarr_store(request.path, DEFAULT_BIN if request.bin is None else str(request.bin))
    request.reject_bin()
    return read_h5ad_file(request.path)
