"""The cells of a target, as they are predicted from: their panel, and that of their neighbourhoods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spacex.imputation.reference import moments
from spacex.imputation.transfer import Panel
from spacex.stats import nearest_neighbors

N_NEIGHBORS = 12
"""Cells of a neighbourhood, the cell itself among them."""

SELF_WEIGHT = 0.5
"""Share of a cell's own values; the rest is its neighbourhood's."""

BATCH = 4096


@dataclass(frozen=True)
class Cells:
    """Values of panel genes in the cells of a target.

    Attributes
    ----------
    values
        (N, P) sparse values of the panel.
    mean, scale
        (P,) by which they are standardised.
    around
        (N, N) sparse rows that average over the neighbourhood of each cell; None without positions.
    counted
        (N,) whether a cell has counts. One that has none is predicted from its neighbourhood alone.
    """

    values: sp.csr_matrix | sp.csr_array
    mean: np.ndarray
    scale: np.ndarray
    around: sp.csr_array | None
    counted: np.ndarray

    @classmethod
    def of(cls, values: sp.csr_matrix | sp.csr_array, xy: np.ndarray | None, section: np.ndarray) -> Cells:
        """Cells with values (N, P) at positions (N, 2), whose neighbours are of the same section (N,)."""
        mean, scale = moments(values)
        around = None if xy is None else _neighborhoods(xy, section)
        return cls(values, mean, scale, around, np.diff(values.indptr) > 0)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def batches(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Batches of cells: which, their standardised values (B, P), and what they are predicted from (B, P)."""
        least = 1e-9 * min(1.0, float(self.scale.max(initial=0.0)))
        scale = np.where(self.scale > least, self.scale, np.inf)
        for start in range(0, len(self), BATCH):
            part = slice(start, min(start + BATCH, len(self)))
            own = ((self.values[part].toarray() - self.mean) / scale).astype(np.float32)
            if self.around is None:
                yield part, own, own
                continue
            near = (((self.around[part] @ self.values).toarray() - self.mean) / scale).astype(np.float32)
            share = np.where(self.counted[part], SELF_WEIGHT, 0.0).astype(np.float32)[:, None]
            yield part, own, share * own + (1.0 - share) * near

    def panel(self, number: np.ndarray) -> tuple[Panel, np.ndarray]:
        """Moments of the panel, whose genes have numbers (P,) in the reference, and the mean (P,) predicted from."""
        size = len(number)
        total, within, across = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
        for _, own, used in self.batches():
            total += used.sum(axis=0)
            within += used.T @ used
            across += used.T @ own
        mean = total / len(self)
        return Panel(number, within / len(self) - np.outer(mean, mean), across / len(self)), mean


def _neighborhoods(xy: np.ndarray, section: np.ndarray) -> sp.csr_array:
    """Rows (N, N) that average over the nearest cells of the same section, a cell itself among them."""
    rows, columns, weights = [], [], []
    for s in np.unique(section):
        here = np.flatnonzero(section == s)
        n = min(N_NEIGHBORS, len(here))
        near = nearest_neighbors(xy[here], n)
        rows.append(np.repeat(here, n))
        columns.append(here[near.ravel()])
        weights.append(np.full(near.size, 1.0 / n, dtype=np.float32))
    place = (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_array((np.concatenate(weights), place), shape=(len(xy), len(xy)))
