"""Linear prediction of genes from a panel, by gene covariances of a reference.

The prediction is the mean of a Gaussian process over genes (Rasmussen & Williams 2006, eq. 2.25) with weights
w = (K + ridge I)^-1 k, where K holds the reference covariances of the panel genes and k those with the predicted gene.
Gene vectors and ridge are chosen by out-of-fold predictions of the panel genes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.linalg

from spacex.imputation.kernels import GeneKernel
from spacex.imputation.panel import Panel
from spacex.imputation.params import ImputationParams

RELIABILITY_FEATURES = ("spread", "agreement", "support")
"""Features of a prediction from which its reliability is estimated:

- spread: standard deviation over cells;
- agreement: mean correlation between the averaged predictions;
- support: mean of its largest correlations with measured panel genes.
"""


@dataclass(frozen=True)
class LinearModel:
    """Linear prediction of genes from the panel, and its evaluation on panel genes.

    Attributes
    ----------
    panel
        Second moments of the panel genes.
    averaged
        Kernels and ridge penalties whose predictions are averaged.
    n_support
        Number of panel genes that support a prediction.
    oof_weights
        (P, P) out-of-fold weights of the panel genes; zero between genes of one fold.
    held_out
        One row per panel gene: ``pcc``, the correlation of its out-of-fold prediction with its values, and its
        `RELIABILITY_FEATURES`.
    candidates
        One row per candidate: ``vectors``, ``ridge``, mean ``pcc``, ``chosen``.
    """

    panel: Panel
    averaged: tuple[tuple[GeneKernel, float], ...]
    n_support: int
    oof_weights: np.ndarray
    held_out: pd.DataFrame
    candidates: pd.DataFrame

    def predict(self, gene_index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights (P, G) that predict standardized values of genes (G,), and their `RELIABILITY_FEATURES` (G, 3)."""
        index = self.panel.gene_index
        averaged = [
            ridge_weights(kernel.between(index, index), kernel.between(index, gene_index), ridge)
            for kernel, ridge in self.averaged
        ]
        return np.mean(averaged, axis=0), _reliability_features(averaged, self.panel, self.n_support)


def make_folds(n_panel: int, rng: np.random.Generator, params: ImputationParams) -> list[np.ndarray]:
    """Random folds of the panel genes."""
    return np.array_split(rng.permutation(n_panel), min(params.n_folds, n_panel))


def fit_linear(
    kernels: Mapping[str, GeneKernel],
    ridges: Sequence[float],
    panel: Panel,
    folds: list[np.ndarray],
    params: ImputationParams,
) -> LinearModel:
    """Choose the candidates (kernels × ridges) that predict held-out panel genes best; their average is the model."""
    candidates = [(name, ridge) for name in kernels for ridge in ridges]
    oof_weights = []
    for kernel in kernels.values():
        gram = kernel.between(panel.gene_index, panel.gene_index)
        oof_weights += [out_of_fold_weights(gram, ridge, folds) for ridge in ridges]
    mean_pcc = np.array([mean_correlation(panel, weights) for weights in oof_weights])
    chosen = np.sort(np.argsort(-mean_pcc, kind="stable")[: params.n_averaged])
    table = pd.DataFrame(candidates, columns=["vectors", "ridge"])
    table["pcc"], table["chosen"] = mean_pcc, np.isin(np.arange(len(candidates)), chosen)
    averaged = tuple((kernels[name], ridge) for name, ridge in (candidates[c] for c in chosen))
    averaged_oof = [oof_weights[c] for c in chosen]
    mean_oof = np.mean(averaged_oof, axis=0)
    held_out = pd.DataFrame(
        _reliability_features(averaged_oof, panel, params.n_support, leave_one_out=True),
        columns=list(RELIABILITY_FEATURES),
    )
    held_out.insert(0, "pcc", panel.correlation(mean_oof))
    return LinearModel(panel, averaged, params.n_support, mean_oof, held_out, table)


def ridge_weights(gram: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (P, G) of panel genes with covariances (P, P), for genes with covariances (P, G) with them."""
    return np.asarray(scipy.linalg.solve(gram + ridge * np.eye(len(gram)), cross, assume_a="pos"))


def out_of_fold_weights(gram: np.ndarray, ridge: float, folds: list[np.ndarray]) -> np.ndarray:
    """Out-of-fold weights (P, P) of panel genes with covariances (P, P); zero between genes of one fold."""
    weights = np.zeros_like(gram, dtype=np.float64)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(gram)), fold)
        weights[np.ix_(rest, fold)] = ridge_weights(gram[np.ix_(rest, rest)], gram[np.ix_(rest, fold)], ridge)
    return weights


def mean_correlation(panel: Panel, weights: np.ndarray) -> float:
    """Mean correlation of predictions of the panel genes, weights (P, P), with their values; NaN if all are."""
    return _finite_mean(panel.correlation(weights))


def _finite_mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def _reliability_features(
    averaged: list[np.ndarray], panel: Panel, n_support: int, *, leave_one_out: bool = False
) -> np.ndarray:
    """`RELIABILITY_FEATURES` (G, 3) of the mean of predictions with weights (P, G).

    `leave_one_out`: the genes are the panel genes, and a gene does not support itself.
    """
    scaled = [weights / np.maximum(panel.prediction_sd(weights), 1e-12) for weights in averaged]
    pairwise = [panel.prediction_covariance(first, second) for first, second in combinations(scaled, 2)]
    mean_weights = np.mean(averaged, axis=0)
    spread = panel.prediction_sd(mean_weights)
    correlation = mean_weights.T @ panel.cov_xy / np.maximum(spread, 1e-12)[:, None]
    if leave_one_out:
        np.fill_diagonal(correlation, -1.0)
    support = np.sort(correlation, axis=1)[:, -n_support:].mean(axis=1)
    return np.stack([spread, np.mean(pairwise, axis=0), support], axis=1)
