"""Metrics of modules: recovery of planted modules and calibration of probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from spacex.stats import calibration_bins, match_labels

from ..planted import NONE

N_BINS = 10


def recovery(labels: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Adjusted Rand index of modules (G,), -1 for unassigned genes, with the planted ones.

    On all genes, genes without a pattern are one class, and unassigned genes one label.
    """
    spatial = planted != NONE
    return {
        "ARI, all genes": float(adjusted_rand_score(planted, labels)),
        "ARI, spatial genes": float(adjusted_rand_score(planted[spatial], labels[spatial])),
        "modules": float(len(np.unique(labels[labels != NONE]))),
    }


def assignment(labels: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Share of the genes without a pattern that are in a module, and of the spatial genes that are in none."""
    spatial = planted != NONE
    return {
        "null in module": float(np.mean(labels[~spatial] != NONE)),
        "spatial in none": float(np.mean(labels[spatial] == NONE)),
    }


def is_right(labels: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Whether a gene (G,) is in the module matched to its planted module, or in none and has no pattern."""
    return match_labels(labels, planted) == planted


def reliability(probability: np.ndarray, right: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """Number of genes, mean probability and share right in bins of equally many genes, by increasing probability."""
    return pd.DataFrame(calibration_bins(probability, right, n_bins), columns=["genes", "probability", "right"])


def auroc(score: np.ndarray, planted: np.ndarray) -> float:
    """AUROC of spatial genes against genes without a pattern; a gene without a score ranks last."""
    low = np.nanmin(score) - 1
    return float(roc_auc_score(planted != NONE, np.where(np.isnan(score), low, score)))
