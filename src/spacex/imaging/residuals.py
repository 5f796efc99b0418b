"""Residuals of counts: Pearson residuals, z-scores of intensities, and log-normalized counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from spacex.imaging.layout import center_sections, section_means


def pearson_residuals(value: Any, row: Any, column: Any, mean: Any, limit: Any, theta: float, *, xp: Any = np) -> Any:
    """Clipped Pearson residuals of sparse negative binomial counts.

    The residual of a count x with mean μ is

        r = (x - μ) / sqrt(μ + μ² / θ),

    clipped to ±`limit` (Lause, Berens & Kobak 2021, Genome Biology 22:258, eq. 3).

    Parameters
    ----------
    value, row, column
        (N,) nonzero counts, and the row and column of each.
    mean
        (B, P) expected counts. **Overwritten** by the residuals.
    limit
        (P,) largest absolute residual in each column.
    theta
        Inverse dispersion θ.
    xp
        Array namespace of the arguments: ``numpy`` or ``torch``.

    Returns
    -------
    (B, P) residuals, in the memory of `mean`.
    """
    sd = xp.divide(mean, theta)
    sd += 1.0
    sd *= mean
    xp.sqrt(xp.clip(sd, 1e-12, None, out=sd), out=sd)
    filled = xp.minimum((value - mean[row, column]) / sd[row, column], limit[column])
    # Zero counts have residual -μ / sd; the others are filled in.
    residual = xp.divide(mean, sd, out=mean)
    xp.maximum(xp.negative(residual, out=residual), -limit, out=residual)
    residual[row, column] = filled
    return residual


def residual_limit(section: np.ndarray) -> np.ndarray:
    """Largest absolute residual (P,): the square root of the number of pixels in the section (P,) of each pixel."""
    limit: np.ndarray = np.sqrt(np.bincount(section), dtype=np.float32)[section]
    return limit


def z_scores(values: np.ndarray, section: np.ndarray, n_sections: int) -> np.ndarray:
    """Z-scores (B, P) of values (B, P) over the pixels of each section; zero where a section is constant.

    The values are overwritten.
    """
    center_sections(values, section, n_sections)
    scale = np.sqrt(section_means(values**2, section, n_sections))
    values /= np.maximum(scale, 1e-12)[:, section]
    return values


def log_normalize(
    counts: sp.csr_matrix | sp.csr_array, library: np.ndarray | None = None
) -> sp.csr_matrix | sp.csr_array:
    """Log-normalized counts: log(1 + x · median(library) / library).

    Parameters
    ----------
    counts
        (N, G) counts; rows without counts stay empty.
    library
        (N,) library sizes; the row sums by default.
    """
    if library is None:
        library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    factor = np.median(library[library > 0]) / np.maximum(library, 1e-300)
    values = counts.astype(np.float32, copy=True)
    values.data = np.log1p(values.data * np.repeat(factor, np.diff(values.indptr))).astype(np.float32)
    return values
