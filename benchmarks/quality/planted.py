"""Recovery of the planted modules of a simulated section."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from .neighbors import purity, unit

NONE = -1
"""Planted module of a gene without a pattern."""
UNASSIGNED = "unassigned"


def planted_purity(z: np.ndarray, planted: np.ndarray, total: np.ndarray) -> dict[str, float]:
    """10-NN purity (cosine) among the spatial genes: over all of them, and over the third with the fewest counts."""
    spatial = planted != NONE
    share = purity(z[spatial], planted[spatial])
    low = total[spatial] <= np.quantile(total[spatial], 1 / 3)
    return {"purity": float(share.mean()), "purity, low third": float(share[low].mean())}


def direction_ari(z: np.ndarray, planted: np.ndarray, seed: int, *, all_genes: bool = False) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985) of K-means on directions, with the planted number of classes.

    On spatial genes, which are unknown in practice, or on all genes, where genes without a pattern are one more class.
    Genes that are not embedded are zero vectors, hence mostly one cluster.
    """
    is_scored = np.full(len(planted), True) if all_genes else planted != NONE
    k = len(np.unique(planted[is_scored]))
    cluster = KMeans(k, n_init=10, random_state=seed).fit_predict(unit(z[is_scored]))
    return float(adjusted_rand_score(planted[is_scored], cluster))


def module_ari(module: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Adjusted Rand index of the modules of an entry, and the share of unassigned genes among those without a pattern.

    On spatial genes, and on all genes, where genes without a pattern are one more class and ``"unassigned"``
    is one more label.
    """
    spatial = planted != NONE
    scores = {
        "module ARI": adjusted_rand_score(planted[spatial], module[spatial]),
        "all-gene ARI": adjusted_rand_score(planted, module),
    }
    if not spatial.all():
        scores["null unassigned"] = np.mean(module[~spatial] == UNASSIGNED)
    return {name: float(value) for name, value in scores.items()}
