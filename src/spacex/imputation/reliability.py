"""Reliability of predictions: the expected correlation with the truth, calibrated on held-out panel genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex._infra.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """Linear function from the features of predictions to their correlation with the truth.

    Attributes
    ----------
    center, scale
        (F,) mean and standard deviation that standardize the features before they are summed.
    slope, intercept
        Coefficients of the linear function.
    """

    center: np.ndarray
    scale: np.ndarray
    slope: float
    intercept: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Expected correlation (G,), 0 to 1, of predictions with features (G, F)."""
        score = ((features - self.center) / self.scale).sum(axis=1)
        return np.clip(self.intercept + self.slope * score, 0.0, 1.0)


def calibrate(features: np.ndarray, pcc: np.ndarray) -> Calibration:
    """Fit by least squares to features (G, F) and correlations (G,) of held-out genes, with a slope of at least zero.

    Raises `InputError` if no gene has finite features and correlation.
    """
    is_finite = np.isfinite(pcc) & np.isfinite(features).all(axis=1)
    if not is_finite.any():
        raise InputError("no panel gene varies in both the target and the reference; check the counts of both")
    features, pcc = features[is_finite], pcc[is_finite]
    center, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    score = ((features - center) / scale).sum(axis=1)
    variance = float(score.var())
    slope = max(0.0, float(np.mean(score * (pcc - pcc.mean()))) / variance) if variance > 0 else 0.0
    return Calibration(center, scale, slope, float(pcc.mean()))
