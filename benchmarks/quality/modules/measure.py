"""Metrics of modules: recovery of planted modules and calibration of probabilities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from ..planted import NONE

N_BINS = 10
UNMATCHED = -2
"""Planted module of genes whose module is matched to none."""


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


def matched(labels: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Planted module (G,) that the module of every gene is matched to; -1 for unassigned genes.

    The one-to-one matching with the most genes in common (Hungarian algorithm). Surplus modules are `UNMATCHED`.
    """
    found = np.full(len(labels), NONE)
    is_assigned = labels != NONE
    if not is_assigned.any():
        return found
    both = is_assigned & (planted != NONE)
    common = np.zeros((labels.max() + 1, max(planted.max() + 1, 0)))
    np.add.at(common, (labels[both], planted[both]), 1)
    partner = np.full(len(common), UNMATCHED)
    rows, columns = linear_sum_assignment(common, maximize=True)
    partner[rows] = columns
    found[is_assigned] = partner[labels[is_assigned]]
    return found


def is_right(labels: np.ndarray, planted: np.ndarray) -> np.ndarray:
    """Whether a gene (G,) is in the module matched to its planted module, or in none and has no pattern."""
    return matched(labels, planted) == planted


def reliability(probability: np.ndarray, right: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """Number of genes, mean probability and share right in bins of equally many genes, by increasing probability.

    Genes without a probability (NaN) are left out.
    """
    known = np.flatnonzero(np.isfinite(probability))
    order = known[np.argsort(probability[known], kind="stable")]
    bins = [part for part in np.array_split(order, n_bins) if len(part)]
    rows = [(len(part), probability[part].mean(), right[part].mean()) for part in bins]
    return pd.DataFrame(rows, columns=["genes", "probability", "right"])


def calibration_error(probability: np.ndarray, right: np.ndarray, n_bins: int = N_BINS) -> float:
    """Expected calibration error (Naeini et al. 2015) in bins of equally many genes."""
    table = reliability(probability, right, n_bins)
    return float(np.average((table["probability"] - table["right"]).abs(), weights=table["genes"]))


def auroc(score: np.ndarray, planted: np.ndarray) -> float:
    """AUROC of spatial genes against genes without a pattern; a gene without a score ranks last."""
    low = np.nanmin(score) - 1
    return float(roc_auc_score(planted != NONE, np.where(np.isnan(score), low, score)))
