"""The matrix of an AnnData: which one is worked on, whether it can be used, and what is taken from it.

It lies in memory, or on disk (`_on_disk`), where it is checked while it is read: block by block, once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from .._check import InputError, check_indices, check_key
from .._memory import check_memory
from ..pixels import Pixels
from ._on_disk import as_stored, by_blocks

logger = logging.getLogger("spacex")

LEAST, MOST = 1e-15, 1e15
"""Bounds of the largest value: squares and sums of values between these fit single precision, counts 64 bits."""

Rows: TypeAlias = sp.csr_matrix | sp.csr_array
T = TypeVar("T")


class Traits(NamedTuple):
    """What decides whether values can be used: how many are not finite, the ends, any but zero, all whole."""

    n_bad: int = 0
    least: float = 0.0
    most: float = 0.0
    some: bool = False
    whole: bool = True

    @classmethod
    def of(cls, values: np.ndarray) -> Traits:
        """Those of an array of numbers."""
        n_bad = int(values.size - np.isfinite(values).sum())
        whole = not n_bad and bool(np.all(values == np.rint(values)))
        return cls(n_bad, float(values.min(initial=0)), float(values.max(initial=0)), bool(values.any()), whole)

    def join(self, other: Traits) -> Traits:
        """Those of two arrays together."""
        return Traits(
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


class Sums(NamedTuple):
    """The sum of every spot, and sums by pixel."""

    library: np.ndarray
    pixels: sp.csc_array


class Reading(NamedTuple, Generic[T]):
    """What is taken from a matrix, block by block; one in memory is a single block."""

    of: Callable[[Rows, slice, slice], T]
    """From a block, which has these rows and columns of the whole."""
    below: Callable[[T, T], T]
    """From what was taken of two blocks, one below the other."""
    beside: Callable[[list[T]], T]
    """From what was taken of blocks side by side."""


def read_matrix(adata: AnnData, layer: str | None) -> tuple[Rows, bool]:
    """Matrix (S, G) to work on, in memory, and whether it holds counts.

    `layer` is used if given; else ``X`` if it holds counts; else ``layers["counts"]`` if that does; else ``X`` as
    intensities, with a warning.
    """
    return _chosen(adata, layer, _loaded)


def check_matrix(adata: AnnData, layer: str | None) -> None:
    """Raise `InputError` for a matrix that cannot be used; the values of one on disk are checked as they are read."""
    name, matrix = _matrices(adata, layer)[0]
    if _on_disk(matrix, name) is None:
        read_matrix(adata, layer)


def read_sums(adata: AnnData, layer: str | None, pixels: Pixels) -> tuple[Sums, bool]:
    """Sums of the matrix that `read_matrix` gives, and whether it holds counts; one on disk is not loaded."""

    def of(block: Rows, rows: slice, columns: slice) -> Sums:
        return Sums(_of_rows(block), pixels.sum(block, rows))

    return _read(adata, layer, Reading(of, _sums_below, _sums_beside))


def read_totals(adata: AnnData, layer: str | None) -> np.ndarray:
    """Sum (G,) of every gene over the spots, of the matrix that `read_matrix` gives."""

    def of(block: Rows, rows: slice, columns: slice) -> np.ndarray:
        return np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()

    return _read(adata, layer, Reading(of, np.add, np.concatenate))[0]


def read_detected(adata: AnnData, layer: str | None) -> np.ndarray:
    """Number (G,) of spots in which every gene has a value above zero."""

    def of(block: Rows, rows: slice, columns: slice) -> np.ndarray:
        return np.bincount(block.indices[block.data > 0], minlength=block.shape[1])

    return _read(adata, layer, Reading(of, np.add, np.concatenate))[0]


def read_columns(adata: AnnData, layer: str | None, genes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values (B, S) of some genes, the sum (S,) of every spot over all genes, and whether these are counts."""
    wanted = np.asarray(genes)

    def of(block: Rows, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        values = np.zeros((len(wanted), block.shape[0]), dtype=np.float32)
        here = (wanted >= columns.start) & (wanted < columns.stop)
        values[here] = block[:, wanted[here] - columns.start].toarray().T
        return values, _of_rows(block)

    (values, library), is_count = _read(adata, layer, Reading(of, _columns_below, _columns_beside))
    return values, library, is_count


# -- which one ---------------------------------------------------------------------------------------------


def _matrices(adata: AnnData, layer: str | None) -> list[tuple[str, Any]]:
    """Names and matrices in the order in which they are considered."""
    check_key(layer, name="layer")
    if layer is not None and layer not in adata.layers:
        # From 0.13 on AnnData keeps X among the layers, under None.
        known = ", ".join(repr(name) for name in adata.layers if name is not None) or "none"
        raise InputError(f"layer={layer!r} is not in adata.layers (there: {known}); pass one of them or layer=None")
    found = [(f"layers[{layer!r}]", adata.layers[layer])] if layer is not None else [("X", adata.X)]
    if layer is None and "counts" in adata.layers:
        found.append(("layers['counts']", adata.layers["counts"]))
    for name, matrix in found[:1]:
        if matrix is None:
            raise InputError(f"adata.{name} is empty; put raw counts there")
    return found


def _chosen(adata: AnnData, layer: str | None, look: Callable[[Any, str], tuple[T, bool]]) -> tuple[T, bool]:
    """What `look` makes of the matrix to work on, and whether that holds counts."""
    (name, matrix), *others = _matrices(adata, layer)
    first, is_count = look(matrix, name)
    if is_count:
        return first, True
    for other, counts in others:
        found, is_count = look(counts, other)
        if is_count:
            logger.warning("X does not hold counts; %s is used", other)
            return found, True
    logger.warning(
        "%s does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
        "pass layer= with raw counts where there are any",
        name,
    )
    return first, False


def _on_disk(matrix: Any, name: str) -> Any | None:
    """The matrix as a Dask array if it lies on disk, None if it is in memory; an error where it holds no numbers."""
    stored = as_stored(matrix)
    if stored is not None:
        _require_numbers(stored.dtype, name)
    return stored


def _require_numbers(dtype: np.dtype, name: str) -> None:
    if dtype.kind not in "buif":
        raise InputError(f"adata.{name} holds {dtype} values; it must hold real numbers: raw counts")


# -- in memory ---------------------------------------------------------------------------------------------


def _loaded(matrix: Any, name: str) -> tuple[Rows, bool]:
    """The matrix as sparse rows of float32, and whether it holds counts; an error where it cannot be used."""
    if hasattr(matrix, "to_memory"):
        matrix = matrix.to_memory()
    elif hasattr(matrix, "compute"):
        if not sp.issparse(matrix._meta):
            mend = "keep it sparse, or subset it first"
            check_memory(matrix.nbytes, what=f"adata.{name}: reading it whole", mend=mend)
        matrix = matrix.compute()
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    _require_numbers(matrix.dtype, name)
    rows = _as_rows(check_indices(matrix, what=f"adata.{name} is damaged"))
    traits = Traits.of(rows.data)
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


def _of_rows(rows: Rows) -> np.ndarray:
    return np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()


# -- by blocks ---------------------------------------------------------------------------------------------


def _read(adata: AnnData, layer: str | None, reading: Reading[T]) -> tuple[T, bool]:
    """What a reading takes from the matrix to work on, and whether that holds counts."""

    def look(matrix: Any, name: str) -> tuple[T, bool]:
        stored = _on_disk(matrix, name)
        if stored is None:
            rows, is_count = _loaded(matrix, name)
            return reading.of(rows, slice(0, rows.shape[0]), slice(0, rows.shape[1])), is_count
        seen, taken = zip(*(part for _, part in by_blocks(stored, _looked_at, _below, reading)), strict=True)
        traits = reduce(Traits.join, seen)
        traits.refuse(name)
        return reading.beside(list(taken)), traits.whole

    return _chosen(adata, layer, look)


def _looked_at(block: Any, rows: slice, columns: slice, reading: Reading[T]) -> tuple[Traits, T]:
    values = _as_rows(block)
    return Traits.of(values.data), reading.of(values.astype(np.float32, copy=False), rows, columns)


def _below(first: tuple[Traits, T], second: tuple[Traits, T], reading: Reading[T]) -> tuple[Traits, T]:
    return first[0].join(second[0]), reading.below(first[1], second[1])


def _sums_below(first: Sums, second: Sums) -> Sums:
    return Sums(np.concatenate([first.library, second.library]), first.pixels + second.pixels)


def _sums_beside(parts: list[Sums]) -> Sums:
    pixels = parts[0].pixels if len(parts) == 1 else sp.hstack([part.pixels for part in parts], format="csc")
    return Sums(np.sum([part.library for part in parts], axis=0), pixels)


Columns = tuple[np.ndarray, np.ndarray]


def _columns_below(first: Columns, second: Columns) -> Columns:
    return np.concatenate([first[0], second[0]], axis=1), np.concatenate([first[1], second[1]])


def _columns_beside(parts: list[Columns]) -> Columns:
    return np.sum([values for values, _ in parts], axis=0), np.sum([library for _, library in parts], axis=0)
