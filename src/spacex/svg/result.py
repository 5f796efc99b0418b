"""Result of the test for spatial variation, and the combination of its p-values."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from spacex.svg.params import DEFAULT_PARAMS, SVGParams
from spacex.svg.tails import cauchy_combination


@dataclass(frozen=True)
class SVGResult:
    """Result of the test; NaN for genes that cannot be tested.

    Attributes
    ----------
    log_p
        (G,) log p-value of all kernels combined.
    log_p_by_scale
        (G, W) log p-value of each kernel scale.
    log_p_shared
        (G,) log p-value on shared patterns; NaN if there are none.
    scale
        (G,) kernel scale with the smallest p-value, in pixel pitches.
    log_p_by_section
        (G, S) log p-value in each section, of all kernel scales combined; NaN if the gene is absent there.
    heterogeneity
        (G,) I² of the autocorrelation between sections at the gene's `scale`; zero for one section.
    scales
        Kernel scales.
    """

    log_p: np.ndarray
    log_p_by_scale: np.ndarray
    log_p_shared: np.ndarray
    scale: np.ndarray
    log_p_by_section: np.ndarray
    heterogeneity: np.ndarray
    scales: tuple[float, ...]

    @classmethod
    def empty(cls, n_sections: int, scales: tuple[float, ...]) -> SVGResult:
        """Result for zero genes."""
        none = np.empty(0)
        return cls(none, np.empty((0, len(scales))), none, none, np.empty((0, n_sections)), none, scales)

    def expand(self, tested: np.ndarray) -> SVGResult:
        """Result for all genes, NaN where `tested` (mask, (G,)) is false."""
        arrays = {}
        for item in fields(self):
            values = getattr(self, item.name)
            if item.name != "scales":
                arrays[item.name] = np.full((len(tested), *values.shape[1:]), np.nan)
                arrays[item.name][tested] = values
        return SVGResult(**arrays, scales=self.scales)


def combine_kernel_pvalues(
    log_p_by_scale: np.ndarray,
    weight: np.ndarray,
    log_p_shared: np.ndarray,
    shared_weight: np.ndarray,
    params: SVGParams = DEFAULT_PARAMS,
) -> np.ndarray:
    """Combined log p-values (B,) of Gaussian kernels and shared patterns.

    Parameters
    ----------
    log_p_by_scale, weight
        (W, B) log p-values of the kernel scales, and their weights.
    log_p_shared, shared_weight
        (B,) log p-values on shared patterns, NaN if there are none, and their weights.
    params
        Settings.
    """
    has_shared = np.isfinite(log_p_shared)
    odds = params.pattern_weight / (1.0 - params.pattern_weight) * np.where(has_shared, shared_weight, 0.0)
    combined = cauchy_combination(
        np.vstack([log_p_by_scale, np.where(has_shared, log_p_shared, np.log(0.5))]),
        np.vstack([weight / weight.sum(axis=0), odds]),
    )
    # Adjacent scales are correlated, which makes their combination slightly anticonservative; p = 1 is unchanged.
    corrected = np.minimum(combined + np.log1p(params.scale_excess * -np.expm1(combined)), 0.0)
    return np.where(has_shared, combined, corrected)


def heterogeneity(effect: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """I² (G,) of effects (G, S) with variances (G, S): max(1 - (S - 1) / Q, 0) with Cochran's Q.

    The share of the variation between sections that exceeds noise (Higgins & Thompson 2002, eq. 10). Sections with
    variance 0, where a gene is absent, are ignored.
    """
    weight = np.where(variance > 0, 1.0 / np.maximum(variance, 1e-300), 0.0)
    mean = (weight * effect).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
    q = (weight * (effect - mean[:, None]) ** 2).sum(axis=1)
    degrees = np.maximum((weight > 0).sum(axis=1) - 1, 0)
    return np.where(degrees > 0, np.maximum(1.0 - degrees / np.maximum(q, 1e-300), 0.0), 0.0)
