"""What the noise of a gene's counts looks like: dispersion, skewness, and how its variance follows the library size."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import section_means
from spacex.stats import group_mean

MIN_COUNTS = 3
MIN_PIXELS = 3


def can_be_tested(images: GeneImages) -> np.ndarray:
    """Genes (G,) with enough counts in enough pixels, and not the same value in all."""
    counts = images.counts
    gene = np.repeat(np.arange(images.n_genes), np.diff(counts.indptr))
    present = np.bincount(gene[counts.data != 0], minlength=images.n_genes)
    low, high = (np.asarray(x.toarray()).ravel() for x in (counts.min(axis=0), counts.max(axis=0)))
    possible = (present >= MIN_PIXELS) & (high > low)
    return possible & (images.totals.sum(axis=0) >= MIN_COUNTS) if images.is_count else possible


def dispersion(images: GeneImages) -> np.ndarray:
    """Excess variance φ (G,) by moments: Var = mean + φ mean², mean in proportion to the library size."""
    counts, section, share = images.counts.astype(np.float64), images.layout.section, images.share
    n_sections = len(images.layout.grids)
    spread = sp.csr_array((share, (section, np.arange(len(section)))), shape=(n_sections, len(section)))
    cross = (images.totals * (counts.T @ spread.T).T.toarray()).sum(axis=0)
    mean_square = (images.totals**2 * np.bincount(section, share**2, n_sections)[:, None]).sum(axis=0)
    square = np.asarray(counts.power(2).sum(axis=0)).ravel()
    excess = square - 2 * cross + mean_square - images.totals.sum(axis=0)
    return np.maximum(excess / np.maximum(mean_square, 1e-300), 0.0)


def count_skewness(images: GeneImages, genes: slice, phi: np.ndarray) -> np.ndarray:
    """Mean skewness (B, S) of negative-binomial counts over the pixels of each section."""
    section = images.layout.section
    mean = images.totals[:, genes].T.astype(np.float32)[:, section] * images.share.astype(np.float32)
    extra = mean * phi[genes, None].astype(np.float32)
    skewness = (1 + 2 * extra) / np.sqrt(np.maximum(mean * (1 + extra), 1e-12))
    skewness[mean <= 0] = 0.0
    return section_means(skewness, section, len(images.layout.grids)).astype(np.float64)


def relative_library(images: GeneImages) -> np.ndarray:
    """Library size (P,) of each pixel over the mean of its section, less one."""
    section = images.layout.section
    mean = group_mean(images.share, section, len(images.layout.grids))
    return images.share / mean[section] - 1.0


def variance_slope(images: GeneImages, genes: slice, phi: np.ndarray) -> np.ndarray:
    """How the variance of a residual follows the library size: slope b (B, S) of variance ∝ 1 + b × relative library.

    A Pearson residual has variance (1 + φ m) / (1 + m / θ) where the count has mean m and dispersion φ: one for
    Poisson counts, in proportion to the library size for a strongly overdispersed gene in pixels of many cells.
    """
    pixels = np.bincount(images.layout.section)
    mean = images.totals[:, genes].T / pixels
    over = phi[genes, None]
    return (over - 1.0 / images.theta) * mean / (1.0 + over * mean)
