"""Metrics of imputed genes (Li et al. 2022, Nature Methods 19, 662)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import jensenshannon

C1, C2 = 0.01**2, 0.03**2
"""Constants of the structural similarity of values whose range is one."""


def quality(truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (G,) of each gene from measured and predicted values (N, G); NaN if one of them is constant."""
    is_varying = (truth.std(axis=0) > 1e-9) & (predicted.std(axis=0) > 1e-9)
    scores = {name: np.full(truth.shape[1], np.nan) for name in ("PCC", "SSIM", "RMSE", "JS")}
    for g in np.flatnonzero(is_varying):
        a, b = truth[:, g].astype(float), predicted[:, g].astype(float)
        scores["PCC"][g] = np.corrcoef(a, b)[0, 1]
        scores["SSIM"][g] = _similarity(a, b)
        scores["RMSE"][g] = np.sqrt(np.mean(((a - a.mean()) / a.std() - (b - b.mean()) / b.std()) ** 2))
        scores["JS"][g] = jensenshannon(_share(a), _share(b)) ** 2
    return scores


def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity over all cells, of values scaled from zero to one."""
    a, b = ((x - x.min()) / np.ptp(x) for x in (a, b))
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    bright = (2 * a.mean() * b.mean() + C1) / (a.mean() ** 2 + b.mean() ** 2 + C1)
    return float(bright * (2 * covariance + C2) / (a.var() + b.var() + C2))


def _share(x: np.ndarray) -> np.ndarray:
    """Values as shares of their sum, from zero."""
    x = x - min(x.min(), 0.0)
    return x / max(x.sum(), 1e-300)
