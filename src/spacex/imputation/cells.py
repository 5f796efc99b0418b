"""Target cells: their panel values, and the predictors computed from cells and their neighborhoods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spacex.imputation.panel import Panel
from spacex.imputation.params import ImputationParams
from spacex.imputation.reference import mean_and_sd
from spacex.stats import nearest_neighbors

CELLS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Cells:
    """Panel values of the target cells.

    Attributes
    ----------
    values
        (N, P) sparse values of the panel genes.
    mean, scale
        (P,) mean and standard deviation that standardize them.
    neighbor_average
        (N, N) sparse matrix whose rows average over the neighborhood of each cell; None without coordinates.
    has_counts
        (N,) whether a cell has counts. A cell without counts is predicted from its neighborhood only.
    self_weight
        Weight of the values of the cell itself in its predictors.
    """

    values: sp.csr_matrix | sp.csr_array
    mean: np.ndarray
    scale: np.ndarray
    neighbor_average: sp.csr_array | None
    has_counts: np.ndarray
    self_weight: float

    @classmethod
    def from_values(
        cls,
        values: sp.csr_matrix | sp.csr_array,
        xy: np.ndarray | None,
        section: np.ndarray,
        params: ImputationParams,
    ) -> Cells:
        """Cells with values (N, P) at coordinates `xy` (N, 2); neighbors are from the same section (N,)."""
        mean, scale = mean_and_sd(values)
        neighbor_average = None if xy is None else _neighbor_average(xy, section, params.n_neighbors)
        return cls(values, mean, scale, neighbor_average, np.diff(values.indptr) > 0, params.self_weight)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Blocks of cells: their rows, their standardized values (B, P), and their predictors (B, P)."""
        min_sd = 1e-9 * min(1.0, float(self.scale.max(initial=0.0)))
        scale = np.where(self.scale > min_sd, self.scale, np.inf)
        for start in range(0, len(self), CELLS_PER_BLOCK):
            rows = slice(start, min(start + CELLS_PER_BLOCK, len(self)))
            standardized = ((self.values[rows].toarray() - self.mean) / scale).astype(np.float32)
            if self.neighbor_average is None:
                yield rows, standardized, standardized
                continue
            neighbor_mean = (self.neighbor_average[rows] @ self.values).toarray()
            neighbor_mean = ((neighbor_mean - self.mean) / scale).astype(np.float32)
            weight = np.where(self.has_counts[rows], self.self_weight, 0.0).astype(np.float32)[:, None]
            yield rows, standardized, weight * standardized + (1.0 - weight) * neighbor_mean

    def panel(self, gene_index: np.ndarray) -> tuple[Panel, np.ndarray]:
        """Second moments of the panel, whose genes have positions (P,) in the reference, and predictor means (P,)."""
        size = len(gene_index)
        total, product_xx, product_xy = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
        for _, standardized, predictors in self.blocks():
            total += predictors.sum(axis=0)
            product_xx += predictors.T @ predictors
            product_xy += predictors.T @ standardized
        mean = total / len(self)
        return Panel(gene_index, product_xx / len(self) - np.outer(mean, mean), product_xy / len(self)), mean


def _neighbor_average(xy: np.ndarray, section: np.ndarray, n_neighbors: int) -> sp.csr_array:
    """Matrix (N, N) whose rows average over the nearest cells of the same section, including the cell itself."""
    rows, columns, weights = [], [], []
    for label in np.unique(section):
        cells = np.flatnonzero(section == label)
        n = min(n_neighbors, len(cells))
        neighbors = nearest_neighbors(xy[cells], n)
        rows.append(np.repeat(cells, n))
        columns.append(cells[neighbors.ravel()])
        weights.append(np.full(neighbors.size, 1.0 / n, dtype=np.float32))
    indices = (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_array((np.concatenate(weights), indices), shape=(len(xy), len(xy)))
