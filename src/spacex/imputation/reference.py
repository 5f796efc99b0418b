"""What goes with what in a reference: genes as vectors whose products are the covariances that are not noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from spacex._config import Config
from spacex.imaging.residuals import log_normalize

MAX_CELLS = 20_000
"""Cells of the reference that are looked at; drawn at random where there are more."""

MAX_GENES = 3000
"""Genes that components are made of: those with the largest share of variance that is not noise."""

RANKS = (10, 20, 40, 80)
"""Numbers of components that are tried."""

MIN_CELLS = 5
"""A gene that is seen in fewer cells of the reference says nothing."""

MIN_VARIANCE = 1e-6
"""Standard deviation, of the largest where that is below one, up to which a gene is taken to be the same everywhere."""

BATCH = 256


@dataclass(frozen=True)
class Reference:
    """Genes of a reference.

    Attributes
    ----------
    mean, scale
        (G,) mean and standard deviation of the values of each gene.
    seen
        (G,) whether a gene is seen in enough cells.
    loading
        (G, D) covariance of each gene's standardised values with the leading components of the cells, strongest first.
    embedding
        (G, E) another view of the same, from the maps of the genes; None without coordinates.
    """

    mean: np.ndarray
    scale: np.ndarray
    seen: np.ndarray
    loading: np.ndarray
    embedding: np.ndarray | None = None

    @property
    def vectors(self) -> dict[str, np.ndarray]:
        """By name, vectors (G, D) of the genes; the product of two is the covariance of their values without noise."""
        ranks = sorted({min(rank, self.loading.shape[1]) for rank in RANKS})
        found = {f"{rank} components": self.loading[:, :rank] for rank in ranks}
        return found if self.embedding is None else found | {"embedding": self.embedding}

    @property
    def key(self) -> np.ndarray:
        """All that is known of each gene (G, D + E)."""
        return self.loading if self.embedding is None else np.hstack([self.loading, self.embedding])


def moments(values: sp.spmatrix | sp.sparray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (G,) of sparse values (N, G)."""
    mean = np.asarray(values.mean(axis=0), dtype=np.float64).ravel()
    square = np.asarray(values.multiply(values).mean(axis=0), dtype=np.float64).ravel()
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def fit_reference(
    matrix: sp.csr_matrix | sp.csr_array,
    is_count: bool,
    rng: np.random.Generator,
    *,
    embedding: np.ndarray | None = None,
) -> Reference:
    """Vectors of the genes of a reference (N, G) by components of its cells, beside their `embedding` (G, E).

    Values are log-normalised (intensities: as they are) and standardised. Genes weigh by the root of the share of their
    variance that is not noise, 1 - 1 / v, where v is the variance of their Pearson residuals. The vector of a gene
    holds its covariances with the leading components of the cells.
    """
    if matrix.shape[0] > MAX_CELLS:
        matrix = matrix[np.sort(rng.choice(matrix.shape[0], MAX_CELLS, replace=False))]
    n_cells = matrix.shape[0]
    values = (log_normalize(matrix) if is_count else matrix.astype(np.float32)).tocsc()
    mean, scale = moments(values)
    least = MIN_VARIANCE * min(1.0, float(scale.max(initial=0.0)))
    seen = (np.diff(values.indptr) >= MIN_CELLS) & (scale > least)
    weight = np.where(seen, np.sqrt(_signal(matrix, Config().theta)) if is_count else 1.0, 0.0)
    used = np.argsort(-weight, kind="stable")[:MAX_GENES]
    used = used[weight[used] > 0] if (weight[used] > 0).sum() >= 2 else np.flatnonzero(seen)[:MAX_GENES]
    factors = _factors(values[:, used], mean[used], np.maximum(scale[used], least), weight[used])
    loading = np.asarray((values.T @ factors) / n_cells)  # components have mean zero, so that no mean need be taken off
    loading = np.where(seen[:, None], loading / np.where(seen, scale, 1.0)[:, None], 0.0)
    return Reference(mean, scale, seen, loading, embedding)


def _signal(counts: sp.csr_matrix | sp.csr_array, theta: float) -> np.ndarray:
    """Share (G,) of the variance of Pearson residuals (Lause et al. 2021, eq. 3) that is above that of noise, one."""
    library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    share = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() / max(library.sum(), 1e-300)
    columns, limit = counts.tocsc(), np.sqrt(counts.shape[0])
    variance = np.empty(counts.shape[1])
    for start in range(0, counts.shape[1], BATCH):
        part = slice(start, start + BATCH)
        expected = library[:, None] * share[part]
        residual = (columns[:, part].toarray() - expected) / np.sqrt(
            np.maximum(expected * (1 + expected / theta), 1e-12)
        )
        variance[part] = np.clip(residual, -limit, limit).var(axis=0)
    return np.clip(1.0 - 1.0 / np.maximum(variance, 1e-12), 0.0, 1.0)


def _factors(
    values: sp.csc_matrix | sp.csc_array, mean: np.ndarray, scale: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Leading principal components (N, D) of standardised, weighted values (N, G), with mean zero and variance one."""
    dense = ((values.toarray() - mean) * (weight / scale)).astype(np.float32)
    by_cell = dense.shape[0] <= dense.shape[1]
    gram = (dense @ dense.T if by_cell else dense.T @ dense).astype(np.float64)
    rank = max(1, min(max(RANKS), min(dense.shape) - 1))
    value, vector = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    vector = vector[:, ::-1][:, value[::-1] > 1e-9 * max(float(value[-1]), 1e-300)]
    factors = vector if by_cell else dense @ vector
    factors = factors - factors.mean(axis=0)
    return np.asarray(factors * (np.sqrt(len(factors)) / np.maximum(np.linalg.norm(factors, axis=0), 1e-12)))
