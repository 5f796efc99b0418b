"""Similarity measures of gene pairs, and the nearest neighbors of genes by cosine similarity."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from sklearn.neighbors import NearestNeighbors

from spacex._infra.memory import check_memory
from spacex.stats import l2_normalize

PAIRS_PER_BLOCK = 100_000
BYTES_PER_PAIR = 100
"""Memory of one pair while pairs are sorted and stored in a sparse matrix."""


class SimilarityMeasure(Protocol):
    """A symmetric similarity of two genes, from -1 (opposite patterns) to 1."""

    def pairwise(self, pairs: np.ndarray) -> np.ndarray:
        """Similarity (N,) of pairs of gene indices (N, 2)."""

    def matrix(self, genes: np.ndarray) -> np.ndarray:
        """Similarity (n, n) between all genes with the given indices (n,)."""


class CosineSimilarity:
    """Cosine similarity of embeddings.

    Parameters
    ----------
    z
        Embeddings (G, D).
    """

    def __init__(self, z: np.ndarray):
        self.unit = l2_normalize(z.astype(np.float32))

    def pairwise(self, pairs: np.ndarray) -> np.ndarray:
        """Cosine (N,) of pairs (N, 2)."""
        cosine = np.empty(len(pairs))
        for start in range(0, len(pairs), PAIRS_PER_BLOCK):
            block = slice(start, start + PAIRS_PER_BLOCK)
            a, b = pairs[block].T
            cosine[block] = np.einsum("nd,nd->n", self.unit[a], self.unit[b])
        return cosine

    def matrix(self, genes: np.ndarray) -> np.ndarray:
        """Cosine (n, n) between genes (n,)."""
        return self.unit[genes] @ self.unit[genes].T


def neighbor_pairs(z: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Pairs (N, 2) of genes, smaller index first, where one gene is among the nearest neighbors of the other by cosine.

    The search is exact. scikit-learn computes the distances in blocks, so memory does not grow with G².
    """
    unit = l2_normalize(z.astype(np.float32))
    k = min(n_neighbors, len(unit) - 1)
    check_memory(
        BYTES_PER_PAIR * k * len(unit),
        what=f"comparing {len(unit)} genes with {k} neighbors each",
        hint="pass fewer n_neighbors=",
    )
    nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(unit).kneighbors(return_distance=False)
    pairs = np.column_stack([np.repeat(np.arange(len(unit)), k), nearest.ravel()])
    return np.unique(np.sort(pairs, axis=1), axis=0)
