"""Embedding of designated patterns: the expected embedding of a gene that follows a pattern exactly."""

from __future__ import annotations

import numpy as np
from scipy.linalg import orth

from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.stats import group_mean, l2_normalize

MIN_REMAINDER = 0.05
"""Norm of the remainder, relative to the map, below which an extra dimension would only add noise."""


def expected_map(weights: np.ndarray, images: GeneImages) -> np.ndarray:
    """Expected residual map (P,), up to a factor, of a gene whose expression is proportional to weights (P,).

    The expected Pearson residual in a pixel with library share s is proportional to √s (w - w̄), where w̄ is the mean
    weighted by library size. No counts are sampled, so the map has no noise. Each section is centered.
    """
    section, n_sections = images.layout.section, len(images.layout.grids)
    share = images.share if images.is_count else np.ones(len(section))
    mean = group_mean(weights, section, n_sections, share)
    residual = np.sqrt(share / share.mean()) * (weights - mean[section])
    residual -= group_mean(residual, section, n_sections)[section]
    return np.asarray(residual)


def spanned_basis(components: np.ndarray) -> np.ndarray:
    """Orthonormal basis (P, r) of the span of components (P, D), regardless of their norms."""
    norm = np.linalg.norm(components, axis=0)
    return np.asarray(orth(components[:, norm > 0] / norm[norm > 0]))


def orthogonal_remainder(target: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Unit vector (P, 1) along the part of a map (P,) that is orthogonal to components (P, D); (P, 0) if negligible.

    Components are patterns shared by many genes. A pattern that few genes follow may not be in their span.
    """
    basis = spanned_basis(components)
    remainder = target - basis @ (basis.T @ target)
    remainder -= basis @ (basis.T @ remainder)  # again, to remove the rounding error
    norm = float(np.linalg.norm(remainder))
    if norm <= MIN_REMAINDER * float(np.linalg.norm(target)):
        return np.zeros((len(target), 0))
    return np.asarray(remainder[:, None] / norm)


def extended_embedding(z: np.ndarray, images: GeneImages, components: np.ndarray, extra_maps: np.ndarray) -> np.ndarray:
    """Embeddings (G, D + m) with m extra dimensions, the projections on unit maps (P, m); norms are those of z (G, D).

    Directions of z are scaled to the norm of the gene's projection on the components, so that old and extra dimensions
    have the same unit.
    """
    norm, projection = np.empty(len(z)), np.empty((len(z), extra_maps.shape[1]))
    for genes, maps in images.batches(BATCH_GENES):
        norm[genes] = np.linalg.norm(maps @ components, axis=1)
        projection[genes] = maps @ extra_maps
    extended = l2_normalize(np.hstack([l2_normalize(z) * norm[:, None], projection]))
    return extended * np.linalg.norm(z, axis=1, keepdims=True)


def expected_pattern(direction: np.ndarray, images: GeneImages, components: np.ndarray) -> np.ndarray:
    """Weights (P,) followed by a gene with a direction (D,); the inverse of embedding `expected_map`.

    They are the map of the direction on components (P, D) scaled to unit norm, divided by √s.
    """
    norm = np.maximum(np.linalg.norm(components, axis=0), 1e-12)
    share = images.share if images.is_count else np.ones(len(components))
    return (components / norm) @ (direction / norm) / np.sqrt(share / share.mean())
