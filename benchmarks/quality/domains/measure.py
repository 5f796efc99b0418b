"""Metrics of domains."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from sklearn.metrics import (
    adjusted_rand_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
)

NEAR, MAX_OTHER = 10, 6


def quality(truth: np.ndarray, labels: np.ndarray, xy: np.ndarray) -> dict[str, float]:
    """Agreement with the truth (S,), and compactness of the domains (S,) at coordinates (S, 2)."""
    return {
        "ARI": adjusted_rand_score(truth, labels), "NMI": normalized_mutual_info_score(truth, labels),
        "homogeneity": homogeneity_score(truth, labels), "completeness": completeness_score(truth, labels),
        "CHAOS": chaos(labels, xy), "PAS": pas(labels, xy),
    }  # fmt: skip


def chaos(labels: np.ndarray, xy: np.ndarray) -> float:
    """Mean distance to the nearest spot of the same domain, of standardized coordinates (Shang & Zhou 2022)."""
    xy = (xy - xy.mean(axis=0)) / xy.std(axis=0)
    total = 0.0
    for label in np.unique(labels):
        members = xy[labels == label]
        if len(members) > 2:
            total += cKDTree(members).query(members, k=2)[0][:, 1].sum()
    return total / len(xy)


def pas(labels: np.ndarray, xy: np.ndarray) -> float:
    """Share of spots of which at least six of the ten nearest are of other domains (Shang & Zhou 2022)."""
    near = cKDTree(xy).query(xy, k=min(NEAR + 1, len(xy)))[1][:, 1:]
    return float(np.mean((labels[near] != labels[:, None]).sum(axis=1) >= MAX_OTHER))
