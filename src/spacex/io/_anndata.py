"""Files that hold an AnnData already: ``.h5ad``, ``.zarr``, and the table of a SpatialData store."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._infra.errors import InputError
from spacex._infra.memory import check_memory
from spacex._infra.validation import check_installed
from spacex.io._bounds import validate_arrays
from spacex.io._files import READABLE, join_names, reading, require_hdf5, unpacked
from spacex.io._spatialdata import IMAGES, from_spatialdata, restored

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("spacex")


def read_h5ad_file(path: Path, *, lazy: bool = False) -> AnnData:
    """Read an AnnData from HDF5; `lazy` leaves its matrices on disk."""
    with unpacked(path) as plain:
        require_hdf5(path, plain)
        if lazy and plain != path:
            raise InputError(f"path='{path}' is compressed, and lazy=True reads from the file; unpack it (gunzip)")
        return _read_h5ad(path, plain, lazy=lazy)


def _read_h5ad(path: Path, plain: Path, *, lazy: bool) -> AnnData:
    import anndata
    import h5py

    with reading(path, ".h5ad file"):
        with h5py.File(plain, "r") as file:
            missing = [name for name in ("obs", "var") if name not in file]
            if missing:
                raise InputError(
                    f"path='{path}' is HDF5 but not AnnData ({join_names(missing)} missing); pass {READABLE}"
                )
            if lazy:
                return _matrices_on_disk(file, path)
            _check_size(path, file)
        return validate_arrays(anndata.read_h5ad(plain), path)


def _check_size(path: Path, root: Any) -> None:
    """Raise `InputError` where the arrays of an open HDF5 file or zarr group, unpacked, would not fit in memory."""
    sizes: list[int] = []

    def add(name: str, element: Any) -> None:
        if getattr(element, "shape", None) is not None and hasattr(element, "dtype"):  # a null value has no shape
            sizes.append(math.prod(element.shape) * element.dtype.itemsize)

    if hasattr(root, "visititems"):
        root.visititems(add)
    else:
        for name, element in root.members(max_depth=None):
            add(name, element)
    check_memory(
        sum(sizes), what=f"path='{path}': reading it whole", hint="read it with lazy=True (spacex run: --lazy), which "
        "leaves counts on disk (extra scale), or where there is more",
    )  # fmt: skip


def _matrices_on_disk(root: Any, path: Path) -> AnnData:
    """An AnnData in an open HDF5 file or zarr group, with its matrices left there as Dask arrays."""
    from anndata.experimental import read_dispatched

    from spacex._adata import read_lazy

    def read(function: Callable[..., Any], name: str, element: Any, iospec: Any) -> Any:
        matrix = iospec.encoding_type in ("array", "csr_matrix", "csc_matrix")
        where = name.strip("/").split("/")
        stays = where in (["X"], ["raw", "X"]) or (where[0] == "layers" and len(where) == 2)
        return read_lazy(element) if matrix and stays else function(element)

    if "encoding-type" not in root.attrs:
        raise InputError(f"path='{path}' is of anndata before 0.8, and lazy=True reads later files; pass lazy=False")
    return read_dispatched(root, read)


ZARR_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")


def is_zarr_store(path: Path) -> bool:
    """Whether a folder is a zarr store."""
    return path.is_dir() and any((path / mark).exists() for mark in ZARR_MARKS)


def read_zarr_store(path: Path, bin: str, *, lazy: bool = False) -> AnnData:
    """Read an AnnData, or the table of a SpatialData: the one named ``table``, of `bin`, or the only one.

    `lazy` leaves the matrices of an AnnData on disk.
    """
    import anndata
    import zarr

    with reading(path, ".zarr store"):
        if (path / "obs").is_dir() and (path / "var").is_dir():
            root = zarr.open_group(path, mode="r")
            if lazy:
                return _matrices_on_disk(root, path)
            _check_size(path, root)
            return validate_arrays(anndata.read_zarr(path), path)
        if lazy:
            raise InputError(
                f"path='{path}' is not the store of an AnnData; lazy=True reads these and .h5ad files: pass lazy=False"
            )
        tables = path / "tables" if (path / "tables").is_dir() else path / "table"
        names = sorted(entry.name for entry in tables.iterdir() if entry.is_dir()) if tables.is_dir() else []
        if not names:
            raise InputError(f"path='{path}' is a zarr store with neither an AnnData nor a SpatialData table in it")
        chosen = [name for name in ("table", f"square_{bin}") if name in names]
        if len(names) > 1 and not chosen:
            raise InputError(
                f"path='{path}' is a SpatialData store with the tables {join_names(names)}, none named 'table'; "
                f"read one of them: anndata.read_zarr('{tables / names[0]}')"
            )
        return _read_spatialdata(path, tables / [*chosen, names[0]][0])


def _read_spatialdata(path: Path, table_path: Path) -> AnnData:
    """Read one table of a SpatialData store; the rest is opened only where it is needed."""
    import anndata

    table = validate_arrays(anndata.read_zarr(table_path), table_path)
    needs_shapes, needs_images = "spatial" not in table.obsm, IMAGES in table.uns
    if needs_shapes:
        check_installed(
            "spatialdata", extra="io", purpose=f"path='{path}': finding the coordinates of a SpatialData table"
        )
    elif needs_images and find_spec("spatialdata") is None:
        logger.info('%s: images left out; reading them needs spatialdata: pip install "spacex-st[io]"', path.name)
        needs_images = False
    if not needs_shapes and not needs_images:
        return restored(table, {})
    import spatialdata

    return from_spatialdata(spatialdata.read_zarr(path), table=table_path.name)
