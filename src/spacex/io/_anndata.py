"""Files that hold an AnnData already: ``.h5ad``, ``.zarr``, and the table of a SpatialData store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError, check_extra
from spacex.io._files import UNDERSTOOD, listed, reading, require_hdf5

if TYPE_CHECKING:
    from anndata import AnnData


def read_h5ad_file(path: Path) -> AnnData:
    """Read an AnnData from HDF5."""
    import anndata
    import h5py

    require_hdf5(path)
    with reading(path, ".h5ad file"):
        with h5py.File(path, "r") as file:
            missing = [name for name in ("obs", "var") if name not in file]
        if missing:
            raise InputError(f"path='{path}' is HDF5 but not AnnData ({listed(missing)} missing); pass {UNDERSTOOD}")
        return anndata.read_h5ad(path)


def read_zarr_store(path: Path, bin: str) -> AnnData:
    """Read an AnnData, or the table of a SpatialData: the one named ``table``, of `bin`, or the only one."""
    import anndata

    with reading(path, ".zarr store"):
        if (path / "obs").is_dir() and (path / "var").is_dir():
            return anndata.read_zarr(path)
        tables = path / "tables" if (path / "tables").is_dir() else path / "table"
        names = sorted(entry.name for entry in tables.iterdir() if entry.is_dir()) if tables.is_dir() else []
        if not names:
            raise InputError(f"path='{path}' is a zarr store with neither an AnnData nor a SpatialData table in it")
        chosen = [name for name in ("table", f"square_{bin}") if name in names]
        if len(names) > 1 and not chosen:
            raise InputError(
                f"path='{path}' is a SpatialData store with the tables {listed(names)}, none named 'table'; "
                f"read one of them: anndata.read_zarr('{tables / names[0]}')"
            )
        return _read_spatialdata(path, tables / [*chosen, names[0]][0])


def _read_spatialdata(path: Path, table_path: Path) -> AnnData:
    """Read one table of a SpatialData store; its coordinates are those of the elements that it annotates."""
    import anndata

    table = anndata.read_zarr(table_path)
    if "spatial" in table.obsm:
        return table
    check_extra("spatialdata", extra="io", purpose=f"path='{path}': finding the coordinates of a SpatialData table")
    import numpy as np
    import pandas as pd
    import spatialdata

    attrs = table.uns["spatialdata_attrs"]
    regions = np.atleast_1d(attrs["region"]).astype(str)
    data = spatialdata.read_zarr(path)
    centroids = [spatialdata.get_centroids(data[region]).compute() for region in regions]
    where = pd.concat(centroids, keys=list(regions))[["x", "y"]]
    keys = pd.MultiIndex.from_arrays([table.obs[attrs["region_key"]].astype(str), table.obs[attrs["instance_key"]]])
    table.obsm["spatial"] = where.reindex(keys).to_numpy(dtype=float)
    return table
