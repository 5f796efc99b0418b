"""The patterns that genes of a section share, as a kernel for the genes that did not choose them.

A weak gene that follows what many others do is easier to find than one with a pattern of its own: the embedding knows
where to look. Three rules keep this honest. A gene is tested on patterns that *other* genes chose, so that they cannot
lean towards its noise. A pattern is what the *neighbours* of a pixel hold, never the pixel itself (a Gaussian without
its middle), so that genes that merely vary together from spot to spot, in no spatial order, share nothing on average.
And a pattern counts only where genes have much of it, more than such genes can have by chance.
"""

from __future__ import annotations

import numpy as np

from spacex.imaging.components import randomized_eigh
from spacex.imaging.smoothing import NeighborMean
from spacex.svg.maps import StandardMaps

WIDTH = 1.0
NOISE_SHARE = 2.0
CLEAR = 3.0
"""Standard errors by which the energy of the genes tested along a pattern must exceed that of noise."""
CHANCE = (0.25, 8.0)
"""Energy, in units of noise, that genes must have along a pattern on the whole: a constant, and so many times the root
mean square correlation of genes. With the coordinates of real sections shuffled, what genes vary by together gave
patterns of .07 to .33 where that is .01 to .04, and of .17 to 1.5 where it is .12 to .19 (panels)."""
PROBES = 16
SPARE = 8


def learn_patterns(maps: StandardMaps, genes: np.ndarray, n_patterns: int, seed: int) -> np.ndarray:
    """Leading orthonormal patterns (P, n) of the neighbours' means in the maps of some genes, centred by the design."""
    smoother = NeighborMean(maps.images.layout, WIDTH)

    def times(basis: np.ndarray) -> np.ndarray:
        smooth = np.ascontiguousarray(smoother.apply_transposed(basis.T.astype(np.float32)).T)
        return smoother.apply(maps.covariance(smooth, genes).T).T.astype(np.float64)

    basis, _ = randomized_eigh(times, maps.images.n_pixels, n_patterns + SPARE, seed)
    return np.linalg.qr(maps.design.center(basis[:, :n_patterns].T).T)[0].astype(np.float32)


def rms_correlation(maps: StandardMaps, seed: int) -> float:
    """Root mean square correlation of pairs of genes from pixel to pixel, beyond that of independent noise.

    The sum of squared correlations is tr (R'R)² / P² for maps R (G, P), estimated with random vectors (Hutchinson
    1990): its part by chance is G for a gene with itself and G² / P for pairs.
    """
    n_genes, n_pixels = maps.images.n_genes, maps.images.n_pixels
    probes = np.random.default_rng(seed).standard_normal((n_pixels, PROBES)).astype(np.float32)
    product = maps.covariance(probes, np.arange(n_genes))
    total = float(np.sum(product.astype(np.float64) ** 2)) / PROBES / n_pixels**2
    return float(np.sqrt(max(total - n_genes - n_genes**2 / n_pixels, 0.0)) / n_genes)


def pattern_weights(excess: np.ndarray, correlation: float) -> np.ndarray:
    """Weights (n,) of patterns from the energy (G, n) that genes have along them beyond noise.

    signal / (signal + `NOISE_SHARE`), noise being one; nothing for a pattern that does not stand out by `CLEAR` of its
    standard errors, or that genes of such a root mean square `correlation` can have by chance.
    """
    mean = excess.mean(axis=0)
    error = excess.std(axis=0) / np.sqrt(len(excess))
    signal = np.where(mean > np.maximum(CLEAR * error, CHANCE[0] + CHANCE[1] * correlation), mean, 0.0)
    return signal / (signal + NOISE_SHARE)
