"""Many mixtures on features of several widths, and the labels on which they agree."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg

COMPONENTS = (10, 12, 15, 20)
"""Principal components of the members of the consensus."""

INITS = 5
"""Members of the consensus for each number of components and each width."""


@dataclass(frozen=True)
class Consensus:
    """A clustering on which members agree.

    Attributes
    ----------
    label
        (P,) number of each pixel's cluster.
    confidence
        (P, k) probability of each cluster by the members: a member's posterior, its clusters read as what they hold of
        those of the consensus, mean over members.
    agreement
        Mean adjusted Rand index of the members with the labels.
    """

    label: np.ndarray
    confidence: np.ndarray
    agreement: float


def agree(
    features: list[np.ndarray], weights: tuple[float, ...], k: int, rng: np.random.Generator, *, inits: int = INITS
) -> Consensus:
    """Consensus of mixtures on features (P, D) of several widths, whose members count by the weight of their width."""
    from sklearn.metrics import adjusted_rand_score

    parts = [members(scores, k, rng, inits=inits) for scores in features]
    found = [member for part in parts for member in part]
    each = np.repeat(weights, [len(part) for part in parts])
    label = consensus(found, k, rng, weights=each)
    agreement = np.mean([adjusted_rand_score(p.argmax(axis=1), label) for p in found])
    return Consensus(label, _confidence(found, each, label, k), float(agreement))


def _confidence(found: list[np.ndarray], weights: np.ndarray, label: np.ndarray, k: int) -> np.ndarray:
    """Mean over members (P, k') of the probability (P, k) of each label, a cluster being what it holds of them."""
    member = np.eye(k)[label]
    total = np.zeros((len(label), k))
    for posterior, weight in zip(found, weights, strict=True):
        held = posterior.T @ member
        total += weight * posterior @ (held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12))
    return total / weights.sum()


def members(scores: np.ndarray, k: int, rng: np.random.Generator, *, inits: int = INITS) -> list[np.ndarray]:
    """Posteriors (P, k) of the mixtures that make the consensus: numbers of components x starts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    found = []
    for width in sorted({min(c, scores.shape[1]) for c in COMPONENTS}):
        for seed in rng.integers(2**31, size=inits):
            mixture = GaussianMixture(k, covariance_type="tied", reg_covar=1e-6, random_state=int(seed))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(scores[:, :width])
            found.append(mixture.predict_proba(scores[:, :width]))
    return found


def consensus(
    found: list[np.ndarray], k: int, rng: np.random.Generator, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """Labels (P,) on which the members agree, who count by `weights` (alike unless given).

    Pixels are embedded by the leading k singular vectors of all posteriors side by side, each cluster scaled
    to unit mass (the spectrum of the co-association of pixels, which is never formed), and clustered by
    K-means.
    """
    from sklearn.cluster import KMeans

    weights = np.ones(len(found)) if weights is None else weights
    beside = np.hstack([np.sqrt(w / np.maximum(p.sum(axis=0), 1e-9)) * p for p, w in zip(found, weights, strict=True)])
    size = beside.shape[1]
    vector = scipy.linalg.eigh(beside.T @ beside, subset_by_index=(size - k, size - 1))[1]
    points = beside @ vector
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    seed = int(rng.integers(2**31))
    return np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(points), dtype=np.int64)
