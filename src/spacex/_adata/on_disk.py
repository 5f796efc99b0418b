"""Matrices on disk, read block by block through Dask, so that the blocks bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices

BLOCK_BYTES = 64 * 2**20
"""Size of the stored values of one block."""

T = TypeVar("T")


def read_lazy(element: Any) -> Any:
    """Open a matrix in an HDF5 file or zarr store as a Dask array with blocks of about `BLOCK_BYTES`.

    CSC matrices are divided by columns, all others by rows.
    """
    from anndata.experimental import read_elem_lazy

    kind = element.attrs.get("encoding-type", "array")
    by_columns = kind == "csc_matrix"
    if kind in ("csr_matrix", "csc_matrix"):
        shape = element.attrs["shape"]
        n_bytes = element["indices"].shape[0] * (element["data"].dtype.itemsize + element["indices"].dtype.itemsize)
    else:
        shape = element.shape
        n_bytes = int(np.prod(shape)) * element.dtype.itemsize
    length = int(shape[1] if by_columns else shape[0])
    stride = int(np.clip(length * BLOCK_BYTES // max(n_bytes, 1), 1, max(length, 1)))
    return read_elem_lazy(element, chunks=(-1, stride) if by_columns else (stride, -1))


def as_dask(matrix: Any) -> Any | None:
    """Dask array of a matrix that is one or lies in the file of a backed AnnData; None for a matrix in memory.

    None for every matrix if Dask is not installed.
    """
    if find_spec("dask") is None:
        return None
    from dask.array import Array

    if isinstance(matrix, Array):
        if any(np.isnan(size) for sizes in matrix.chunks for size in sizes):
            raise InputError("the matrix is a Dask array of unknown size; call its compute_chunk_sizes() first")
        return matrix
    import h5py
    import zarr
    from anndata import abc

    if isinstance(matrix, (abc.CSRDataset, abc.CSCDataset)):
        return read_lazy(matrix.group)
    return read_lazy(matrix) if isinstance(matrix, (h5py.Dataset, zarr.Array)) else None


def reduce_blocks(matrix: Any, map_block: Callable[..., T], stack: Callable[..., T], *shared: Any) -> list[T]:
    """Reduce the blocks of a Dask array (S, G), each read once.

    Parameters
    ----------
    matrix
        The Dask array. Its scheduler decides where blocks are computed: in threads, or on a connected cluster.
    map_block
        Called as ``map_block(block, rows, columns, *shared)``.
    stack
        Called as ``stack(upper, lower, *shared)`` on the results of blocks with the same columns, in pairs, so that of
        n results about log n are in memory at a time.
    shared
        Arguments that are sent once.

    Returns
    -------
    One result for each group of columns.
    """
    from dask.base import compute
    from dask.delayed import delayed

    rows, columns = (_slices(sizes) for sizes in matrix.chunks)
    blocks = matrix.to_delayed()
    shared = tuple(delayed(value, traverse=False) for value in shared)
    roots = []
    for c, column in enumerate(columns):
        parts = [delayed(_map_checked)(map_block, blocks[r, c], row, column, *shared) for r, row in enumerate(rows)]
        while len(parts) > 1:
            pairs = [delayed(stack)(*parts[i : i + 2], *shared) for i in range(0, len(parts) - 1, 2)]
            parts = pairs + parts[2 * len(pairs) :]
        roots.append(parts[0])
    return list(compute(*roots))


def _map_checked(map_block: Callable[..., T], block: Any, *arguments: Any) -> T:
    return map_block(check_sparse_indices(block, what="the matrix on disk is damaged"), *arguments)


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]
