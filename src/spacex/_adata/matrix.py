"""Reading the expression matrix: ``X``, a layer or ``.raw``, in memory or on disk, in one pass over its blocks.

`read_matrix` and the other ``read_*`` functions are silent. `choose_matrix` is for the functions that users call: it
defaults to the matrix of the embedding and logs which matrix is used in place of ``X``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.block_reducer import BlockReducer, Rows, reduce_matrix
from spacex._adata.on_disk import as_dask
from spacex._adata.sources import RAW, Source, X, read_first_with_counts
from spacex._adata.tissue_mask import read_tissue_mask
from spacex._adata.uns import read_embedded_layer, read_uns
from spacex._infra.memory import check_memory
from spacex.imaging.aggregate import SpotToPixel

logger = logging.getLogger("spacex")
T = TypeVar("T")


class MatrixReading(NamedTuple, Generic[T]):
    """Result of reading a matrix.

    Attributes
    ----------
    value
        The matrix, or the result of its reduction.
    is_count
        Whether the matrix holds counts.
    source
        The matrix that was read.
    """

    value: T
    is_count: bool
    source: Source


class PixelSums(NamedTuple):
    """Sums over a matrix of spots: `library` (S,) over the genes of each spot, `pixels` (P, G) over spots."""

    library: np.ndarray
    pixels: sp.csc_array


class GeneCounts(NamedTuple):
    """`total` (G,) of each gene over the spots, and `n_detected` (G,), the number of spots with a value above zero."""

    total: np.ndarray
    n_detected: np.ndarray


class GeneValues(NamedTuple):
    """`values` (B, S) of some genes, and `library` (S,), the sum of each spot over all genes."""

    values: np.ndarray
    library: np.ndarray


def choose_matrix(adata: AnnData, layer: str | None) -> tuple[Rows, bool]:
    """Read the matrix that a user's call works on; see `read_matrix` and `choose`."""
    reading = choose(adata, layer, read_rows)
    return reading.value, reading.is_count


def choose(
    adata: AnnData, layer: str | None, read: Callable[[AnnData, str | None], MatrixReading[T]], *, fresh: bool = False
) -> MatrixReading[T]:
    """Read the matrix that a user's call works on, and log which one it is.

    Parameters
    ----------
    adata
        The section.
    layer
        ``layer=`` of the call. None selects the matrix of the embedding, or else the first matrix with counts.
    read
        One of the functions of this module that return a `MatrixReading`.
    fresh
        Whether to ignore an earlier embedding.

    Notes
    -----
    Logs a warning if genes are imputed, and one line if the matrix does not hold counts, or is used in place of ``X``,
    unless the embedding was computed from the same matrix.
    """
    _warn_of_imputed_genes(adata)
    requested = layer if layer is not None or fresh else read_embedded_layer(adata)
    reading = read(adata, requested)
    source, is_count = reading.source, reading.is_count
    if not fresh and _is_embedded_matrix(adata, source, is_count):
        return reading
    if not is_count:
        logger.warning(
            "%s does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
            "pass layer= with raw counts if there are any",
            source.name,
        )
    elif requested is None and source.layer != X:
        logger.warning("X does not hold counts; %s is used", ".raw" if source.name == RAW else source.name)
    return reading


def _warn_of_imputed_genes(adata: AnnData) -> None:
    if keys.IMPUTED not in adata.var:
        return
    n_imputed = int((adata.var[keys.IMPUTED].astype(object) == True).sum())  # noqa: E712 - missing where measured
    if n_imputed:
        logger.warning(
            "%d of %d gene(s) are imputed (var['%s']): they repeat what measured genes show, and p-values, domains and "
            "similarities that use them are not evidence; subset adata to the measured genes",
            n_imputed, adata.n_vars, keys.IMPUTED,
        )  # fmt: skip


def _is_embedded_matrix(adata: AnnData, source: Source, is_count: bool) -> bool:
    embed = read_uns(adata).get("embed")
    if not embed or not isinstance(embed, Mapping):
        return False
    return (embed.get("layer") or X, embed.get("is_count")) == (source.layer, is_count)


def read_matrix(adata: AnnData, layer: str | None) -> tuple[Rows, bool]:
    """Matrix (S, G) in memory as float32, and whether it holds counts; rows of spots off the tissue are empty.

    `layer` None selects the first matrix that holds counts, or else ``X`` as intensities.
    """
    reading = read_rows(adata, layer)
    return reading.value, reading.is_count


def read_gene_counts(adata: AnnData, layer: str | None) -> GeneCounts:
    """Total and number of spots with a value above zero of each gene, in one pass."""

    def count(block: Rows, rows: slice, columns: slice) -> np.ndarray:
        total = np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
        return np.stack([total, np.bincount(block.indices[block.data > 0], minlength=block.shape[1])])

    def reducer(source: Source) -> BlockReducer[np.ndarray]:
        def hstack(parts: list[np.ndarray]) -> np.ndarray:
            values = np.concatenate(parts, axis=1)
            return values if source.genes is None else values[:, source.genes]

        return BlockReducer(count, np.add, hstack)

    total, n_detected = _read(adata, layer, reducer).value
    return GeneCounts(total, n_detected.astype(np.int64))


def read_gene_totals(adata: AnnData, layer: str | None) -> np.ndarray:
    """Sum (G,) of each gene over the spots."""
    return read_gene_counts(adata, layer).total


def read_gene_values(adata: AnnData, layer: str | None, genes: Sequence[int]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Values (B, S) of some genes, the sum (S,) of each spot over all genes, and whether these are counts."""

    def reducer(source: Source) -> BlockReducer[GeneValues]:
        column = np.asarray(genes) if source.genes is None else source.genes[np.asarray(genes, dtype=np.int64)]

        def take(block: Rows, rows: slice, columns: slice) -> GeneValues:
            values = np.zeros((len(column), block.shape[0]), dtype=np.float32)
            inside = (column >= columns.start) & (column < columns.stop)
            values[inside] = block[:, column[inside] - columns.start].toarray().T
            return GeneValues(values, _row_sums(block))

        def hstack(parts: list[GeneValues]) -> GeneValues:
            return GeneValues(*(np.sum(arrays, axis=0) for arrays in zip(*parts, strict=True)))

        return BlockReducer(take, _stack_gene_values, hstack)

    (values, library), is_count, _ = _read(adata, layer, reducer)
    return values, library, is_count


def read_pixel_sums(adata: AnnData, layer: str | None, pixels: SpotToPixel) -> MatrixReading[PixelSums]:
    """Sums of spots and pixels. The sum of a spot is over all measured genes, including those only ``.raw`` has."""

    def sums(block: Rows, rows: slice, columns: slice) -> PixelSums:
        return PixelSums(_row_sums(block), pixels.sum(block, rows))

    def reducer(source: Source) -> BlockReducer[PixelSums]:
        def hstack(parts: list[PixelSums]) -> PixelSums:
            summed = parts[0].pixels if len(parts) == 1 else sp.hstack([part.pixels for part in parts], format="csc")
            summed = summed if source.genes is None else summed[:, source.genes]
            return PixelSums(np.sum([part.library for part in parts], axis=0), summed)

        return BlockReducer(sums, _stack_pixel_sums, hstack)

    return _read(adata, layer, reducer)


def _read(adata: AnnData, layer: str | None, reducer_for: Callable[[Source], BlockReducer[T]]) -> MatrixReading[T]:
    """Validate and reduce the matrix that `layer` names, or the first with counts."""
    in_tissue = read_tissue_mask(adata)

    def read(source: Source, counts_only: bool) -> tuple[T, bool]:
        return reduce_matrix(source, reducer_for(source), in_tissue, counts_only=counts_only)

    source, value, is_count = read_first_with_counts(adata, layer, read)
    return MatrixReading(value, is_count, source)


def read_rows(adata: AnnData, layer: str | None) -> MatrixReading[Rows]:
    """Matrix (S, G) in memory as float32; rows of spots off the tissue are empty."""

    def reducer(source: Source) -> BlockReducer[list[Rows]]:
        stored = as_dask(source.matrix)
        if stored is not None and not sp.issparse(stored._meta):
            hint = "keep it sparse, or subset it first"
            check_memory(stored.nbytes, what=f"adata.{source.name}: reading it whole", hint=hint)

        def hstack(parts: list[list[Rows]]) -> list[Rows]:
            columns = [part[0] if len(part) == 1 else sp.vstack(part, format="csr") for part in parts]
            rows = columns[0] if len(columns) == 1 else sp.hstack(columns, format="csr")
            return [rows if source.genes is None else rows[:, source.genes]]

        return BlockReducer(lambda block, rows, columns: [block], list.__add__, hstack)

    (rows,), is_count, source = _read(adata, layer, reducer)
    return MatrixReading(rows, is_count, source)


def _row_sums(rows: Rows) -> np.ndarray:
    return np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()


def _stack_pixel_sums(upper: PixelSums, lower: PixelSums) -> PixelSums:
    return PixelSums(np.concatenate([upper.library, lower.library]), upper.pixels + lower.pixels)


def _stack_gene_values(upper: GeneValues, lower: GeneValues) -> GeneValues:
    values = np.concatenate([upper.values, lower.values], axis=1)
    return GeneValues(values, np.concatenate([upper.library, lower.library]))
