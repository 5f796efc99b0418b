"""Molecules that arrive block by block, summed by gene and by square or cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from scipy import sparse

from spacex._infra.errors import InputError
from spacex.io._counts import assemble

Sums = tuple[np.ndarray, np.ndarray]  # (n,) key of gene and square, sorted; (n,) sum
_NOTHING: Sums = (np.empty(0, dtype=np.int64), np.empty(0))
_BITS = (
    21  # of each part of a key: column, row, gene; three fit an int64, which sorts ten times faster than rows of three
)
_MASK = (1 << _BITS) - 1


class SquareBins:
    """Sums of molecules by gene and square of side `size`, in the unit of their coordinates.

    What is kept grows with the filled squares, not with the molecules.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._summed = [_NOTHING]
        self._pending = 0

    def add(self, genes: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
        """Add molecules: number of the gene, place and count of each, all (n,)."""
        key = np.zeros(len(genes), dtype=np.int64)
        for name, part in (("x", x // self.size), ("y", y // self.size), ("genes", genes)):
            if len(part) and not (part.min() >= 0 and part.max() <= _MASK):
                raise InputError(f"{name} lies between {part.min()} and {part.max()}; it must be 0 to {_MASK}")
            key = (key << _BITS) | part
        self._summed.append(_sum([(key, counts)]))
        self._pending += len(self._summed[-1][1])
        if self._pending > len(self._summed[0][1]):  # merging only when sizes double keeps the work in proportion
            self._merge()

    def _merge(self) -> Sums:
        self._summed, self._pending = [_sum(self._summed)], 0
        return self._summed[0]

    def result(self, genes: Sequence[str]) -> AnnData:
        """Return the filled squares as observations, named by their corner, ``obsm["spatial"]`` at their centres."""
        key, sums = self._merge()
        square, gene = key >> _BITS, key & _MASK
        starts = np.flatnonzero(np.append(True, square[1:] != square[:-1])[: len(square)])
        indptr = np.append(starts, len(square))
        corners = np.column_stack([square[starts] >> _BITS, square[starts] & _MASK]) * self.size
        counts = sparse.csr_matrix((sums, gene, indptr), shape=(len(starts), len(genes)))
        adata = assemble(counts, [f"{x}_{y}" for x, y in corners], genes)
        adata.obsm["spatial"] = corners + self.size / 2
        return adata


class CellBins:
    """Sums of molecules by gene and cell; cell 0 is what lies outside of all cells."""

    def __init__(self) -> None:
        self._summed = [_NOTHING]
        self._moments: dict[int, np.ndarray] = {}

    def add(self, genes: np.ndarray, cells: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> None:
        """Add molecules: number of the gene, cell, position and count of each, all (n,)."""
        inside = cells > 0
        genes, cells, x, y, counts = (values[inside] for values in (genes, cells, x, y, counts))
        if len(cells) and cells.max() >= 1 << (63 - _BITS):
            raise InputError(f"numbers of cells reach {cells.max()}; they must be below {1 << (63 - _BITS)}")
        self._summed = [_sum([*self._summed, _sum([((cells << _BITS) | genes, counts)])])]
        number, cell = np.unique(cells, return_inverse=True)
        moments = [np.bincount(cell, values * counts, len(number)) for values in (np.ones_like(counts), x, y)]
        for one, moment in zip(number.tolist(), np.column_stack(moments), strict=True):
            self._moments[one] = self._moments.get(one, 0) + moment

    def result(self, genes: Sequence[str]) -> AnnData:
        """Return the cells, named by their numbers, ``obsm["spatial"]`` at the mean position of their molecules."""
        key, sums = self._summed[0]
        number, cell = np.unique(key >> _BITS, return_inverse=True)
        counts = sparse.csr_matrix((sums, (cell, key & _MASK)), shape=(len(number), len(genes)))
        adata = assemble(counts, number.tolist(), genes)
        moments = np.array([self._moments[one] for one in number.tolist()]).reshape(-1, 3)
        adata.obsm["spatial"] = moments[:, 1:] / np.maximum(moments[:, :1], 1)
        return adata


def _sum(parts: Sequence[Sums]) -> Sums:
    """Sum what has the same key."""
    keys, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(keys) == 0:
        return _NOTHING
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return keys[starts], np.add.reduceat(counts, starts, dtype=np.float64)
