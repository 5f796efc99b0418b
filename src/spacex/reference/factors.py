"""Low-rank factors of similarity matrices of genes, on arrays.

A factor F (G, d) stands for the similarity matrix F Fᵀ of G genes. A sum of similarity matrices is the matrix of the
factors side by side, and the leading singular directions of a factor give the best approximation of lower rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from spacex.stats import fix_signs

BLOCK_ROWS = 8192
"""Number of rows that are converted to double precision at a time."""
RANK_TOL = 1e-10
"""Eigenvalues below this fraction of the largest one are rounding errors of single precision."""


def truncate(factor: np.ndarray, n_dims: int) -> np.ndarray:
    """Leading left singular directions of a factor times their singular values.

    They are F U for the leading eigenvectors U of FᵀF, computed in double precision by one thread, so that the result
    does not depend on the number of threads. Signs are those of `spacex.stats.fix_signs`.

    Parameters
    ----------
    factor
        (G, c) factor F.
    n_dims
        Maximum number of dimensions d.

    Returns
    -------
    (G, d) float32, by decreasing singular value; fewer dimensions if the rank of F is lower.
    """
    if not factor.size:
        return np.zeros((len(factor), 0), dtype=np.float32)
    blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(factor), BLOCK_ROWS)]
    with threadpool_limits(1):
        gram = np.zeros((factor.shape[1], factor.shape[1]))
        for block in blocks:
            rows = factor[block].astype(np.float64)
            gram += rows.T @ rows
        value, basis = np.linalg.eigh(gram)
        leading = np.argsort(-value, kind="stable")[:n_dims]
        leading = leading[value[leading] > RANK_TOL * max(value.max(), 0.0)]
        projected = [factor[block].astype(np.float64) @ basis[:, leading] for block in blocks]
    signed = fix_signs(np.concatenate(projected)) + 0.0  # turns -0.0 into 0.0
    return np.asarray(signed, dtype=np.float32)


def center(vectors: np.ndarray) -> np.ndarray:
    """Subtract from gene vectors (G, D) their mean over the genes."""
    return vectors - vectors.mean(axis=0, dtype=np.float64).astype(vectors.dtype)


def add_section(factor: np.ndarray, rows: np.ndarray, vectors: np.ndarray, weight: float, n_dims: int) -> np.ndarray:
    """Add the similarity matrix of a section to that of a factor.

    Parameters
    ----------
    factor
        (G, d) factor S.
    rows
        (G_s,) row of each gene of the section.
    vectors
        (G_s, D_s) vectors V of these genes; other genes count as zero.
    weight
        Weight w of the section.
    n_dims
        Maximum number of dimensions of the result.

    Returns
    -------
    `truncate` of S and √w V side by side: S Sᵀ + w V Vᵀ, exactly if its rank is at most `n_dims`.
    """
    section = np.zeros((len(factor), vectors.shape[1]), dtype=np.float32)
    section[rows] = np.sqrt(np.float32(weight)) * vectors
    return truncate(np.hstack([factor, section]), n_dims)


def joint_vectors(groups: Sequence[np.ndarray], n_dims: int) -> np.ndarray:
    """Joint vectors (G, D) float32 of the vectors (G, d) of several groups, zero for genes not measured in a group.

    Each group is divided by √(‖VᵀV‖_F / n), with n the number of genes measured in it, so that groups of similar rank
    have similar influence; then `truncate` is applied to the groups side by side.
    """
    scaled = []
    for vectors in groups:
        n_measured = max(int(vectors.any(axis=1).sum()), 1)
        with threadpool_limits(1):
            gram = vectors.T.astype(np.float64) @ vectors.astype(np.float64)
        scale = np.sqrt(np.linalg.norm(gram) / n_measured)
        scaled.append(vectors / np.float32(scale) if scale > 0 else vectors)
    return truncate(np.hstack(scaled), n_dims)
