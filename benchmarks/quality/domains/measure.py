"""What is measured of a division of spots."""

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


def quality(truth: np.ndarray, found: np.ndarray, xy: np.ndarray) -> dict[str, float]:
    """Agreement with the truth (S,), and how compact the domains found (S,) are at coordinates (S, 2)."""
    return {
        "ARI": adjusted_rand_score(truth, found), "NMI": normalized_mutual_info_score(truth, found),
        "homogeneity": homogeneity_score(truth, found), "completeness": completeness_score(truth, found),
        "CHAOS": chaos(found, xy), "PAS": pas(found, xy),
    }  # fmt: skip


def chaos(found: np.ndarray, xy: np.ndarray) -> float:
    """Mean distance to the nearest spot of the same domain, of standardized coordinates (Shang & Zhou 2022)."""
    xy = (xy - xy.mean(axis=0)) / xy.std(axis=0)
    total = 0.0
    for label in np.unique(found):
        here = xy[found == label]
        if len(here) > 2:
            total += cKDTree(here).query(here, k=2)[0][:, 1].sum()
    return total / len(xy)


def pas(found: np.ndarray, xy: np.ndarray) -> float:
    """Share of spots of which at least six of the ten nearest are of other domains (Shang & Zhou 2022)."""
    near = cKDTree(xy).query(xy, k=min(NEAR + 1, len(xy)))[1][:, 1:]
    return float(np.mean((found[near] != found[:, None]).sum(axis=1) >= MAX_OTHER))
