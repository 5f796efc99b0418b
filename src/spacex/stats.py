"""Statistics shared by several packages: normalization, group means, neighbors, q-values, cosine p-values."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import beta, false_discovery_control

MAX_NULL_NORM = 1.2
"""Largest embedding norm of a gene that counts as having no pattern; the mean norm of such genes is one."""
MIN_NULL_GENES = 30


def l2_normalize(z: np.ndarray) -> np.ndarray:
    """Scale rows to unit length; rows of zeros stay zero."""
    return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)


def group_mean(values: np.ndarray, group: np.ndarray, n_groups: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean of values in each group, in double precision.

    Parameters
    ----------
    values
        (..., N) values.
    group
        (N,) group index of each value; values of group -1 are ignored.
    n_groups
        Number of groups.
    weights
        (N,) nonnegative weights; equal by default.

    Returns
    -------
    (..., n_groups) means, zero for groups without values.
    """
    used = group >= 0
    if not used.all():
        group, values = group[used], values[..., used]
        weights = None if weights is None else weights[used]
    size = np.bincount(group, weights, minlength=n_groups)
    weighted = values if weights is None else weights * values
    rows = weighted.reshape(-1, len(group))
    sums = np.stack([np.bincount(group, row, minlength=n_groups) for row in rows])
    return (sums / np.where(size > 0, size, 1.0)).reshape(*values.shape[:-1], n_groups)


def fix_signs(components: np.ndarray) -> np.ndarray:
    """Flip columns (N, D) so that the entry of largest magnitude is positive.

    The sign of an eigenvector is arbitrary and differs between linear algebra libraries.
    """
    largest = np.abs(components).argmax(axis=0)
    return components * np.sign(components[largest, np.arange(components.shape[1])])


def nearest_neighbors(points: np.ndarray, n: int) -> np.ndarray:
    """Indices (N, n) of the nearest points of each point (N, d), sorted by distance; the first is the point itself."""
    return np.asarray(cKDTree(points).query(points, k=n)[1]).reshape(len(points), n)


def benjamini_hochberg(pvalue: np.ndarray) -> np.ndarray:
    """Q-values of p-values (any shape), over all that are not NaN; NaN where the p-value is NaN."""
    pvalue = np.asarray(pvalue, dtype=np.float64)
    qvalue = np.full(pvalue.shape, np.nan)
    tested = ~np.isnan(pvalue)
    if tested.any():
        qvalue[tested] = false_discovery_control(pvalue[tested])
    return qvalue


def signal_share(norm: np.ndarray) -> np.ndarray:
    """Share of a gene's map that is signal, from 0 to 1: 1 - 1 / norm² for the norm of its embedding.

    The squared norm is the ratio of the energy of the map to the energy expected without a pattern.
    """
    return np.clip(1.0 - 1.0 / np.maximum(norm, 1e-6) ** 2, 0.0, 1.0)


def direction_variance(z: np.ndarray) -> np.ndarray:
    """Mean squares (D,) of the coordinates of the unit directions of embeddings (G, D); they sum to one."""
    return np.asarray(np.mean(np.square(l2_normalize(z)), axis=0))


def weak_genes(z: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) of the genes, among embeddings (G, D), that count as having no pattern.

    Those of norm at most `MAX_NULL_NORM`, or all genes if these are fewer than `MIN_NULL_GENES`. They replace the genes
    redrawn without a pattern if an embedding comes without these.
    """
    weak = np.linalg.norm(z, axis=1) <= MAX_NULL_NORM
    return z[weak] if weak.sum() >= MIN_NULL_GENES else z


def cosine_pvalue(similarity: np.ndarray, query: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """P-values (G,) of cosine similarities (G,) to a query (D,), for the null of a gene without a pattern.

    Under the null a gene's direction has mean zero and coordinate variances `variance` (D,). The cosine with a unit
    query q then has variance s² = Σ variance q², and (1 + cosine) / 2 approximately follows a beta distribution with
    both parameters (1 / s² - 1) / 2; exactly so for isotropic directions, s² = 1 / D (Fang, Kotz & Ng 1990,
    section 2.2).
    """
    cosine_variance = float(variance @ np.square(l2_normalize(query)))
    half = max((1.0 / max(cosine_variance, 1e-12) - 1.0) / 2.0, 0.25)
    return np.asarray(beta.sf(np.clip((1.0 + similarity) / 2.0, 0.0, 1.0), half, half))
