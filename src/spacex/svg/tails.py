"""Tail probabilities of quadratic forms and combination of p-values, in log space."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc, gammaln, logsumexp

MAX_P = 0.999
"""Larger p-values are lowered to it before they are combined: the Cauchy transform of 1 is -∞."""


def log_gamma_sf(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log of the regularized upper incomplete gamma function, also where the function itself underflows.

    There it is computed by its continued fraction (Abramowitz & Stegun 6.5.31).
    """
    shape, x = np.broadcast_arrays(np.asarray(shape, dtype=float), np.asarray(x, dtype=float))
    upper = gammaincc(shape, x)
    out = np.log(np.maximum(upper, 1e-290))
    underflow = upper < 1e-290
    a, z = shape[underflow], x[underflow]
    fraction = np.zeros_like(z)
    for k in range(200, 0, -1):
        fraction = k * (a - k) / (z + 2 * k + 1 - a + fraction)
    out[underflow] = a * np.log(z) - z - gammaln(a) - np.log(z + 1 - a + fraction)
    return out


def log_shifted_gamma_sf(value: np.ndarray, variance: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Log P(X > value) for a shifted gamma distribution (Pearson type III) of mean 0 with given cumulants.

    The cumulants are `variance` and `third`; the distribution has shape 4 / skewness².
    """
    scale = np.sqrt(np.maximum(variance, 1e-30))
    skewness = np.maximum(third / scale**3, 1e-3)
    shape = 4.0 / skewness**2
    return log_gamma_sf(shape, np.maximum(shape + np.sqrt(shape) * value / scale, 0.0))


def cauchy_combination(log_p: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cauchy combination of log p-values (K, G) with weights (K, G) over the first axis, in log space.

    p = 1/2 - arctan(Σ w_k tan((1/2 - p_k) π)) / π with Σ w_k = 1 (Liu & Xie 2020, JASA 115:393).
    """
    weight = weight / weight.sum(axis=0)
    p = np.exp(np.clip(log_p, -30.0, np.log(MAX_P)))
    combined = np.log(0.5 - np.arctan(np.sum(weight * np.tan((0.5 - p) * np.pi), axis=0)) / np.pi)
    tail = -logsumexp(-log_p, b=weight, axis=0)  # tan((1/2 - p) π) tends to 1 / (p π)
    return np.where(log_p.min(axis=0) < -20.0, tail, combined)


def gaussian_share(gaussian: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Share of the third cumulant that Gaussian noise would have, as a weight of a statistic, from 0 to 1.

    It is small for narrow kernels of sparse genes, whose statistics are skewed and have little power.
    """
    return np.clip(gaussian / np.maximum(third, 1e-30), 1e-6, 1.0)
