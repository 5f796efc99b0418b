"""Neighbors of genes in an embedding, and metrics computed from them.

A gene that is not embedded (a row of NaN) has no neighbors and is no neighbor. It gets the score of random neighbors,
so that an entry does not gain by leaving out difficult genes.
"""

from __future__ import annotations

import numpy as np

BLOCK = 1024


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32; a row with a NaN becomes zero, as is a row of zeros."""
    x = np.where(np.isfinite(x).all(axis=1, keepdims=True), x, 0)
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def embedded(z: np.ndarray) -> np.ndarray:
    """Which genes (G,) have a direction: rows that are finite and not zero."""
    return np.isfinite(z).all(axis=1) & (np.abs(np.nan_to_num(z)).max(axis=1, initial=0) > 0)


def nearest(z: np.ndarray, k: int) -> np.ndarray:
    """The k nearest others (G, k) of every row by cosine, unordered. All rows must have a direction."""
    x = unit(z)
    neighbors = np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), BLOCK):
        similarity = x[start : start + BLOCK] @ x.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        neighbors[rows + start] = np.argpartition(similarity, len(x) - k, axis=1)[:, len(x) - k :]
    return neighbors


def purity(z: np.ndarray, label: np.ndarray, k: int = 10) -> np.ndarray:
    """Share (G,) of each gene's k nearest neighbors that have its label (k-NN purity, cosine).

    The neighborhood form of cluster purity (Manning, Raghavan & Schütze 2008, section 16.3). A gene that is not
    embedded gets `chance`.
    """
    is_embedded, score = embedded(z), chance(label)
    if is_embedded.sum() > k:
        score[is_embedded] = (label[is_embedded][nearest(z[is_embedded], k)] == label[is_embedded][:, None]).mean(
            axis=1
        )
    return score


def chance(label: np.ndarray) -> np.ndarray:
    """Share (G,) of all other genes that have a gene's label: its purity with random neighbors."""
    _, index, size = np.unique(label, return_inverse=True, return_counts=True)
    return (size[index] - 1) / max(len(label) - 1, 1)


def overlap(first: np.ndarray, second: np.ndarray, k: int = 20) -> float:
    """Mean share of a gene's k nearest neighbors in one embedding that are also neighbors in another embedding.

    Q_NX(k) of the co-ranking matrix (Lee & Verleysen 2009, eq. 7), cosine. A gene that is not embedded in both counts
    k / (G - 1), the overlap of random neighbors.
    """
    n = len(first)
    k = min(k, n - 1)
    score = np.full(n, k / max(n - 1, 1))
    is_embedded = embedded(first), embedded(second)
    if min(is_embedded[0].sum(), is_embedded[1].sum()) > k:
        shared = np.zeros((2, n, k), dtype=np.int64)
        for part, z, mask in zip(shared, (first, second), is_embedded, strict=True):
            part[mask] = np.flatnonzero(mask)[nearest(z[mask], k)]
        both = np.sort(np.concatenate(shared, axis=1), axis=1)
        common = (np.diff(both, axis=1) == 0).sum(axis=1) / k
        score = np.where(is_embedded[0] & is_embedded[1], common, score)
    return float(score.mean())


def reciprocal_rank(reference: np.ndarray, query: np.ndarray, genes: np.ndarray) -> float:
    """Mean reciprocal rank (Voorhees 1999) of a gene's embedding, queried with its embedding from other counts.

    The query of each gene in `genes` is its row of `query`; all rows of `reference` are ranked by cosine, with
    zero vectors for genes that are not embedded. Ties get their mean rank.
    """
    x, y = unit(reference), unit(query)
    ranks = []
    for start in range(0, len(genes), BLOCK):
        queries = genes[start : start + BLOCK]
        similarity = y[queries] @ x.T
        target = similarity[np.arange(len(queries)), queries][:, None]
        ranks.append((similarity > target).sum(axis=1) + ((similarity == target).sum(axis=1) + 1) / 2)
    return float(np.mean(1 / np.concatenate(ranks)))


def follows_expression(z: np.ndarray, total: np.ndarray, k: int = 10) -> float:
    """Correlation of an embedded gene's log total with the mean of its k nearest neighbors'.

    A value near 1 means that the embedding represents the level of expression, not its pattern. The ideal value is not
    0, because co-expressed genes have similar totals to some degree.
    """
    is_embedded = embedded(z) & (total > 0)
    level = np.log(total[is_embedded])
    return float(np.corrcoef(level, level[nearest(z[is_embedded], k)].mean(axis=1))[0, 1])
