"""The embedding of a pattern that no gene needs to have: what a gene would embed as if it followed it exactly."""

from __future__ import annotations

import numpy as np
from scipy.linalg import orth

from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.stats import group_mean, l2_normalize

NEGLIGIBLE_NORM = 0.05
"""Share of the length of a map below which what components lack of it would only add noise."""


def expected_map(weights: np.ndarray, images: GeneImages) -> np.ndarray:
    """Expected residual map (P,), up to a factor, of a gene that follows weights (P,).

    A gene of mean m in a pixel of library share s that changes in proportion to the weights has an expected Pearson
    residual in proportion to √s (w - w̄), w̄ the mean by library size: the map that counts would show if they were
    many. Nothing is drawn, so that no noise stands between a pattern and its genes. Sections are centred apart.
    """
    section, n_sections = images.layout.section, len(images.layout.grids)
    share = images.share if images.is_count else np.ones(len(section))
    mean = group_mean(weights, section, n_sections, share)
    residual = np.sqrt(share / share.mean()) * (weights - mean[section])
    residual -= group_mean(residual, section, n_sections)[section]
    return np.asarray(residual)


def spanned_basis(components: np.ndarray) -> np.ndarray:
    """Orthonormal basis (P, r) of what components (P, D) span, whatever their lengths."""
    length = np.linalg.norm(components, axis=0)
    return np.asarray(orth(components[:, length > 0] / length[length > 0]))


def orthogonal_remainder(target: np.ndarray, components: np.ndarray) -> np.ndarray:
    """What components (P, D) lack of a map (P,), of unit length: (P, 1), or (P, 0) where they lack nothing.

    Components are those that many genes share; a pattern that no gene has yet may be none of them.
    """
    basis = spanned_basis(components)
    rest = target - basis @ (basis.T @ target)
    rest -= basis @ (basis.T @ rest)
    left = float(np.linalg.norm(rest))
    if left <= NEGLIGIBLE_NORM * float(np.linalg.norm(target)):
        return np.zeros((len(target), 0))
    return np.asarray(rest[:, None] / left)


def extended_embedding(z: np.ndarray, images: GeneImages, components: np.ndarray, extra_maps: np.ndarray) -> np.ndarray:
    """Embeddings (G, D + m) of all genes with further components (P, m) of full weight; norms stay those of z (G, D).

    Directions are scaled to the length that the maps have on the components, so that both are in one unit.
    """
    length, added = np.empty(len(z)), np.empty((len(z), extra_maps.shape[1]))
    for genes, maps in images.batches(BATCH_GENES):
        length[genes] = np.linalg.norm(maps @ components, axis=1)
        added[genes] = maps @ extra_maps
    return l2_normalize(np.hstack([l2_normalize(z) * length[:, None], added])) * np.linalg.norm(
        z, axis=1, keepdims=True
    )


def expected_pattern(direction: np.ndarray, images: GeneImages, components: np.ndarray) -> np.ndarray:
    """Weights (P,) that a gene with the given direction (D,) follows: the way back of `expected_map` and its embedding.

    The map of the direction, by the components scaled to unit length, over √s.
    """
    length = np.maximum(np.linalg.norm(components, axis=0), 1e-12)
    share = images.share if images.is_count else np.ones(len(components))
    return (components / length) @ (direction / length) / np.sqrt(share / share.mean())
