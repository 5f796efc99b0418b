"""Gene covariances of a reference: genes as vectors whose inner products are noise-free covariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from spacex.imaging.residuals import log_normalize, pearson_residuals
from spacex.imputation.params import ImputationParams

MIN_SD = 1e-6
"""Genes with at most this standard deviation count as constant (relative to the largest one if that is below 1)."""

GENES_PER_BLOCK = 256


@dataclass(frozen=True)
class CovarianceReference:
    """Gene covariances of a reference.

    Attributes
    ----------
    mean, scale
        (G,) mean and standard deviation of the values of each gene.
    is_detected
        (G,) whether a gene is detected in enough cells and not constant.
    loadings
        (G, D) covariance of each gene's standardized values with the principal components of the cells, the leading
        component first.
    embedding
        (G, E) vectors of the genes from their spatial maps; None without coordinates.
    ranks
        Numbers of components that make candidate vectors.
    """

    mean: np.ndarray
    scale: np.ndarray
    is_detected: np.ndarray
    loadings: np.ndarray
    embedding: np.ndarray | None
    ranks: tuple[int, ...]

    @property
    def vectors(self) -> dict[str, np.ndarray]:
        """Candidate gene vectors (G, D) by name; the inner product of two is the noise-free covariance of the genes."""
        ranks = sorted({min(rank, self.loadings.shape[1]) for rank in self.ranks})
        candidates = {f"{rank} components": self.loadings[:, :rank] for rank in ranks}
        return candidates if self.embedding is None else candidates | {"embedding": self.embedding}

    @property
    def keys(self) -> np.ndarray:
        """(G, D + E) loadings and embedding side by side: the keys of the corrector's memory."""
        return self.loadings if self.embedding is None else np.hstack([self.loadings, self.embedding])


def mean_and_sd(values: sp.spmatrix | sp.sparray) -> tuple[np.ndarray, np.ndarray]:
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
    params: ImputationParams,
) -> CovarianceReference:
    """Compute gene covariances from the cells × genes `matrix` (N, G) of a reference.

    Counts are log-normalized, intensities used as they are; both are standardized. Genes are weighted by the square
    root of their share of variance above noise, 1 - 1 / v with v the variance of their Pearson residuals. Loadings are
    the covariances with the leading principal components of the weighted values. `embedding` (G, E) is stored.
    """
    if matrix.shape[0] > params.max_cells:
        matrix = matrix[np.sort(rng.choice(matrix.shape[0], params.max_cells, replace=False))]
    n_cells = matrix.shape[0]
    values = (log_normalize(matrix) if is_count else matrix.astype(np.float32)).tocsc()
    mean, scale = mean_and_sd(values)
    min_sd = MIN_SD * min(1.0, float(scale.max(initial=0.0)))
    is_detected = (np.diff(values.indptr) >= params.min_cells) & (scale > min_sd)
    weight = np.where(is_detected, np.sqrt(_residual_signal_share(matrix, params.theta)) if is_count else 1.0, 0.0)
    genes = np.argsort(-weight, kind="stable")
    genes = genes[weight[genes] > 0] if (weight > 0).sum() >= 2 else np.flatnonzero(is_detected)
    genes = genes[: params.max_genes]
    scores = _component_scores(
        values[:, genes], mean[genes], np.maximum(scale[genes], min_sd), weight[genes], max(params.n_components)
    )
    loadings = np.asarray((values.T @ scores) / n_cells)  # scores have mean zero: values need no centering
    loadings = np.where(is_detected[:, None], loadings / np.where(is_detected, scale, 1.0)[:, None], 0.0)
    return CovarianceReference(mean, scale, is_detected, loadings, embedding, params.n_components)


def _residual_signal_share(counts: sp.csr_matrix | sp.csr_array, theta: float) -> np.ndarray:
    """Share (G,) of the variance of Pearson residuals above the noise variance of one."""
    library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    share = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel() / max(library.sum(), 1e-300)
    columns, limit = counts.tocsc(), np.sqrt(counts.shape[0])
    variance = np.empty(counts.shape[1])
    for start in range(0, counts.shape[1], GENES_PER_BLOCK):
        block = columns[:, start : start + GENES_PER_BLOCK].tocoo()
        expected = np.outer(library, share[start : start + GENES_PER_BLOCK])
        limits = np.full(block.shape[1], limit)
        residuals = pearson_residuals(block.data, block.row, block.col, expected, limits, theta)
        variance[start : start + GENES_PER_BLOCK] = residuals.var(axis=0)
    return np.clip(1.0 - 1.0 / np.maximum(variance, 1e-12), 0.0, 1.0)


def _component_scores(
    values: sp.csc_matrix | sp.csc_array, mean: np.ndarray, scale: np.ndarray, weight: np.ndarray, n_components: int
) -> np.ndarray:
    """Scores (N, D), with mean zero and variance one, of the principal components of weighted values (N, G)."""
    standardized = ((values.toarray() - mean) * (weight / scale)).astype(np.float32)
    by_cell = standardized.shape[0] <= standardized.shape[1]
    gram = (standardized @ standardized.T if by_cell else standardized.T @ standardized).astype(np.float64)
    rank = max(1, min(n_components, min(standardized.shape) - 1))
    eigenvalues, vectors = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    vectors = vectors[:, ::-1][:, eigenvalues[::-1] > 1e-9 * max(float(eigenvalues[-1]), 1e-300)]
    scores = vectors if by_cell else standardized @ vectors
    scores = scores - scores.mean(axis=0)
    return np.asarray(scores * (np.sqrt(len(scores)) / np.maximum(np.linalg.norm(scores, axis=0), 1e-12)))
