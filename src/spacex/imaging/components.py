"""Orthonormal components of residual maps: of smoothed maps, and of the remainder.

Maps are streamed in batches of genes; only the basis is stored and smoothed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, qr

from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import fix_signs

N_OVERSAMPLES = 16
"""Extra vectors in the randomized eigendecomposition, which are discarded at the end."""
N_ITERATIONS = 3
N_FINE_ITERATIONS = 4
"""Iterations for the remainder, whose spectrum decays slowly; 8 iterations did not change any benchmark figure."""

LinearOperator = Callable[[np.ndarray], np.ndarray]
"""Product of a symmetric matrix (P, P) with a matrix (P, r)."""


def smooth_basis(
    images: GeneImages,
    *,
    sigma: float,
    n_components: int,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal components of smoothed residual maps: eigenvectors of W R'R W'.

    Parameters
    ----------
    images
        Gene images, with residual maps R (G, P).
    sigma
        Standard deviation, in pixel pitches, of the Gaussian smoother W.
    n_components
        Maximum number of components.
    seed
        Seed of the randomized eigendecomposition.
    group
        Processes that share the genes.

    Returns
    -------
    Orthonormal components (P, D) with fixed signs, and their eigenvalues (D,), largest first.
    """
    smoother = Smoother(images.layout, sigma)
    rank = min(n_components, images.n_pixels - 1, images.n_genes)
    matvec = _smoothed_covariance(images, smoother, group)
    basis, values = randomized_eigh(matvec, images.n_pixels, rank + N_OVERSAMPLES, seed)
    return fix_signs(basis[:, :rank]), values[:rank]


def fine_basis(
    images: GeneImages, coarse: np.ndarray, *, n_components: int, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> np.ndarray:
    """Leading principal components (P, m) of residual maps of unit norm, projected out of `coarse` (P, D).

    They represent patterns shared by genes that are not smooth. Orthonormal, with fixed signs, largest first.
    """
    rank = min(n_components, images.n_pixels - 1 - coarse.shape[1], images.n_genes)
    if rank < 1:
        return np.zeros((images.n_pixels, 0), dtype=np.float32)
    matvec = _remainder_covariance(images, coarse, group)
    basis, _ = randomized_eigh(matvec, images.n_pixels, rank + N_OVERSAMPLES, seed, N_FINE_ITERATIONS)
    return fix_signs(basis[:, :rank])


def randomized_eigh(
    matvec: LinearOperator, n_pixels: int, n_vectors: int, seed: int, n_iterations: int = N_ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvectors (P, n_vectors) and eigenvalues, largest first, of a covariance matrix given by its product.

    Randomized subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53:217, algorithm 4.4), in double
    precision: in single precision, components with similar eigenvalues would rotate with rounding errors, which depend
    on the number of threads.
    """
    basis = np.random.default_rng(seed).standard_normal((n_pixels, min(n_vectors, n_pixels)))
    for _ in range(n_iterations):
        basis = qr(matvec(basis), mode="economic")[0]
    values, vectors = eigh(basis.T @ matvec(basis))
    return (basis @ vectors[:, ::-1]).astype(np.float32), values[::-1]


def _smoothed_covariance(images: GeneImages, smoother: Smoother, group: ProcessGroup) -> LinearOperator:
    """Product B -> S'S B for smoothed maps S = R W' (G, P), streamed over genes."""

    def matvec(basis: np.ndarray) -> np.ndarray:
        smooth = np.ascontiguousarray(smoother.apply_transposed(basis.T).T)
        out = images.gram(smooth, group.batches(images.n_genes, images.batch_size(BATCH_GENES)))
        return smoother.apply(group.all_reduce(out).T).T

    return matvec


def _remainder_covariance(images: GeneImages, coarse: np.ndarray, group: ProcessGroup) -> LinearOperator:
    """Product B -> Q U'U Q B for maps U (G, P) of unit norm and the projector Q = 1 - CC', C = `coarse`."""

    def project_out(basis: np.ndarray) -> np.ndarray:
        return basis - coarse @ (coarse.T @ basis)

    def matvec(basis: np.ndarray) -> np.ndarray:
        outside = np.ascontiguousarray(project_out(basis))
        batches = group.batches(images.n_genes, images.batch_size(BATCH_GENES))
        return project_out(group.all_reduce(images.gram(outside, batches, unit=True)))

    return matvec
