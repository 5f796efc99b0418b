"""Files that hold an AnnData: ``.h5ad``, ``.zarr``, and the table of a SpatialData store."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import h5py
import zarr
from anndata import AnnData

from spacex._adata import read_lazy
from spacex._adata.keys import IMAGES
from spacex._infra.errors import InputError
from spacex._infra.memory import check_memory
from spacex._infra.validation import check_installed
from spacex.io._file_checks import check_hdf5, checked_zarr_strings, validate_arrays
from spacex.io._files import INPUT_HINT, decompressed, has_suffix, join_names, translate_errors
from spacex.io._spatialdata import from_spatialdata, restore_section

logger = logging.getLogger("spacex")

_ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")


def is_h5ad(path: Path) -> bool:
    """Whether a file has the suffix of an AnnData in HDF5, compressed or not."""
    return has_suffix(path, ".h5ad") and not path.is_dir()


def is_zarr_store(path: Path) -> bool:
    """Whether a folder is a zarr store."""
    return path.is_dir() and any((path / name).exists() for name in _ZARR_FILES)


def read_h5ad_file(path: Path, *, lazy: bool = False) -> AnnData:
    """Read an AnnData from HDF5; `lazy` leaves its matrices on disk."""
    with decompressed(path) as plain:
        check_hdf5(path, plain)
        if lazy and plain != path:
            raise InputError(f"path='{path}' is compressed, which lazy=True does not support; unpack it (gunzip)")
        with translate_errors(path, ".h5ad file"):
            with h5py.File(plain, "r") as file:
                missing = [name for name in ("obs", "var") if name not in file]
                if missing:
                    raise InputError(
                        f"path='{path}' is HDF5 but not AnnData ({join_names(missing)} missing); pass {INPUT_HINT}"
                    )
                if lazy:
                    return _read_lazily(file, path)
                _check_size(path, file)
            return validate_arrays(anndata.read_h5ad(plain), path)


def read_zarr_store(path: Path, bin: str, *, lazy: bool = False) -> AnnData:
    """Read an AnnData, or a table of a SpatialData: the one named ``table``, that of `bin`, or the only one.

    `lazy` leaves the matrices of an AnnData on disk.
    """
    with translate_errors(path, ".zarr store"), checked_zarr_strings():
        if (path / "obs").is_dir() and (path / "var").is_dir():
            root = zarr.open_group(path, mode="r")
            if lazy:
                return _read_lazily(root, path)
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
        preferred = [name for name in ("table", f"square_{bin}") if name in names]
        if len(names) > 1 and not preferred:
            raise InputError(
                f"path='{path}' is a SpatialData store with the tables {join_names(names)}, none named 'table'; "
                f"read one of them: anndata.read_zarr('{tables / names[0]}')"
            )
        return _read_spatialdata(path, tables / [*preferred, names[0]][0])


def _check_size(path: Path, root: Any) -> None:
    """Raise `InputError` if the uncompressed arrays of an HDF5 file or zarr group do not fit in memory."""
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
        "leaves counts on disk (extra scale), or use a machine with more memory",
    )  # fmt: skip


def _read_lazily(root: Any, path: Path) -> AnnData:
    """Read an AnnData from an open HDF5 file or zarr group, with its matrices left on disk as Dask arrays."""
    from anndata.experimental import read_dispatched  # imports torch

    def read(function: Callable[..., Any], name: str, element: Any, iospec: Any) -> Any:
        is_matrix = iospec.encoding_type in ("array", "csr_matrix", "csc_matrix")
        parts = name.strip("/").split("/")
        is_lazy = parts in (["X"], ["raw", "X"]) or (parts[0] == "layers" and len(parts) == 2)
        return read_lazy(element) if is_matrix and is_lazy else function(element)

    if "encoding-type" not in root.attrs:
        raise InputError(
            f"path='{path}' was written by anndata before 0.8, which lazy=True does not support; pass lazy=False"
        )
    return read_dispatched(root, read)


def _read_spatialdata(path: Path, table_path: Path) -> AnnData:
    """Read one table of a SpatialData store; other elements are opened only if they are needed."""
    table = validate_arrays(anndata.read_zarr(table_path), table_path)
    needs_shapes, needs_images = "spatial" not in table.obsm, IMAGES in table.uns
    if needs_shapes:
        check_installed(
            "spatialdata", extra="io", purpose=f"path='{path}': finding the coordinates of a SpatialData table"
        )
    elif needs_images and find_spec("spatialdata") is None:
        logger.info('%s: images skipped; reading them needs spatialdata: pip install "spacex-st[io]"', path.name)
        needs_images = False
    if not needs_shapes and not needs_images:
        return restore_section(table, {})
    import spatialdata

    return from_spatialdata(spatialdata.read_zarr(path), table=table_path.name)
