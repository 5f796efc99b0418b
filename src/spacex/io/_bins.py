"""Aggregation of molecules, added in blocks, into counts by gene and square bin or cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from scipy import sparse

from spacex._infra.errors import InputError
from spacex.io._counts import to_anndata

Sums = tuple[np.ndarray, np.ndarray]  # (n,) sorted keys of gene and bin; (n,) sums of counts
_EMPTY: Sums = (np.empty(0, dtype=np.int64), np.empty(0))
_BITS = 21
"""Bits per part of a key (column, row, gene): three fit an int64, which sorts 10 times faster than triples."""

_MASK = (1 << _BITS) - 1


class SquareBins:
    """Counts by gene and square bin.

    Memory grows with the number of occupied bins, not with the number of molecules.

    Parameters
    ----------
    size
        Side of the bins, in the unit of the coordinates.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._sums = [_EMPTY]
        self._n_pending = 0

    def add(self, genes: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
        """Add molecules: index of the gene, coordinates and count of each, all (n,)."""
        key = np.zeros(len(genes), dtype=np.int64)
        for name, part in (("x", x // self.size), ("y", y // self.size), ("genes", genes)):
            if len(part) and not (part.min() >= 0 and part.max() <= _MASK):
                raise InputError(f"{name} ranges from {part.min()} to {part.max()}; it must be 0 to {_MASK}")
            key = (key << _BITS) | part
        self._sums.append(_sum_by_key([(key, counts)]))
        self._n_pending += len(self._sums[-1][1])
        if self._n_pending > len(self._sums[0][1]):  # merging only when the size doubles keeps the total cost linear
            self._merge()

    def _merge(self) -> Sums:
        self._sums, self._n_pending = [_sum_by_key(self._sums)], 0
        return self._sums[0]

    def result(self, genes: Sequence[str]) -> AnnData:
        """Return the occupied bins, named by their corner, with their centers in ``obsm["spatial"]``."""
        key, sums = self._merge()
        bin_key, gene = key >> _BITS, key & _MASK
        starts = np.flatnonzero(np.append(True, bin_key[1:] != bin_key[:-1])[: len(bin_key)])
        indptr = np.append(starts, len(bin_key))
        corners = np.column_stack([bin_key[starts] >> _BITS, bin_key[starts] & _MASK]) * self.size
        counts = sparse.csr_matrix((sums, gene, indptr), shape=(len(starts), len(genes)))
        adata = to_anndata(counts, [f"{x}_{y}" for x, y in corners], genes)
        adata.obsm["spatial"] = corners + self.size / 2
        return adata


class CellBins:
    """Counts by gene and cell; cell 0, the molecules outside of all cells, is ignored."""

    def __init__(self) -> None:
        self._sums = _EMPTY
        self._moments: dict[int, np.ndarray] = {}

    def add(self, genes: np.ndarray, cells: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
        """Add molecules: index of the gene, number of the cell, coordinates and count of each, all (n,)."""
        is_inside = cells > 0
        genes, cells, x, y, counts = (values[is_inside] for values in (genes, cells, x, y, counts))
        if len(cells) and cells.max() >= 1 << (63 - _BITS):
            raise InputError(f"cell numbers reach {cells.max()}; they must be below {1 << (63 - _BITS)}")
        self._sums = _sum_by_key([self._sums, _sum_by_key([((cells << _BITS) | genes, counts)])])
        numbers, cell = np.unique(cells, return_inverse=True)
        moments = [np.bincount(cell, values * counts, len(numbers)) for values in (np.ones_like(counts), x, y)]
        for number, moment in zip(numbers.tolist(), np.column_stack(moments), strict=True):
            self._moments[number] = self._moments.get(number, 0) + moment

    def result(self, genes: Sequence[str]) -> AnnData:
        """Return the cells, named by number, with the mean position of their molecules in ``obsm["spatial"]``."""
        key, sums = self._sums
        numbers, cell = np.unique(key >> _BITS, return_inverse=True)
        counts = sparse.csr_matrix((sums, (cell, key & _MASK)), shape=(len(numbers), len(genes)))
        adata = to_anndata(counts, numbers.tolist(), genes)
        moments = np.array([self._moments[number] for number in numbers.tolist()]).reshape(-1, 3)
        adata.obsm["spatial"] = moments[:, 1:] / np.maximum(moments[:, :1], 1)
        return adata


def _sum_by_key(parts: Sequence[Sums]) -> Sums:
    """Sum the counts of equal keys."""
    keys, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(keys) == 0:
        return _EMPTY
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return keys[starts], np.add.reduceat(counts, starts, dtype=np.float64)
