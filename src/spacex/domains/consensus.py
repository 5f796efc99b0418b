"""Many mixtures on the features of pixels, and the labels on which they agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from spacex.domains.mixture import fit_em

COMPONENTS = (15, 20, 30, 40)
"""Principal components of the members of the consensus."""

INITS = 10
"""Members of the consensus for each number of components."""


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


def consensus_clustering(
    scores: np.ndarray, places: float, k: int, rng: np.random.Generator, *, inits: int = INITS
) -> Consensus:
    """Consensus of mixtures on scores (P, D), strongest first, which have so many independent places."""
    from sklearn.metrics import adjusted_rand_score

    found = ensemble(scores, places, k, rng, inits=inits)
    label = consensus(found, k, rng)
    agreement = np.mean([adjusted_rand_score(p.argmax(axis=1), label) for p in found])
    return Consensus(label, _confidence(found, label, k), float(agreement))


def _confidence(found: list[np.ndarray], label: np.ndarray, k: int) -> np.ndarray:
    """Mean over members (P, k') of the probability (P, k) of each label, a cluster being what it holds of them."""
    member = np.eye(k)[label]
    total = np.zeros((len(label), k))
    for posterior in found:
        held = posterior.T @ member
        total += posterior @ (held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12))
    return total / len(found)


def ensemble(
    scores: np.ndarray, places: float, k: int, rng: np.random.Generator, *, inits: int = INITS
) -> list[np.ndarray]:
    """Posteriors (P, k) of the mixtures that make the consensus: numbers of components x starts by K-means."""
    from sklearn.cluster import KMeans

    found = []
    for width in sorted({min(c, scores.shape[1]) for c in COMPONENTS}):
        for seed in rng.integers(2**31, size=inits):
            start = KMeans(k, n_init=1, random_state=int(seed)).fit_predict(scores[:, :width])
            found.append(fit_em(scores[:, :width], np.eye(k)[start], places))
    return found


def consensus(found: list[np.ndarray], k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (P,) on which the members agree.

    Pixels are embedded by the leading k singular vectors of all posteriors side by side, each cluster scaled
    to unit mass (the spectrum of the co-association of pixels, which is never formed), and clustered by
    K-means.
    """
    from sklearn.cluster import KMeans

    beside = np.hstack([p / np.sqrt(np.maximum(p.sum(axis=0), 1e-9)) for p in found])
    size = beside.shape[1]
    vector = scipy.linalg.eigh(beside.T @ beside, subset_by_index=(size - k, size - 1))[1]
    points = beside @ vector
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    seed = int(rng.integers(2**31))
    return np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(points), dtype=np.int64)
