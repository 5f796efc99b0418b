"""What is measured of imputed genes (Li et al. 2022, Nature Methods 19, 662)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import jensenshannon

C1, C2 = 0.01**2, 0.03**2
"""Constants of the structural similarity of values whose range is one."""


def quality(truth: np.ndarray, made: np.ndarray) -> dict[str, np.ndarray]:
    """Figures (G,) of every gene from values (N, G) measured and made; NaN where one of them is constant."""
    known = (truth.std(axis=0) > 1e-9) & (made.std(axis=0) > 1e-9)
    found = {name: np.full(truth.shape[1], np.nan) for name in ("PCC", "SSIM", "RMSE", "JS")}
    for g in np.flatnonzero(known):
        a, b = truth[:, g].astype(float), made[:, g].astype(float)
        found["PCC"][g] = np.corrcoef(a, b)[0, 1]
        found["SSIM"][g] = _similarity(a, b)
        found["RMSE"][g] = np.sqrt(np.mean(((a - a.mean()) / a.std() - (b - b.mean()) / b.std()) ** 2))
        found["JS"][g] = jensenshannon(_share(a), _share(b)) ** 2
    return found


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
