"""Patterns shared by the genes of a section.

A weak gene that follows a pattern of many genes is easier to detect than a gene with a unique pattern. Three rules keep
the test calibrated. A gene is tested on patterns of *other* genes, which are independent of its noise. Patterns are
computed from means over the *neighbors* of a pixel, without the pixel itself, so that genes that are correlated from
spot to spot without spatial order share nothing on average. And a pattern is used only if genes have more signal along
it than correlated genes have by chance.
"""

from __future__ import annotations

import numpy as np

from spacex.imaging.components import randomized_eigh
from spacex.imaging.smoothing import NeighborMean
from spacex.svg.maps import StandardizedMaps
from spacex.svg.params import DEFAULT_PARAMS, SVGParams

N_OVERSAMPLES = 8


def learn_patterns(
    maps: StandardizedMaps, genes: np.ndarray, n_patterns: int, seed: int, params: SVGParams = DEFAULT_PARAMS
) -> np.ndarray:
    """Leading orthonormal components (P, n) of the neighbor means of the maps of genes, projected out of the design."""
    smoother = NeighborMean(maps.images.layout, params.pattern_scale)

    def matvec(basis: np.ndarray) -> np.ndarray:
        smooth = np.ascontiguousarray(smoother.apply_transposed(basis.T.astype(np.float32)).T)
        return smoother.apply(maps.covariance(smooth, genes).T).T.astype(np.float64)

    basis, _ = randomized_eigh(matvec, maps.images.n_pixels, n_patterns + N_OVERSAMPLES, seed)
    return np.linalg.qr(maps.design.center(basis[:, :n_patterns].T).T)[0].astype(np.float32)


def rms_correlation(maps: StandardizedMaps, seed: int, params: SVGParams = DEFAULT_PARAMS) -> float:
    """Root mean square correlation over pixels of pairs of genes, in excess of independent noise.

    The sum of squared correlations is tr (R'R)² / P² for maps R (G, P), estimated with random vectors (Hutchinson
    1990). Its expectation for independent noise is G for genes with themselves and G² / P for pairs.
    """
    n_genes, n_pixels = maps.images.n_genes, maps.images.n_pixels
    probes = np.random.default_rng(seed).standard_normal((n_pixels, params.n_probes)).astype(np.float32)
    product = maps.covariance(probes, np.arange(n_genes))
    total = float(np.sum(product.astype(np.float64) ** 2)) / params.n_probes / n_pixels**2
    return float(np.sqrt(max(total - n_genes - n_genes**2 / n_pixels, 0.0)) / n_genes)


def pattern_weights(signal: np.ndarray, correlation: float, params: SVGParams = DEFAULT_PARAMS) -> np.ndarray:
    """Weights (n,) of patterns: mean signal / (mean signal + `SVGParams.pattern_noise`).

    Parameters
    ----------
    signal
        (G, n) energy of genes along the patterns in excess of noise, in units of the noise.
    correlation
        Root mean square correlation of genes. Patterns that are not significant, or that could result from this
        correlation by chance, have weight zero.
    params
        Settings.
    """
    mean = signal.mean(axis=0)
    error = signal.std(axis=0) / np.sqrt(len(signal))
    threshold = params.pattern_min_signal + params.pattern_signal_per_correlation * correlation
    mean = np.where(mean > np.maximum(params.pattern_min_z * error, threshold), mean, 0.0)
    return mean / (mean + params.pattern_noise)
