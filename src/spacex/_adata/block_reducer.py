"""Reduction of a matrix in one pass over its blocks, which also validates the values."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp

from spacex._adata.on_disk import as_dask, reduce_blocks
from spacex._adata.sources import NotCounts, Source
from spacex._adata.value_summary import ValueSummary
from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices

Rows: TypeAlias = sp.csr_matrix | sp.csr_array
T = TypeVar("T")


class BlockReducer(NamedTuple, Generic[T]):
    """Reduction of a matrix, defined on its blocks. A matrix in memory is one block.

    Attributes
    ----------
    map
        Reduces a block, given its rows and its columns in the matrix.
    vstack
        Combines the results of two blocks, the upper one first.
    hstack
        Combines the results of blocks side by side.
    """

    map: Callable[[Rows, slice, slice], T]
    vstack: Callable[[T, T], T]
    hstack: Callable[[list[T]], T]


def reduce_matrix(
    source: Source, reducer: BlockReducer[T], in_tissue: np.ndarray, *, counts_only: bool = False
) -> tuple[T, bool]:
    """Validate and reduce a matrix in one pass over its blocks.

    Parameters
    ----------
    source
        The matrix (S, N), in memory or on disk.
    reducer
        Its blocks have float32 values, and empty rows for spots off the tissue.
    in_tissue
        (S,) mask of the spots in the tissue.
    counts_only
        Whether to stop at the first block with values that are not counts.

    Returns
    -------
    The reduced matrix, and whether it holds counts.

    Raises
    ------
    InputError
        If the values cannot be used.
    NotCounts
        If `counts_only` is set and the matrix does not hold counts.
    """
    stored = as_dask(source.matrix)
    if stored is None:
        matrix = _load(source)
        rows, columns = (slice(0, length) for length in matrix.shape)
        blocks = [_map_block(matrix, rows, columns, reducer, in_tissue, counts_only)]
    else:
        _check_real_numbers(stored.dtype, source.name)
        blocks = reduce_blocks(stored, _map_block, _stack_blocks, reducer, in_tissue, counts_only)
    summary = reduce(ValueSummary.merge, [block.summary for block in blocks])
    summary.raise_if_invalid(source.name)
    return reducer.hstack([block.value for block in blocks]), summary.all_integer


class _ReducedBlock(NamedTuple, Generic[T]):
    summary: ValueSummary
    value: T


def _map_block(
    block: Any, rows: slice, columns: slice, reducer: BlockReducer[T], in_tissue: np.ndarray, counts_only: bool
) -> _ReducedBlock[T]:
    values = _without_rows(_canonical_rows(block), ~in_tissue[rows])
    summary = ValueSummary.from_values(values.data)
    if counts_only and not summary.all_integer:
        raise NotCounts
    return _ReducedBlock(summary, reducer.map(values.astype(np.float32, copy=False), rows, columns))


def _stack_blocks(
    upper: _ReducedBlock[T], lower: _ReducedBlock[T], reducer: BlockReducer[T], *_: Any
) -> _ReducedBlock[T]:
    return _ReducedBlock(upper.summary.merge(lower.summary), reducer.vstack(upper.value, lower.value))


def _load(source: Source) -> Any:
    """Matrix in memory; one on disk is read whole, if Dask is not installed."""
    matrix = source.matrix.to_memory() if hasattr(source.matrix, "to_memory") else source.matrix
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    _check_real_numbers(matrix.dtype, source.name)
    return check_sparse_indices(matrix, what=f"adata.{source.name} is damaged")


def _check_real_numbers(dtype: np.dtype, name: str) -> None:
    if dtype.kind not in "buif":
        raise InputError(f"adata.{name} holds {dtype} values; it must hold real numbers: raw counts")


def _canonical_rows(matrix: Any) -> Rows:
    """Matrix in CSR format without duplicate entries; a copy if it has any."""
    if not matrix.dtype.isnative:
        matrix = matrix.astype(matrix.dtype.newbyteorder("="))  # scipy requires native byte order
    matrix = matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix  # scipy has no sparse float16
    if not sp.issparse(matrix):
        return sp.csr_array(matrix)
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        columns = rows.tocsc()  # a copy; converting twice sorts the indices, faster than sort_indices
        columns.sum_duplicates()
        rows = columns.tocsr()
    return rows


def _without_rows(rows: Rows, dropped: np.ndarray) -> Rows:
    """Matrix of the same shape with empty rows where `dropped` (N,) is set."""
    if not dropped.any():
        return rows
    sizes = np.diff(rows.indptr)
    retained = np.repeat(~dropped, sizes)
    indptr = np.concatenate([[0], np.cumsum(sizes * ~dropped)]).astype(rows.indptr.dtype)
    return type(rows)((rows.data[retained], rows.indices[retained], indptr), shape=rows.shape)
