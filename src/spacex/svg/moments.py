"""Moments of counts under the null: dispersion, skewness, and dependence of the variance on the library size.

Counts are negative binomial with mean m proportional to the library size and variance m + φ m².
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import section_means
from spacex.stats import group_mean
from spacex.svg.params import DEFAULT_PARAMS, SVGParams


def is_testable(images: GeneImages, params: SVGParams = DEFAULT_PARAMS) -> np.ndarray:
    """Mask (G,) of genes with sufficient counts in sufficient pixels that are not constant."""
    counts = images.counts
    gene = np.repeat(np.arange(images.n_genes), np.diff(counts.indptr))
    n_pixels = np.bincount(gene[counts.data != 0], minlength=images.n_genes)
    low, high = (np.asarray(x.toarray()).ravel() for x in (counts.min(axis=0), counts.max(axis=0)))
    varies = (n_pixels >= params.min_pixels) & (high > low)
    return varies & (images.totals.sum(axis=0) >= params.min_counts) if images.is_count else varies


def dispersion(images: GeneImages) -> np.ndarray:
    """Dispersion φ (G,) by moments: (Σ (x - m)² - Σ m) / Σ m², at least 0."""
    counts, section, share = images.counts.astype(np.float64), images.layout.section, images.share
    n_sections = len(images.layout.grids)
    share_by_section = sp.csr_array((share, (section, np.arange(len(section)))), shape=(n_sections, len(section)))
    cross = (images.totals * (counts.T @ share_by_section.T).T.toarray()).sum(axis=0)
    mean_square = (images.totals**2 * np.bincount(section, share**2, n_sections)[:, None]).sum(axis=0)
    square = np.asarray(counts.power(2).sum(axis=0)).ravel()
    excess = square - 2 * cross + mean_square - images.totals.sum(axis=0)
    return np.maximum(excess / np.maximum(mean_square, 1e-300), 0.0)


def count_skewness(images: GeneImages, genes: slice, phi: np.ndarray) -> np.ndarray:
    """Mean skewness (B, S) of the counts of genes: (1 + 2φm) / sqrt(m (1 + φm)), over the pixels of each section."""
    # Pixels first in memory; the order of summation over pixels, and so the rounding, depends on it.
    mean = np.asfortranarray(images.expected_counts(genes))
    extra = mean * phi[genes, None].astype(np.float32)
    skewness = (1 + 2 * extra) / np.sqrt(np.maximum(mean * (1 + extra), 1e-12))
    skewness[mean <= 0] = 0.0
    return section_means(skewness, images.layout.section, len(images.layout.grids)).astype(np.float64)


def relative_library(images: GeneImages) -> np.ndarray:
    """Relative library size d (P,): library size over its mean in the section, minus one."""
    section = images.layout.section
    mean = group_mean(images.share, section, len(images.layout.grids))
    return images.share / mean[section] - 1.0


def variance_slope(images: GeneImages, genes: slice, phi: np.ndarray) -> np.ndarray:
    """Slope b (B, S) of the variance of a residual on the relative library size d: variance ∝ 1 + b d.

    A Pearson residual has variance (1 + φ m) / (1 + m / θ): one for Poisson counts, and proportional to the library
    size for a strongly overdispersed gene in pixels of many cells.
    """
    pixels = np.bincount(images.layout.section)
    mean = images.totals[:, genes].T / pixels
    over = phi[genes, None]
    return (over - 1.0 / images.theta) * mean / (1.0 + over * mean)
