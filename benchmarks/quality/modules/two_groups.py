"""Two groups of genes, with and without a pattern, by the strength of their embedding alone."""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import gamma, gaussian_kde

N_POINTS = 400


def gamma_shape(strength: np.ndarray) -> float:
    """Shape of the gamma distribution of mean 1 of squared norms, by moments, from norms (N,) without a pattern."""
    square = strength.astype(np.float64) ** 2
    return float(square.mean() ** 2 / square.var())


def local_fdr(strength: np.ndarray, shape: float) -> np.ndarray:
    """Local false discovery rate (G,) of embedding norms (G,), decreasing with the norm; 1 for NaN.

    The squared norm of genes without a pattern has a gamma distribution of mean 1 and the given shape. Their share is
    twice that of p-values above 0.5 (Storey 2002, eq. 6). The density of all genes is a Gaussian kernel estimate on
    the log of the squared norm (Efron et al. 2001, two-groups model).
    """
    known = np.isfinite(strength)
    x = 2 * np.log(np.maximum(strength[known], 1e-6))
    null_share = min(2 * np.mean(gamma.sf(np.exp(x), shape, scale=1 / shape) > 0.5), 1.0)
    points = np.linspace(x.min(), x.max(), N_POINTS)
    density = np.maximum(gaussian_kde(x)(points), 1e-300)
    null = gamma.pdf(np.exp(points), shape, scale=1 / shape) * np.exp(points)
    ratio = np.minimum(null_share * null / density, 1.0)
    rate = np.ones(len(strength))
    rate[known] = np.interp(x, points, isotonic_regression(ratio, weights=density, increasing=False).x)
    return rate
