"""The embedding of a pattern that no gene needs to have: what a gene would embed as if it followed it exactly."""

from __future__ import annotations

import numpy as np

from .raster import GeneImages


def pattern_direction(weights: np.ndarray, images: GeneImages, components: np.ndarray) -> np.ndarray:
    """Embedding (D,) of the expected map of a gene that follows weights (P,), on components (P, D).

    A gene of mean m in a pixel of library share s that changes in proportion to the weights has an expected Pearson
    residual in proportion to √s (w - w̄), w̄ the mean by library size: the map that counts would show if they were
    many. Nothing is drawn, so that no noise stands between a pattern and its genes. Sections are centred apart.
    """
    section = images.canvas.section
    share = images.share if images.is_count else np.ones(len(section))
    mean = np.bincount(section, share * weights) / np.bincount(section, share)
    residual = np.sqrt(share / share.mean()) * (weights - mean[section])
    residual -= (np.bincount(section, residual) / np.bincount(section))[section]
    return residual @ components


def expected_pattern(direction: np.ndarray, images: GeneImages, components: np.ndarray) -> np.ndarray:
    """Weights (P,) that a gene with the given direction (D,) follows: the way back of `pattern_direction`.

    The map of the direction, by the components scaled to unit length, over √s.
    """
    length = np.maximum(np.linalg.norm(components, axis=0), 1e-12)
    share = images.share if images.is_count else np.ones(len(components))
    return (components / length) @ (direction / length) / np.sqrt(share / share.mean())
