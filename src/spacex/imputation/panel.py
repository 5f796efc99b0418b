"""Second moments of the panel genes over the target cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True)
class Panel:
    """Second moments of the panel genes over the target cells.

    Correlation and spread of a linear prediction follow from these matrices, without predicting any cell.

    Attributes
    ----------
    gene_index
        (P,) position of each panel gene among the reference genes.
    cov_xx
        (P, P) covariance of the predictors.
    cov_xy
        (P, P) covariance of the predictors (rows) with the standardized values (columns).
    """

    gene_index: np.ndarray
    cov_xx: np.ndarray
    cov_xy: np.ndarray

    def __len__(self) -> int:
        return len(self.gene_index)

    def prediction_sd(self, weights: np.ndarray) -> np.ndarray:
        """Standard deviation (G,) over cells of predictions with weights (P, G)."""
        return np.sqrt(np.maximum(self.prediction_covariance(weights, weights), 0.0))

    def prediction_covariance(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Covariance (G,) over cells of predictions with weights (P, G) and (P, G), gene by gene."""
        return np.asarray(np.einsum("pg,pq,qg->g", first, self.cov_xx, second, optimize=True))

    def correlation(self, weights: np.ndarray) -> np.ndarray:
        """Correlation (P,) of predictions of the panel genes, weights (P, P), with their values; NaN if constant."""
        sd = self.prediction_sd(weights)
        covariance = (weights * self.cov_xy).sum(axis=0)
        return np.where(sd > 1e-12, covariance / np.where(sd > 1e-12, sd, 1.0), np.nan)

    def cell_components(self, n: int) -> np.ndarray:
        """Weights (P, K) of the leading `n` principal components of the predictors, scaled to variance one."""
        size = len(self)
        n = min(n, size - 1)
        eigenvalues, vectors = scipy.linalg.eigh(self.cov_xx, subset_by_index=(size - n, size - 1))
        return np.asarray(vectors[:, ::-1] / np.sqrt(np.maximum(eigenvalues[::-1], 1e-9 * eigenvalues[-1])))
