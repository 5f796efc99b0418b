"""How far a prediction can be trusted: the correlation that it will have, learnt from held-out genes of the panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex._infra.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """A straight line from traits of predictions to the correlation with the truth.

    Attributes
    ----------
    centre, scale
        (T,) by which traits are standardised before they are added up.
    slope, level
        Of the line.
    """

    center: np.ndarray
    scale: np.ndarray
    slope: float
    level: float

    def reliability(self, traits: np.ndarray) -> np.ndarray:
        """Correlation (G,) to expect of predictions with traits (G, T), from 0 to 1."""
        score = ((traits - self.center) / self.scale).sum(axis=1)
        return np.clip(self.level + self.slope * score, 0.0, 1.0)


def calibrate(traits: np.ndarray, pcc: np.ndarray) -> Calibration:
    """Fit the line to traits (G, T) of held-out genes and the correlations (G,) that they reached.

    More of a trait never means less reliability: the slope is at least zero.
    """
    known = np.isfinite(pcc) & np.isfinite(traits).all(axis=1)
    if not known.any():
        raise InputError("no gene of the panel varies in the target and in the reference; check the counts of both")
    traits, pcc = traits[known], pcc[known]
    center, scale = traits.mean(axis=0), np.maximum(traits.std(axis=0), 1e-9)
    score = ((traits - center) / scale).sum(axis=1)
    variance = float(score.var())
    slope = max(0.0, float(np.mean(score * (pcc - pcc.mean()))) / variance) if variance > 0 else 0.0
    return Calibration(center, scale, slope, float(pcc.mean()))
