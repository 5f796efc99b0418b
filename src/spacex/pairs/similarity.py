"""How alike two genes are: the cosine of their embeddings."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from sklearn.neighbors import NearestNeighbors

from spacex._infra.memory import check_memory
from spacex.stats import l2_normalize

PAIRS_AT_ONCE = 100_000
BYTES_OF_PAIR = 100
"""What a pair takes while all are sorted, and in the matrix that is made of them."""


class SimilarityMeasure(Protocol):
    """A symmetric measure of how alike two genes are, from -1 (opposite patterns) to 1."""

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """Measure (N,) of pairs of genes (N, 2)."""

    def among(self, genes: np.ndarray) -> np.ndarray:
        """Measure (n, n) between all of a few genes."""


class CosineSimilarity:
    """Cosine of embeddings.

    Parameters
    ----------
    z
        Embeddings (G, D).
    """

    def __init__(self, z: np.ndarray):
        self.unit = l2_normalize(z.astype(np.float32))

    def of(self, pairs: np.ndarray) -> np.ndarray:
        """Cosine (N,) of pairs (N, 2)."""
        found = np.empty(len(pairs))
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            a, b = pairs[start : start + PAIRS_AT_ONCE].T
            found[start : start + PAIRS_AT_ONCE] = np.einsum("nd,nd->n", self.unit[a], self.unit[b])
        return found

    def among(self, genes: np.ndarray) -> np.ndarray:
        """Cosine (n, n) between genes (n,)."""
        return self.unit[genes] @ self.unit[genes].T


def neighbor_pairs(z: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Pairs (N, 2), the smaller number first, of genes of which one is among the nearest of the other by cosine.

    Exact; memory is bounded by the blocks in which scikit-learn computes distances.
    """
    unit = l2_normalize(z.astype(np.float32))
    k = min(n_neighbors, len(unit) - 1)
    check_memory(
        BYTES_OF_PAIR * k * len(unit), what=f"comparing {len(unit)} genes with {k} each", hint="pass fewer n_neighbors="
    )
    near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(unit).kneighbors(return_distance=False)
    pairs = np.column_stack([np.repeat(np.arange(len(unit)), k), near.ravel()])
    return np.unique(np.sort(pairs, axis=1), axis=0)
