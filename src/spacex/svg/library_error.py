"""Error of library sizes that are sums of few genes, and what it adds to the statistics of all genes.

If the library size of a pixel is wrong by a factor 1 + ε, the residual of a gene with mean m and dispersion φ changes
by -ε m, or -ε √(m / (1 + φ m)) in units of its standard deviation. Smooth errors therefore increase the statistics of
genes without a pattern. ε is estimated from halves of the genes that define the library size: the error of their mean
is distributed as half of their difference, if genes are independent. It includes the patterns of these genes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean
from spacex.svg.gene_hash import gene_hash
from spacex.svg.kernels import PairKernel, section_images
from spacex.svg.maps import StandardizedMaps
from spacex.svg.params import DEFAULT_PARAMS, SVGParams

N_SPLITS = 6
"""Number of divisions of the genes into halves."""
MAX_GENES = 1000
"""Library sizes of more genes than this are taken as exact."""


@dataclass(frozen=True)
class LibraryError:
    """Error of the library sizes.

    Attributes
    ----------
    maps
        (n, P) float32 errors ε √d of the divisions, without the effects of the design; d is the library size over its
        mean. No rows if library sizes are exact.
    influence
        (G, S) m / (1 + φ m) of each gene in each section, which multiplies the squared errors.
    """

    maps: np.ndarray
    influence: np.ndarray

    @classmethod
    def estimate(cls, maps: StandardizedMaps, genes: np.ndarray, params: SVGParams = DEFAULT_PARAMS) -> LibraryError:
        """Estimate the error from halves of the genes (mask, (G,)) that define the library size of the images."""
        images = maps.images
        n_pixels = np.maximum(np.bincount(images.layout.section, minlength=maps.n_sections), 1)
        mean = images.totals.T / n_pixels
        influence = mean / (1.0 + maps.phi[:, None] * mean)
        if not images.is_count or not 2 <= genes.sum() <= MAX_GENES:
            return cls(np.zeros((0, images.n_pixels), dtype=np.float32), influence)
        half = (gene_hash(images)[:, None] >> np.arange(32 - N_SPLITS, 32)) & 1 == 1
        members = np.hstack([half, ~half]) & genes[:, None]
        counts = np.asarray((images.counts @ sp.csr_array(members.astype(np.float64))).todense(), dtype=np.float32)
        smoothed = Smoother(images.layout, params.size_factor_scale).apply(
            np.vstack([counts.T, images.library.astype(np.float32)[None]])
        )
        factor = smoothed[:-1] / np.maximum(smoothed[-1], 1e-9)
        section = images.layout.section
        average = group_mean(factor, section, maps.n_sections)
        factor /= np.maximum(average, 1e-9)[:, section]
        first, second = factor[:N_SPLITS], factor[N_SPLITS:]
        share = average[:N_SPLITS] / np.maximum(average[:N_SPLITS] + average[N_SPLITS:], 1e-9)
        error = np.sqrt(share * (1.0 - share))[:, section] * (first - second)
        relative = np.sqrt(np.maximum(1.0 + maps.library, 0.0))
        return cls(maps.design.center((error * relative).astype(np.float32)), influence)

    def kernel_excess(self, kernels: list[PairKernel], maps: StandardizedMaps) -> np.ndarray:
        """Expected statistics (W, S) of the error under kernels, at least 0; times `influence` for a gene."""
        if not len(self.maps):
            return np.zeros((len(kernels), maps.n_sections))
        images = section_images(maps.images.layout, self.maps)
        excess = [kernel.statistic(images, self.maps**2).mean(axis=0) for kernel in kernels]
        return np.maximum(np.stack(excess), 0.0)

    def pattern_excess(self, patterns: np.ndarray, genes: np.ndarray, section: np.ndarray) -> np.ndarray:
        """Expected energies (2, B, n) of the error of genes (B,) along patterns (P, n), and their diagonal parts."""
        influence = self.influence[genes]
        energy = np.zeros((2, len(genes), patterns.shape[1]))
        member = np.eye(influence.shape[1])[section]
        for error in self.maps:
            by_section = member.T @ (error[:, None] * patterns)
            energy[0] += (np.sqrt(influence) @ by_section) ** 2 / len(self.maps)
            energy[1] += influence @ (member.T @ (error[:, None] * patterns) ** 2) / len(self.maps)
        return energy
