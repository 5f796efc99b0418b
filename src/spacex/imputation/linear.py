"""Linear prediction of genes from a panel, by gene covariances of a reference.

The prediction is the mean of a Gaussian process over genes (Rasmussen & Williams 2006, eq. 2.25) with weights
w = (K + ridge I)^-1 k, where K holds the reference covariances of the panel genes and k those with the predicted gene.
Gene vectors and ridge are chosen by out-of-fold predictions of the panel genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import scipy.linalg

from spacex.imputation.panel import Panel
from spacex.imputation.params import ImputationParams

RELIABILITY_FEATURES = ("spread", "agreement", "support")
"""Features of a prediction from which its reliability is estimated:

- spread: standard deviation over cells;
- agreement: mean correlation between the averaged predictions;
- support: mean of its largest correlations with measured panel genes.
"""


@dataclass(frozen=True)
class LinearPrediction:
    """Weights that predict genes from the panel, and the evaluation on panel genes.

    Attributes
    ----------
    weights
        (P, G) weights that predict standardized values from the predictors.
    features
        (G, 3) `RELIABILITY_FEATURES` of the predictions.
    oof_weights
        (P, P) out-of-fold weights of the panel genes; zero between genes of one fold.
    held_out
        One row per panel gene: ``pcc``, the correlation of its out-of-fold prediction with its values, and its
        `RELIABILITY_FEATURES`.
    candidates
        One row per candidate: ``vectors``, ``ridge``, mean ``pcc``, ``chosen``.
    """

    weights: np.ndarray
    features: np.ndarray
    oof_weights: np.ndarray
    held_out: pd.DataFrame
    candidates: pd.DataFrame


def predict_linear(
    vectors: dict[str, np.ndarray],
    panel: Panel,
    gene_index: np.ndarray,
    rng: np.random.Generator,
    params: ImputationParams,
) -> LinearPrediction:
    """Predict the reference genes `gene_index` (G,) with the average of the best candidates (vectors × ridge)."""
    candidates = [(name, ridge) for name in vectors for ridge in params.ridges]
    folds = np.array_split(rng.permutation(len(panel)), min(params.n_folds, len(panel)))
    panel_vectors = {name: values[panel.gene_index] for name, values in vectors.items()}
    oof_weights = [_oof_weights(panel_vectors[name], ridge, folds) for name, ridge in candidates]
    mean_pcc = np.array([_finite_mean(panel.correlation(weights)) for weights in oof_weights])
    chosen = np.sort(np.argsort(-mean_pcc, kind="stable")[: params.n_averaged])
    table = pd.DataFrame(candidates, columns=["vectors", "ridge"])
    table["pcc"], table["chosen"] = mean_pcc, np.isin(np.arange(len(candidates)), chosen)
    averaged = [
        ridge_weights(panel_vectors[name], vectors[name][gene_index], ridge)
        for name, ridge in (candidates[c] for c in chosen)
    ]
    averaged_oof = [oof_weights[c] for c in chosen]
    mean_oof = np.mean(averaged_oof, axis=0)
    held_out = pd.DataFrame(
        _reliability_features(averaged_oof, panel, params.n_support, leave_one_out=True),
        columns=list(RELIABILITY_FEATURES),
    )
    held_out.insert(0, "pcc", panel.correlation(mean_oof))
    features = _reliability_features(averaged, panel, params.n_support)
    return LinearPrediction(np.mean(averaged, axis=0), features, mean_oof, held_out, table)


def ridge_weights(panel: np.ndarray, genes: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (P, G) of panel genes with vectors (P, D) for genes with vectors (G, D)."""
    gram = panel @ panel.T + ridge * np.eye(len(panel))
    return np.asarray(scipy.linalg.solve(gram, panel @ genes.T, assume_a="pos"))


def _oof_weights(panel: np.ndarray, ridge: float, folds: list[np.ndarray]) -> np.ndarray:
    """Out-of-fold weights (P, P) of panel genes with vectors (P, D); zero between genes of one fold."""
    weights = np.zeros((len(panel), len(panel)))
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(panel)), fold)
        weights[np.ix_(rest, fold)] = ridge_weights(panel[rest], panel[fold], ridge)
    return weights


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
