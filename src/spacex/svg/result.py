"""What the test found, and how the p-values of several kernels become one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex.svg.tails import combine

SHARED_WEIGHT = 0.75
"""Weight of the patterns that genes share, against all widths together, where there are such patterns."""
EXCESS = 0.05
"""Measured excess of the Cauchy combination of widths at p = .1 to .01 under Gaussian noise: .03 to .07."""


@dataclass(frozen=True)
class SVGResult:
    """What the test found. NaN for genes that cannot be tested.

    Attributes
    ----------
    log_p
        (G,) log p-value of all kernels together.
    log_p_widths
        (G, W) log p-value of each width.
    log_p_shared
        (G,) log p-value on the patterns that genes share; NaN too where there are none.
    scale
        (G,) width with the smallest p-value, in pixel pitches.
    sections
        (G, S) log p-value in each section, all widths together; NaN where the section lacks the gene.
    heterogeneity
        (G,) I² of the sections' autocorrelation at the gene's `scale`; zero for one section.
    scales
        The widths.
    """

    log_p: np.ndarray
    log_p_widths: np.ndarray
    log_p_shared: np.ndarray
    scale: np.ndarray
    sections: np.ndarray
    heterogeneity: np.ndarray
    scales: tuple[float, ...]

    @classmethod
    def empty(cls, n_genes: int, n_sections: int, scales: tuple[float, ...]) -> SVGResult:
        """Evidence on so many genes, all NaN, to be filled in."""

        def none(*shape: int) -> np.ndarray:
            return np.full((n_genes, *shape), np.nan)

        return cls(none(), none(len(scales)), none(), none(), none(n_sections), none(), scales)


def combine_kernel_pvalues(
    widths: np.ndarray, trust: np.ndarray, shared: np.ndarray, shared_trust: np.ndarray
) -> np.ndarray:
    """Log p-value (B,) of widths (W, B) and shared patterns (B,; NaN: none), by how far each is to be trusted."""
    found = np.isfinite(shared)
    odds = SHARED_WEIGHT / (1.0 - SHARED_WEIGHT) * np.where(found, shared_trust, 0.0)
    joined = combine(
        np.vstack([widths, np.where(found, shared, np.log(0.5))]), np.vstack([trust / trust.sum(axis=0), odds])
    )
    # Neighbouring widths agree, which makes their combination a little bold; p = 1 stays where it is.
    return np.where(found, joined, np.minimum(joined + np.log1p(EXCESS * -np.expm1(joined)), 0.0))


def heterogeneity(effect: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """I² (G,) of effects (G, S) with variances (G, S): 1 - (S - 1) / Q, at least 0 (Higgins & Thompson 2002, eq. 10).

    The share of the variation between sections that noise does not explain. Sections in which a gene is absent have
    variance 0, and are left out.
    """
    weight = np.where(variance > 0, 1.0 / np.maximum(variance, 1e-300), 0.0)
    mean = (weight * effect).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
    spread = (weight * (effect - mean[:, None]) ** 2).sum(axis=1)
    freedom = np.maximum((weight > 0).sum(axis=1) - 1, 0)
    return np.where(freedom > 0, np.maximum(1.0 - freedom / np.maximum(spread, 1e-300), 0.0), 0.0)
