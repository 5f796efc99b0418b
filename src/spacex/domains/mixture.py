"""Gaussian mixtures with one covariance for all clusters, which is shrunk where maps are smooth, on a graph or not.

Scikit-learn's mixtures have neither: on a small section a covariance of 20 components is estimated from a handful of
places that differ, however many pixels the smoothing has made of them.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

MAX_STEPS, TOLERANCE = 100, 1e-3
"""Steps of expectation-maximization, and the gain in mean log likelihood that ends them."""

MAX_SWEEPS, SETTLED = 30, 1e-3
"""Sweeps of the field, and the change of a probability that ends them."""

POTTS_BETA = 1.5
"""Log odds of a cluster for every neighbour that is of it (beta of the Potts model)."""

COMPONENTS_PER_EFFECTIVE_SAMPLE = 0.3
"""Components that one independent place can tell about; more of them shrink the covariance by half or more."""

VARIANCE_FLOOR = 1e-6
"""Least variance, of components whose first has variance one."""


def shrinkage(n_components: int, places: float) -> float:
    """Share of a sphere in the covariance of components that were estimated from so many independent places."""
    return n_components / (n_components + COMPONENTS_PER_EFFECTIVE_SAMPLE * places)


def fit_em(scores: np.ndarray, posterior: np.ndarray, places: float) -> np.ndarray:
    """Posteriors (P, k) of a mixture on scores (P, D) after expectation-maximization from the posteriors given."""
    last = -np.inf
    for _ in range(MAX_STEPS):
        joint = _log_density(scores, posterior, places) + np.log(posterior.mean(axis=0) + 1e-12)
        top = joint.max(axis=1, keepdims=True)
        posterior = np.exp(joint - top)
        total = posterior.sum(axis=1, keepdims=True)
        posterior /= total
        gained = float((top + np.log(total)).mean())
        if gained - last < TOLERANCE:
            break
        last = gained
    return posterior


def hmrf_mean_field(scores: np.ndarray, label: np.ndarray, near: np.ndarray, places: float) -> np.ndarray:
    """Labels (P,) of the hidden Markov random field on scores (P, D) that is reached from the labels given.

    A pixel is of a cluster by its scores and by `near` (P, n), its neighbours: a Potts model with `POTTS_BETA`,
    solved by the mean field approximation (Celeux, Forbes & Peyrard 2003, Pattern Recognition 36, 131) in damped
    sweeps of all pixels at once. The labels given are returned where a cluster would be lost.
    """
    posterior = np.eye(label.max() + 1)[label]
    for _ in range(MAX_SWEEPS):
        joint = _log_density(scores, posterior, places) + POTTS_BETA * posterior[near].sum(axis=1)
        new = np.exp(joint - joint.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        change = np.abs(new - posterior).max()
        posterior = 0.5 * (new + posterior)
        if change < SETTLED:
            break
    found = posterior.argmax(axis=1)
    return found if len(np.unique(found)) == len(np.unique(label)) else label


def _log_density(scores: np.ndarray, posterior: np.ndarray, places: float) -> np.ndarray:
    """Log density (P, k) of scores in every cluster, but for a constant; means and covariance by the posteriors."""
    n_pixels, width = scores.shape
    size = posterior.sum(axis=0) + 1e-12
    mean = posterior.T @ scores / size[:, None]
    within = (scores.T @ scores - (mean * size[:, None]).T @ mean) / n_pixels
    share = shrinkage(width, places)
    sphere = share * np.trace(within) / width + VARIANCE_FLOOR
    root = np.linalg.cholesky((1.0 - share) * within + sphere * np.eye(width))
    white, center = (solve_triangular(root, x.T, lower=True).T for x in (scores, mean))
    squared = (white**2).sum(axis=1)[:, None] - 2.0 * white @ center.T + (center**2).sum(axis=1)
    return np.asarray(-0.5 * squared - np.log(np.diag(root)).sum())
