"""Consensus clustering of pixels by an ensemble of Gaussian mixtures, and selection of the number of domains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from spacex.domains.mixture import fit_em
from spacex.domains.params import DomainParams


@dataclass(frozen=True)
class Consensus:
    """A consensus of an ensemble of clusterings.

    Attributes
    ----------
    label
        (P,) cluster of each pixel.
    confidence
        (P, k) posterior probability, averaged over members after mapping each member's clusters to consensus clusters.
    agreement
        Mean adjusted Rand index between the members and the consensus.
    """

    label: np.ndarray
    confidence: np.ndarray
    agreement: float


def consensus_clustering(
    scores: np.ndarray, n_effective: float, k: int, rng: np.random.Generator, params: DomainParams, *, n_init: int
) -> Consensus:
    """Consensus of mixtures on scores (P, D), ordered by variance, with `n_effective` independent pixels.

    The ensemble has `n_init` members for each number of components.
    """
    members = fit_ensemble(scores, n_effective, k, rng, params, n_init=n_init)
    label = combine_members(members, k, rng)
    agreement = np.mean([adjusted_rand_score(posterior.argmax(axis=1), label) for posterior in members])
    return Consensus(label, _mean_posterior(members, label, k), float(agreement))


def fit_ensemble(
    scores: np.ndarray, n_effective: float, k: int, rng: np.random.Generator, params: DomainParams, *, n_init: int
) -> list[np.ndarray]:
    """Posteriors (P, k) of mixtures with different numbers of components and K-means initializations."""
    members = []
    for n_dims in sorted({min(n, scores.shape[1]) for n in params.member_components}):
        for seed in rng.integers(2**31, size=n_init):
            label = KMeans(k, n_init=1, random_state=int(seed)).fit_predict(scores[:, :n_dims])
            members.append(fit_em(scores[:, :n_dims], np.eye(k)[label], n_effective, params))
    return members


def combine_members(members: list[np.ndarray], k: int, rng: np.random.Generator) -> np.ndarray:
    """Consensus labels (P,) of posteriors (P, k) of the members.

    Pixels are embedded by the leading k left singular vectors of all posteriors side by side, each cluster scaled to
    unit mass, and clustered by K-means. This is the spectrum of the co-association matrix of pixels, without forming
    that (P, P) matrix.
    """
    stacked = np.hstack([posterior / np.sqrt(np.maximum(posterior.sum(axis=0), 1e-9)) for posterior in members])
    size = stacked.shape[1]
    vector = scipy.linalg.eigh(stacked.T @ stacked, subset_by_index=(size - k, size - 1))[1]
    points = stacked @ vector
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    seed = int(rng.integers(2**31))
    return np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(points), dtype=np.int64)


def _mean_posterior(members: list[np.ndarray], label: np.ndarray, k: int) -> np.ndarray:
    """Posterior (P, k) averaged over members, after mapping each member's clusters to consensus clusters by overlap."""
    one_hot = np.eye(k)[label]
    total = np.zeros((len(label), k))
    for posterior in members:
        overlap = posterior.T @ one_hot
        total += posterior @ (overlap / np.maximum(overlap.sum(axis=1, keepdims=True), 1e-12))
    return total / len(members)


def agreement_by_number(scores: np.ndarray, n_effective: float, params: DomainParams) -> dict[int, float]:
    """Agreement of the ensemble for each number of domains considered by ``n_domains=None``."""
    rng = np.random.default_rng(0)  # fixed: the number of domains must not depend on the seed
    high = max(2, min(params.max_domains, len(scores) // params.min_pixels_per_candidate))
    if len(scores) > params.selection_max_pixels:
        scores = scores[np.sort(rng.choice(len(scores), params.selection_max_pixels, replace=False))]
        n_effective = min(n_effective, params.selection_max_pixels)
    return {
        k: consensus_clustering(scores, n_effective, k, rng, params, n_init=params.selection_n_init).agreement
        for k in range(min(params.min_domains, high), high + 1)
    }
