"""Square bins: molecules that arrive block by block, summed by gene and by bin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from scipy import sparse

from spacex.io._counts import assemble

Sums = tuple[np.ndarray, np.ndarray]  # (n, 3) column and row of the square, gene; (n,) sum
_NOTHING: Sums = (np.empty((0, 3), dtype=np.int64), np.empty(0))


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
        keys = np.column_stack([np.asarray(x) // self.size, np.asarray(y) // self.size, genes]).astype(np.int64)
        self._summed.append(_sum([(keys, np.asarray(counts, dtype=np.float64))]))
        self._pending += len(self._summed[-1][1])
        if self._pending > len(self._summed[0][1]):  # merging only when sizes double keeps the work in proportion
            self._merge()

    def _merge(self) -> Sums:
        self._summed, self._pending = [_sum(self._summed)], 0
        return self._summed[0]

    def result(self, genes: Sequence[str]) -> AnnData:
        """Return the filled squares as observations, named by their corner, ``obsm["spatial"]`` at their centres."""
        keys, sums = self._merge()
        squares, row = np.unique(keys[:, :2], axis=0, return_inverse=True)
        counts = sparse.coo_matrix((sums, (row.ravel(), keys[:, 2])), shape=(len(squares), len(genes)))
        corners = squares * self.size
        adata = assemble(counts, [f"{x}_{y}" for x, y in corners], genes)
        adata.obsm["spatial"] = corners + self.size / 2
        return adata


def _sum(parts: Sequence[Sums]) -> Sums:
    """Sum what has the same key."""
    keys, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(keys) == 0:
        return keys, counts
    order = np.lexsort(keys.T)
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
    return keys[starts], np.add.reduceat(counts, starts)
