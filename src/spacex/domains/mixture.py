"""Gaussian mixtures with one shrunken covariance, and their hidden Markov random field on the pixel graph.

scikit-learn's mixtures have neither shrinkage nor a graph. On a small section, smoothing leaves few independent pixels,
from which a covariance of 20 components cannot be estimated without shrinkage.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from spacex.domains.params import DomainParams

VARIANCE_FLOOR = 1e-6
"""Minimum variance, relative to that of the first component."""


def shrinkage(n_components: int, n_effective: float, params: DomainParams) -> float:
    """Weight of the sphere in a covariance of `n_components` estimated from `n_effective` independent pixels."""
    return n_components / (n_components + params.components_per_sample * n_effective)


def fit_em(scores: np.ndarray, posterior: np.ndarray, n_effective: float, params: DomainParams) -> np.ndarray:
    """Posteriors (P, k) of a mixture on scores (P, D), by expectation-maximization from initial posteriors (P, k)."""
    last = -np.inf
    for _ in range(params.em_max_iter):
        joint = _log_density(scores, posterior, n_effective, params) + np.log(posterior.mean(axis=0) + 1e-12)
        top = joint.max(axis=1, keepdims=True)
        posterior = np.exp(joint - top)
        total = posterior.sum(axis=1, keepdims=True)
        posterior /= total
        log_likelihood = float((top + np.log(total)).mean())
        if log_likelihood - last < params.em_tol:
            break
        last = log_likelihood
    return posterior


def hmrf_mean_field(
    scores: np.ndarray, label: np.ndarray, neighbors: np.ndarray, n_effective: float, params: DomainParams
) -> np.ndarray:
    """Labels (P,) of a hidden Markov random field on scores (P, D), from initial labels (P,).

    The prior is a Potts model over the neighbors (P, n) of each pixel. The mean-field approximation (Celeux, Forbes &
    Peyrard 2003, Pattern Recognition 36, 131) is iterated over all pixels at once, with damping. Returns the initial
    labels if a domain would vanish.
    """
    posterior = np.eye(label.max() + 1)[label]
    for _ in range(params.border_max_iter):
        prior = params.potts_beta * posterior[neighbors].sum(axis=1)
        joint = _log_density(scores, posterior, n_effective, params) + prior
        new = np.exp(joint - joint.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        change = np.abs(new - posterior).max()
        posterior = 0.5 * (new + posterior)
        if change < params.border_tol:
            break
    refined = posterior.argmax(axis=1)
    return refined if len(np.unique(refined)) == len(np.unique(label)) else label


def _log_density(scores: np.ndarray, posterior: np.ndarray, n_effective: float, params: DomainParams) -> np.ndarray:
    """Log density (P, k) of scores (P, D) up to a constant, with means and covariance estimated from posteriors."""
    n_pixels, n_dims = scores.shape
    size = posterior.sum(axis=0) + 1e-12
    mean = posterior.T @ scores / size[:, None]
    within = (scores.T @ scores - (mean * size[:, None]).T @ mean) / n_pixels
    share = shrinkage(n_dims, n_effective, params)
    sphere = share * np.trace(within) / n_dims + VARIANCE_FLOOR
    root = np.linalg.cholesky((1.0 - share) * within + sphere * np.eye(n_dims))
    white, center = (solve_triangular(root, x.T, lower=True).T for x in (scores, mean))
    squared = (white**2).sum(axis=1)[:, None] - 2.0 * white @ center.T + (center**2).sum(axis=1)
    return np.asarray(-0.5 * squared - np.log(np.diag(root)).sum())
