"""Statistics shared by several packages: normalization, group means, neighbors, p- and q-values, calibration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.special import gammaln
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


def sign_flip_pvalue(similarity: np.ndarray) -> np.ndarray:
    """P-values (n,) of similarities (n,): the share that is at most -c, with one added to both counts.

    Without a relation, c and -c are equally likely (Barber & Candès 2015, section 1.2).
    """
    n_below = np.searchsorted(np.sort(similarity), -similarity, side="right")
    pvalue: np.ndarray = (1.0 + n_below) / (1.0 + len(similarity))
    return pvalue


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


def stratified_overlap_pvalue(overlap: int, strata: np.ndarray) -> float:
    """Probability that two sets of genes have at least `overlap` genes in common by chance, given their expression.

    Within a stratum of N genes, the common genes of two unrelated sets of K and n of them follow the hypergeometric
    distribution; the total over the strata is their convolution. This is the exact conditional test of a common odds
    ratio of one in stratified 2 × 2 tables, one-sided (Mehta, Patel & Gray 1985), which Cochran-Mantel-Haenszel tests
    approximate. With one stratum it is Fisher's exact test.

    Parameters
    ----------
    overlap
        Number k of common genes.
    strata
        (L, 3) N, K and n of each stratum.
    """
    density = np.ones(1)
    for n_genes, n_first, n_second in strata.tolist():
        overlap -= max(0, n_first + n_second - n_genes)  # the smallest number of common genes
        if 0 < n_first < n_genes and 0 < n_second < n_genes:
            density = np.convolve(density, hypergeometric_density(n_genes, n_first, n_second))
    return float(min(density[max(overlap, 0) :].sum(), 1.0))


@lru_cache(maxsize=10_000)
def hypergeometric_density(n_genes: int, n_first: int, n_second: int) -> np.ndarray:
    """Density of the number of common genes of random sets of K and n of N genes, over its support."""
    common = np.arange(max(0, n_first + n_second - n_genes), min(n_first, n_second) + 1)
    log_density = (
        _log_binomial(n_first, common)
        + _log_binomial(n_genes - n_first, n_second - common)
        - _log_binomial(n_genes, np.array(n_second))
    )
    return np.asarray(np.exp(log_density))


def _log_binomial(n: int, k: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))


def calibration_bins(probability: np.ndarray, is_right: np.ndarray, n_bins: int = 10) -> np.ndarray:
    """Number of values, mean probability and share right (B, 3) in bins of equal size, by increasing probability.

    Values without a probability (NaN) are left out.
    """
    known = np.flatnonzero(np.isfinite(probability))
    order = known[np.argsort(probability[known], kind="stable")]
    bins = [part for part in np.array_split(order, n_bins) if len(part)]
    rows = [(len(part), probability[part].mean(), is_right[part].mean()) for part in bins]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def calibration_error(probability: np.ndarray, is_right: np.ndarray, n_bins: int = 10) -> float:
    """Expected calibration error with bins of equal size (Naeini, Cooper & Hauskrecht 2015, eq. 2)."""
    size, expected, observed = calibration_bins(probability, is_right, n_bins).T
    return float(np.sum(size * np.abs(expected - observed)) / max(size.sum(), 1.0))


def match_labels(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """True label (N,) that each label (N,) is matched to: the one-to-one matching with the most members in common.

    -1 means no label, and is matched to -1; labels without a partner become -2. Hungarian algorithm (Kuhn 1955).
    """
    found = np.full(len(labels), -1)
    has_label = labels >= 0
    if not has_label.any():
        return found
    both = has_label & (truth >= 0)
    common = np.zeros((labels.max() + 1, max(truth.max() + 1, 0)))
    np.add.at(common, (labels[both], truth[both]), 1)
    partner = np.full(len(common), -2)
    rows, columns = linear_sum_assignment(common, maximize=True)
    partner[rows] = columns
    found[has_label] = partner[labels[has_label]]
    return found
