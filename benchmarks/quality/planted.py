"""How well the modules that were planted in a simulated section are found."""

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
    """Adjusted Rand index (Hubert & Arabie 1985) of K-means on directions, at the planted number of classes.

    Of the spatial genes, which no user could single out; or of all genes, where those without a pattern are a class
    of their own. Genes that are not embedded are zero vectors, hence mostly one cluster.
    """
    asked = np.full(len(planted), True) if all_genes else planted != NONE
    k = len(np.unique(planted[asked]))
    found = KMeans(k, n_init=10, random_state=seed).fit_predict(unit(z[asked]))
    return float(adjusted_rand_score(planted[asked], found))


def module_ari(module: np.ndarray, planted: np.ndarray) -> dict[str, float]:
    """Adjusted Rand index of an entry's own modules, and the share of genes without a pattern that get none.

    On spatial genes, and on all genes, where those without a pattern are a class of their own and
    ``"unassigned"`` is a label like others.
    """
    spatial = planted != NONE
    found = {
        "module ARI": adjusted_rand_score(planted[spatial], module[spatial]),
        "all-gene ARI": adjusted_rand_score(planted, module),
    }
    if not spatial.all():
        found["null unassigned"] = np.mean(module[~spatial] == UNASSIGNED)
    return {name: float(value) for name, value in found.items()}
