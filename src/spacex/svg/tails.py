"""Tails of quadratic forms, and the combination of p-values, in log space."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc, gammaln, logsumexp

MAX_P = 0.999


def log_gamma_sf(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log of the regularised upper incomplete gamma function, also where that underflows.

    There by its continued fraction (Abramowitz & Stegun 6.5.31).
    """
    shape, x = np.broadcast_arrays(np.asarray(shape, dtype=float), np.asarray(x, dtype=float))
    upper = gammaincc(shape, x)
    out = np.log(np.maximum(upper, 1e-290))
    far = upper < 1e-290
    a, z = shape[far], x[far]
    fraction = np.zeros_like(z)
    for k in range(200, 0, -1):
        fraction = k * (a - k) / (z + 2 * k + 1 - a + fraction)
    out[far] = a * np.log(z) - z - gammaln(a) - np.log(z + 1 - a + fraction)
    return out


def log_tail(value: np.ndarray, variance: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Log P(X > value), X a shifted gamma (Pearson's type III) of mean 0, `variance` and `third` cumulant."""
    scale = np.sqrt(np.maximum(variance, 1e-30))
    skewness = np.maximum(third / scale**3, 1e-3)
    shape = 4.0 / skewness**2
    return log_gamma_sf(shape, np.maximum(shape + np.sqrt(shape) * value / scale, 0.0))


def combine(log_p: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cauchy combination (Liu & Xie 2020) of log p-values (K, G), weighted, over the first axis, in log space."""
    weight = weight / weight.sum(axis=0)
    p = np.exp(np.clip(log_p, -30.0, np.log(MAX_P)))
    body = np.log(0.5 - np.arctan(np.sum(weight * np.tan((0.5 - p) * np.pi), axis=0)) / np.pi)
    far = -logsumexp(-log_p, b=weight, axis=0)  # tan((1/2 - p) π) tends to 1 / (p π)
    return np.where(log_p.min(axis=0) < -20.0, far, body)


def gaussian_share(gaussian: np.ndarray, third: np.ndarray) -> np.ndarray:
    """How far to trust a statistic: the share of its third cumulant that Gaussian noise would have as well.

    For sparse genes narrow kernels are all skewness and little power.
    """
    return np.clip(gaussian / np.maximum(third, 1e-30), 1e-6, 1.0)
