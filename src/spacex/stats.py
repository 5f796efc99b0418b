"""How like a direction of the embedding genes are, and how often a gene without a pattern is as like."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta

MAX_NULL_NORM = 1.2
"""Norm up to which a gene is taken for one without a pattern; their norm is one on average."""
MIN_NULL_GENES = 30


def l2_normalize(z: np.ndarray) -> np.ndarray:
    """Rows of unit length; a row of zeros stays."""
    return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)


def signal_share(norm: np.ndarray) -> np.ndarray:
    """Share, 0 to 1, of a gene's map that is signal, by the norm of its embedding.

    The norm is the root of the ratio of a map's energy to that expected without a pattern: 1 - 1 / norm^2.
    """
    return np.clip(1.0 - 1.0 / np.maximum(norm, 1e-6) ** 2, 0.0, 1.0)


def noise_spread(z: np.ndarray) -> np.ndarray:
    """Mean square (D,) of the coordinates of directions without a pattern, from embeddings (G, D); their sum is one.

    Measured on the genes of norm up to `MAX_NULL_NORM`, all of them where these are fewer than `MIN_NULL_GENES`.
    """
    norm = np.linalg.norm(z, axis=1)
    weak = norm <= MAX_NULL_NORM
    chosen = z[weak] if weak.sum() >= MIN_NULL_GENES else z
    return np.asarray(np.mean(np.square(l2_normalize(chosen)), axis=0))


def cosine_pvalue(similarity: np.ndarray, query: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """P-values (G,) of cosines (G,) with a query (D,): how often a gene without a pattern has as high a cosine.

    The direction of such a gene has mean zero and mean squares `spread` (D,). So its cosine with a unit query q has
    variance s² = Σ spread q², and (1 + cosine) / 2 nearly a beta distribution with both parameters (1 / s² - 1) / 2:
    exactly so where the direction is isotropic, s² = 1 / D (Fang, Kotz & Ng 1990, section 2.2).
    """
    variance = float(spread @ np.square(l2_normalize(query)))
    half = max((1.0 / max(variance, 1e-12) - 1.0) / 2.0, 0.25)
    return np.asarray(beta.sf(np.clip((1.0 + similarity) / 2.0, 0.0, 1.0), half, half))
