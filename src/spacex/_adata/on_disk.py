"""Matrices that stay on disk: read block by block through Dask, so that memory is bounded by the blocks."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices

BLOCK_BYTES = 64 * 2**20

T = TypeVar("T")


def read_lazy(element: Any) -> Any:
    """A matrix in an HDF5 file or zarr store (group or array) as a Dask array, in blocks of about 64 MB.

    Whole rows where it is kept by rows or dense, whole columns where it is kept by columns.
    """
    from anndata.experimental import read_elem_lazy

    kind = element.attrs.get("encoding-type", "array")
    by_columns = kind == "csc_matrix"
    if kind in ("csr_matrix", "csc_matrix"):
        shape = element.attrs["shape"]
        held = element["indices"].shape[0] * (element["data"].dtype.itemsize + element["indices"].dtype.itemsize)
    else:
        shape = element.shape
        held = int(np.prod(shape)) * element.dtype.itemsize
    length = int(shape[1] if by_columns else shape[0])
    stride = int(np.clip(length * BLOCK_BYTES // max(held, 1), 1, max(length, 1)))
    return read_elem_lazy(element, chunks=(-1, stride) if by_columns else (stride, -1))


def as_stored(matrix: Any) -> Any | None:
    """A Dask array for a matrix that is one, or that lies in the file of a backed AnnData; None if it is in memory.

    Without Dask a backed matrix counts as one in memory: it is then read whole.
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


def by_blocks(matrix: Any, part: Callable[..., T], join: Callable[..., T], *shared: Any) -> list[tuple[slice, T]]:
    """What ``part(block, rows, columns, *shared)`` makes of the blocks of a Dask array (S, G).

    One result for each stretch of columns, with that stretch: those of its blocks of rows joined in pairs, by
    ``join(upper, lower, *shared)``, so that of n of them about log n wait in memory. Dask's scheduler decides where
    this runs: threads, or a cluster that the caller is connected to.
    """
    from dask.base import compute
    from dask.delayed import delayed

    rows, columns = (_slices(sizes) for sizes in matrix.chunks)
    blocks = matrix.to_delayed()
    kept = [delayed(value, traverse=False) for value in shared]
    roots = []
    for c, column in enumerate(columns):
        parts = [delayed(_of_block)(part, blocks[r, c], row, column, *kept) for r, row in enumerate(rows)]
        while len(parts) > 1:
            pairs = [delayed(join)(*parts[i : i + 2], *kept) for i in range(0, len(parts) - 1, 2)]
            parts = pairs + parts[2 * len(pairs) :]
        roots.append(parts[0])
    return list(zip(columns, compute(*roots), strict=True))


def _of_block(part: Callable[..., T], block: Any, *arguments: Any) -> T:
    """What `part` makes of a block, whose indices must lie within it."""
    return part(check_sparse_indices(block, what="the matrix on disk is damaged"), *arguments)


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]
