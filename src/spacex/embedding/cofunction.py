"""Gene vectors for function: the components of this section, beside the vectors of a reference."""

from __future__ import annotations

import numpy as np

from spacex.stats import l2_normalize

WEIGHT_POWER = 0.5
"""Power of the weights of the dimensions. 1 serves patterns best, 0 means unweighted components."""
REFERENCE_WEIGHT = 1.5
"""Length of the reference's vectors relative to those of the section."""


def cofunction_vectors(z: np.ndarray, weights: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Concatenate the vectors of the section and of a reference.

    Parameters
    ----------
    z
        (G, D) embeddings; zero for genes that are not embedded.
    weights
        (D,) weights that the dimensions have in the embeddings.
    reference
        (G, F) vectors of the reference, zero for unknown genes; None without a reference.

    Returns
    -------
    (G, D + F) float32. The dot product of two genes is the cosine in the section plus `REFERENCE_WEIGHT` squared times
    the cosine in the reference.
    """
    section = l2_normalize(z / np.maximum(weights, 1e-6) ** (1 - WEIGHT_POWER))
    parts = [section] if reference is None else [section, REFERENCE_WEIGHT * l2_normalize(reference)]
    return np.hstack(parts).astype(np.float32)
