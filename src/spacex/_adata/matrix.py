"""What is taken from the matrix of an AnnData that is worked on, and whether it can be used.

It lies in memory, or on disk (`_on_disk`), where it is checked while it is read: block by block, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from spacex._adata.on_disk import as_stored, by_blocks
from spacex._adata.sources import Source, first_of_counts
from spacex._adata.tissue_mask import read_tissue_mask
from spacex._infra.errors import InputError
from spacex._infra.memory import check_memory
from spacex._infra.validation import check_sparse_indices
from spacex.imaging.aggregate import SpotToPixel

LEAST, MOST = 1e-15, 1e15
"""Bounds of the largest value: squares and sums of values between these fit single precision, counts 64 bits."""

N_BLOCKS = 2
"""Blocks with values by which it is judged whether a matrix on disk holds counts, before all are read."""

Rows: TypeAlias = sp.csr_matrix | sp.csr_array
T = TypeVar("T")


class ValueSummary(NamedTuple):
    """What decides whether values can be used: how many are not finite, the ends, any but zero, all whole."""

    n_bad: int = 0
    least: float = 0.0
    most: float = 0.0
    some: bool = False
    whole: bool = True

    @classmethod
    def of(cls, values: np.ndarray) -> ValueSummary:
        """Those of an array of numbers."""
        n_bad = int(values.size - np.isfinite(values).sum())
        whole = not n_bad and bool(np.all(values == np.rint(values)))
        return cls(n_bad, float(values.min(initial=0)), float(values.max(initial=0)), bool(values.any()), whole)

    def join(self, other: ValueSummary) -> ValueSummary:
        """Those of two arrays together."""
        return ValueSummary(
            self.n_bad + other.n_bad, min(self.least, other.least), max(self.most, other.most),
            self.some or other.some, self.whole and other.whole,
        )  # fmt: skip

    def refuse(self, name: str) -> None:
        """Raise `InputError` for the matrix of this name where it cannot be used."""
        if self.n_bad:
            raise InputError(
                f"adata.{name} holds {self.n_bad} NaN or infinite value(s); all must be finite: remove or replace "
                "those values"
            )
        if self.least < 0:
            raise InputError(
                f"adata.{name} holds negative values (smallest {self.least:g}); pass raw counts, in X or by layer="
            )
        if not self.some:
            raise InputError(f"adata.{name} is zero everywhere; pass raw counts, in X or by layer=")
        if not LEAST <= self.most <= MOST:
            what = "values too large" if self.most > MOST else "only values too small"
            raise InputError(
                f"adata.{name} holds {what} to compute with (largest {self.most:g}, "
                f"allowed from {LEAST:g} to {MOST:g}); pass raw counts, or rescale it"
            )


class PixelSums(NamedTuple):
    """The sum of every spot, and sums by pixel."""

    library: np.ndarray
    pixels: sp.csc_array


class BlockReducer(NamedTuple, Generic[T]):
    """What is taken from a matrix, block by block; one in memory is a single block."""

    of: Callable[[Rows, slice, slice], T]
    """From a block, which has these rows and columns of the whole."""
    below: Callable[[T, T], T]
    """From what was taken of two blocks, one below the other."""
    beside: Callable[[list[T]], T]
    """From what was taken of blocks side by side."""


def read_matrix(adata: AnnData, layer: str | None) -> tuple[Rows, bool]:
    """Matrix (S, G) to work on, in memory, and whether it holds counts; rows of spots off the tissue are empty.

    `layer` as `choose_matrix` gives it; None: the first source that holds counts, else ``X`` as intensities.
    """
    in_tissue = read_tissue_mask(adata)

    def look(source: Source) -> tuple[Rows, bool]:
        rows, is_count = loaded(source, in_tissue)
        return rows if source.genes is None else rows[:, source.genes], is_count

    _, rows, is_count = first_of_counts(adata, layer, look)
    return rows, is_count


def read_sums(adata: AnnData, layer: str | None, pixels: SpotToPixel) -> tuple[PixelSums, bool]:
    """Sums of the matrix that `read_matrix` gives, and whether it holds counts; one on disk is not loaded.

    The sum of a spot is over all genes that were measured, also those that only ``.raw`` has.
    """

    def of(block: Rows, rows: slice, columns: slice) -> PixelSums:
        return PixelSums(_of_rows(block), pixels.sum(block, rows))

    def beside(parts: list[PixelSums], source: Source) -> PixelSums:
        summed = parts[0].pixels if len(parts) == 1 else sp.hstack([part.pixels for part in parts], format="csc")
        summed = summed if source.genes is None else summed[:, source.genes]
        return PixelSums(np.sum([part.library for part in parts], axis=0), summed)

    return _read(adata, layer, lambda source: BlockReducer(of, _sums_below, lambda parts: beside(parts, source)))


def read_gene_totals(adata: AnnData, layer: str | None) -> np.ndarray:
    """Sum (G,) of every gene over the spots, of the matrix that `read_matrix` gives."""

    def of(block: Rows, rows: slice, columns: slice) -> np.ndarray:
        return np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()

    return _read(adata, layer, lambda source: _by_gene(source, of))[0]


def read_detection_counts(adata: AnnData, layer: str | None) -> np.ndarray:
    """Number (G,) of spots in which every gene has a value above zero."""

    def of(block: Rows, rows: slice, columns: slice) -> np.ndarray:
        return np.bincount(block.indices[block.data > 0], minlength=block.shape[1])

    return _read(adata, layer, lambda source: _by_gene(source, of))[0]


def _by_gene(source: Source, of: Callable[[Rows, slice, slice], np.ndarray]) -> BlockReducer[np.ndarray]:
    return BlockReducer(of, np.add, lambda parts: source.of_genes(np.concatenate(parts)))


def read_gene_values(adata: AnnData, layer: str | None, genes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values (B, S) of some genes, the sum (S,) of every spot over all genes, and whether these are counts."""

    def reading(source: Source) -> BlockReducer[Columns]:
        wanted = np.asarray(genes) if source.genes is None else source.genes[np.asarray(genes, dtype=np.int64)]

        def of(block: Rows, rows: slice, columns: slice) -> Columns:
            values = np.zeros((len(wanted), block.shape[0]), dtype=np.float32)
            here = (wanted >= columns.start) & (wanted < columns.stop)
            values[here] = block[:, wanted[here] - columns.start].toarray().T
            return values, _of_rows(block)

        return BlockReducer(of, _columns_below, _columns_beside)

    (values, library), is_count = _read(adata, layer, reading)
    return values, library, is_count


# -- in memory ---------------------------------------------------------------------------------------------


def loaded(source: Source, in_tissue: np.ndarray) -> tuple[Rows, bool]:
    """The matrix as sparse rows of float32, and whether it holds counts; an error where it cannot be used.

    Rows of spots that are not `in_tissue` (S,) are empty.
    """
    matrix, name = source.matrix, source.name
    if hasattr(matrix, "to_memory"):
        matrix = matrix.to_memory()
    elif hasattr(matrix, "compute"):
        if not sp.issparse(matrix._meta):
            hint = "keep it sparse, or subset it first"
            check_memory(matrix.nbytes, what=f"adata.{name}: reading it whole", hint=hint)
        matrix = matrix.compute()
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    _require_numbers(matrix.dtype, name)
    rows = _emptied(_as_rows(check_sparse_indices(matrix, what=f"adata.{name} is damaged")), in_tissue)
    traits = ValueSummary.of(rows.data)
    traits.refuse(name)
    return rows.astype(np.float32, copy=False), traits.whole


def _as_rows(matrix: Any) -> Rows:
    """The matrix as sparse rows that hold each entry once; those of a matrix that does not are a copy."""
    if not matrix.dtype.isnative:
        matrix = matrix.astype(matrix.dtype.newbyteorder("="))  # scipy computes in the machine's own order alone
    matrix = matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix  # scipy has no sparse float16
    if not sp.issparse(matrix):
        return sp.csr_array(matrix)
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        columns = rows.tocsc()  # a copy; to turn it twice sorts it, in less time than sorting takes
        columns.sum_duplicates()
        rows = columns.tocsr()
    return rows


def _emptied(rows: Rows, kept: np.ndarray) -> Rows:
    """The same rows without the values of those that are not `kept` (N,)."""
    if kept.all():
        return rows
    sizes = np.diff(rows.indptr)
    values = np.repeat(kept, sizes)
    indptr = np.concatenate([[0], np.cumsum(sizes * kept)]).astype(rows.indptr.dtype)
    return type(rows)((rows.data[values], rows.indices[values], indptr), shape=rows.shape)


def _of_rows(rows: Rows) -> np.ndarray:
    return np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()


# -- by blocks ---------------------------------------------------------------------------------------------


def on_disk(source: Source) -> Any | None:
    """The matrix as a Dask array if it lies on disk, None if it is in memory; an error where it holds no numbers."""
    stored = as_stored(source.matrix)
    if stored is not None:
        _require_numbers(stored.dtype, source.name)
    return stored


def _require_numbers(dtype: np.dtype, name: str) -> None:
    if dtype.kind not in "buif":
        raise InputError(f"adata.{name} holds {dtype} values; it must hold real numbers: raw counts")


def holds_counts(source: Source, in_tissue: np.ndarray) -> bool:
    """Whether a matrix holds counts; of one on disk, whether its first and its last block with values do."""
    stored = on_disk(source)
    if stored is None:
        return loaded(source, in_tissue)[1]
    first_row = np.cumsum([0, *stored.chunks[0]])
    blocks = [(row, column) for row in range(stored.numblocks[0]) for column in range(stored.numblocks[1])]
    traits, n_seen = ValueSummary(), 0
    for row, column in [blocks[0], *blocks[:0:-1]]:
        inside = in_tissue[first_row[row] : first_row[row + 1]]
        (_, seen), *_ = by_blocks(stored.blocks[row, column], _traits_of, ValueSummary.join, inside)
        traits, n_seen = traits.join(seen), n_seen + (seen.some or seen.n_bad > 0)
        if n_seen == N_BLOCKS or not traits.whole:
            break
    traits.refuse(source.name)
    return traits.whole


def _traits_of(block: Any, rows: slice, columns: slice, in_tissue: np.ndarray) -> ValueSummary:
    return ValueSummary.of(_emptied(_as_rows(block), in_tissue).data)


def _read(adata: AnnData, layer: str | None, reading_of: Callable[[Source], BlockReducer[T]]) -> tuple[T, bool]:
    """What a reading takes from the matrix to work on, and whether that holds counts."""
    in_tissue = read_tissue_mask(adata)

    def look(source: Source) -> tuple[T, bool]:
        reading, stored = reading_of(source), on_disk(source)
        if stored is None:
            rows, is_count = loaded(source, in_tissue)
            taken = [reading.of(rows, slice(0, rows.shape[0]), slice(0, rows.shape[1]))]
            return reading.beside(taken), is_count
        parts = [part for _, part in by_blocks(stored, _looked_at, _below, reading, in_tissue)]
        traits = reduce(ValueSummary.join, [seen for seen, _ in parts])
        traits.refuse(source.name)
        return reading.beside([taken for _, taken in parts]), traits.whole

    _, taken, is_count = first_of_counts(adata, layer, look)
    return taken, is_count


def _looked_at(
    block: Any, rows: slice, columns: slice, reading: BlockReducer[T], in_tissue: np.ndarray
) -> tuple[ValueSummary, T]:
    values = _emptied(_as_rows(block), in_tissue[rows])
    return ValueSummary.of(values.data), reading.of(values.astype(np.float32, copy=False), rows, columns)


def _below(
    first: tuple[ValueSummary, T], second: tuple[ValueSummary, T], reading: BlockReducer[T], in_tissue: np.ndarray
) -> tuple[ValueSummary, T]:
    return first[0].join(second[0]), reading.below(first[1], second[1])


def _sums_below(first: PixelSums, second: PixelSums) -> PixelSums:
    return PixelSums(np.concatenate([first.library, second.library]), first.pixels + second.pixels)


Columns = tuple[np.ndarray, np.ndarray]


def _columns_below(first: Columns, second: Columns) -> Columns:
    return np.concatenate([first[0], second[0]], axis=1), np.concatenate([first[1], second[1]])


def _columns_beside(parts: list[Columns]) -> Columns:
    return np.sum([values for values, _ in parts], axis=0), np.sum([library for _, library in parts], axis=0)
