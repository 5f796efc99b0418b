"""Coordinates of patterns in which genes without a pattern are noise of variance one, and expression levels.

Embeddings are weighted, and their norms measure the smooth part of a pattern only. The mixture needs coordinates in
which the noise is known: here it is standardized by genes redrawn without a pattern that took part in the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spacex.embedding.expectation import Points
from spacex.embedding.student_t import AMPLITUDES

MAX_DIMS = 60
"""Maximum number of dimensions of the mixture, by signal; with 40 or 112 no figure changed by more than 0.01."""
N_LEVELS = 5
"""Number of expression levels with their own prior of the amplitudes and share of the background."""
MIN_GENES_FOR_LEVELS = 200
MIN_SMOOTH_SHARE = 0.05
"""Minimum norm of the smooth part of a direction."""
MIN_SIGNAL = 1e-6
CLEAR_QUANTILE = 0.99
"""Quantile of the strength of null genes above which a gene clearly has a pattern."""
MIN_LEVEL_GENES = 20
"""Minimum number of null genes from which statistics of an expression level are computed."""


class NoiseScale(NamedTuple):
    """Scale of noise and signal in the dimensions of an embedding.

    Attributes
    ----------
    n_smooth
        Number of smooth dimensions n, which come first.
    dims
        (M,) dimensions of the embedding that are used.
    scale
        (M,) standard deviation of null genes.
    signal
        (M,) share of each dimension in the variance of the signal; sums to one.
    """

    n_smooth: int
    dims: Tensor
    scale: Tensor
    signal: Tensor

    def coordinates(self, z: Tensor) -> Tensor:
        """Return coordinates (G, M) in double precision of embeddings (G, D)."""
        return unit_noise_patterns(z, self.n_smooth)[:, self.dims] / self.scale

    def to(self, device: torch.device) -> NoiseScale:
        """Return the scale on a device."""
        return NoiseScale(self.n_smooth, self.dims.to(device), self.scale.to(device), self.signal.to(device))


def unit_noise_patterns(z: Tensor, n_smooth: int) -> Tensor:
    """Return embeddings (G, D) rescaled so that the noise of every gene has the same variance.

    The norm of an embedding is that of its smooth part in units of the gene's noise; division by the share of the
    smooth part in the direction gives all dimensions this unit.
    """
    z = z.double()
    norm = torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp(min=1e-12)
    smooth = torch.linalg.vector_norm(z[:, :n_smooth], dim=1, keepdim=True)
    return z / (smooth / norm).clamp(min=MIN_SMOOTH_SHARE)


def fit_noise_scale(z: np.ndarray, z_null: np.ndarray, n_smooth: int) -> NoiseScale:
    """Estimate the scales from embeddings (G, D) of genes and (N, D) of null genes."""
    patterns = unit_noise_patterns(torch.from_numpy(z), n_smooth)
    scale = unit_noise_patterns(torch.from_numpy(z_null), n_smooth).square().mean(0).sqrt().clamp(min=1e-9)
    signal = ((patterns / scale).square().mean(0) - 1.0).clamp(min=MIN_SIGNAL)
    dims = torch.argsort(signal, descending=True, stable=True)[:MAX_DIMS].sort().values
    return NoiseScale(n_smooth, dims, scale[dims], signal[dims] / signal[dims].sum())


class Coordinates(NamedTuple):
    """Genes, followed by null genes, in the coordinates of the mixture.

    Attributes
    ----------
    points
        Coordinates and expression levels of G + N genes.
    scale
        Scale of noise and signal that gives the coordinates.
    """

    points: Points
    scale: NoiseScale


def noise_coordinates(z: np.ndarray, z_null: np.ndarray, level: np.ndarray, n_smooth: int) -> Coordinates:
    """Return coordinates from embeddings (G, D) of genes and (N, D) of null genes, and their levels (G + N,).

    The first `n_smooth` dimensions are smooth. Noise and signal are estimated by `fit_noise_scale`.
    """
    scale = fit_noise_scale(z, z_null, n_smooth)
    x = scale.coordinates(torch.from_numpy(np.concatenate([z, z_null])))
    return Coordinates(Points(x, torch.from_numpy(level), torch.arange(len(x)) >= len(z)), scale)


def expression_bounds(total: np.ndarray, *, is_count: bool = True) -> np.ndarray:
    """Return the bounds (L - 1,) of expression levels with equal numbers of genes, from their total counts (G,).

    A few genes, and intensities, have one level.
    """
    n_levels = N_LEVELS if is_count and len(total) >= MIN_GENES_FOR_LEVELS else 1
    bounds: np.ndarray = np.quantile(total, np.arange(1, n_levels) / n_levels)
    return bounds


def expression_level(total: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the expression level (G,) of genes with total counts (G,)."""
    return np.searchsorted(bounds, total)


def level_statistics(
    statistic: Callable[[np.ndarray], float], values: np.ndarray, level: np.ndarray, n_levels: int
) -> np.ndarray:
    """Return a statistic (L,) of the values (N,) of null genes in each expression level (N,).

    It is that of all values in levels with fewer than `MIN_LEVEL_GENES` of them.
    """
    result = np.full(n_levels, statistic(values))
    for i in range(n_levels):
        if np.sum(level == i) >= MIN_LEVEL_GENES:
            result[i] = statistic(values[level == i])
    return result


def strength_score(x: Tensor, signal: Tensor) -> Tensor:
    """Return the log likelihood ratio (G,) of a pattern of any direction to noise, for coordinates (G, M).

    Under a pattern of amplitude a, the coordinates are normal with variances 1 + a² signal.
    """
    square, ratios = x**2, []
    for amplitude in AMPLITUDES.tolist():
        variance = 1.0 + amplitude**2 * signal
        ratios.append(0.5 * (square @ (1.0 - 1.0 / variance)) - 0.5 * torch.log(variance).sum())
    return torch.logsumexp(torch.stack(ratios), dim=0)


def clear_genes(score: np.ndarray, level: np.ndarray, is_null: np.ndarray, min_genes: int) -> np.ndarray:
    """Return the indices of genes that clearly have a pattern.

    Their strength score (G,) exceeds `CLEAR_QUANTILE` of those of null genes of their expression level. If fewer than
    `min_genes` do, the genes with the highest scores.
    """
    bound = level_statistics(
        lambda values: float(np.quantile(values, CLEAR_QUANTILE)), score[is_null], level[is_null], int(level.max()) + 1
    )
    clear = np.flatnonzero((score > bound[level]) & ~is_null)
    if len(clear) >= min_genes:
        return clear
    real = np.flatnonzero(~is_null)
    return real[np.argsort(-score[real], kind="stable")[:min_genes]]
