"""Library sizes from stable genes.

The library size of a pixel is the sum of its counts, including spatial genes. If many or highly expressed genes are
spatial, they bias library sizes and induce spurious patterns in all other genes. Stable genes are not affected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean
from spacex.svg.design import Design
from spacex.svg.kernels import PairKernel, section_images
from spacex.svg.maps import StandardizedMaps
from spacex.svg.moments import is_testable
from spacex.svg.params import DEFAULT_PARAMS, SVGParams

MIN_TESTED_GENES = 10


class StableLibrary(NamedTuple):
    """Images, and the genes (mask, (G,)) from which their library sizes are computed."""

    images: GeneImages
    genes: np.ndarray


def stable_size_factors(images: GeneImages, seed: int, params: SVGParams = DEFAULT_PARAMS) -> StableLibrary:
    """The images with library sizes from the stable half of the genes, if these make most genes more stable.

    They are used if the `SVGParams.stable_quantile` of the genes' statistics decreases; otherwise, and for intensities,
    the images are returned unchanged, with all genes.
    """
    unchanged = StableLibrary(images, np.ones(images.n_genes, dtype=bool))
    if not images.is_count:
        return unchanged
    kernel = stability_kernel(images, seed, params)
    statistic, per_change = stability_statistics(images, kernel)
    change = statistic * per_change
    is_stable = change <= np.median(change)
    corrected = library_from_genes(images, is_stable, params)
    after = stability_statistics(corrected, kernel)[0]
    is_better = np.quantile(after, params.stable_quantile) < np.quantile(statistic, params.stable_quantile)
    return StableLibrary(corrected, is_stable) if is_better else unchanged


def stable_library_factor(images: GeneImages, seed: int, params: SVGParams = DEFAULT_PARAMS) -> np.ndarray:
    """Factor (P,) by which the library sizes of `stable_size_factors` differ; one if too few genes can be tested."""
    tested = np.flatnonzero(is_testable(images, params))
    if len(tested) < MIN_TESTED_GENES:
        return np.ones(images.n_pixels)
    corrected = stable_size_factors(images.take(tested), seed, params).images
    factor: np.ndarray = corrected.library / np.maximum(images.library, 1e-300)
    return np.where(images.library > 0, factor, 1.0)


def stability_kernel(images: GeneImages, seed: int, params: SVGParams = DEFAULT_PARAMS) -> PairKernel:
    """Kernel whose statistic measures how stable genes are; it does not depend on library sizes."""
    design = Design.from_covariates(images.layout.section)
    return PairKernel(images.layout, params.stability_scale, design=design, n_rows=params.n_trace_rows, seed=seed)


def stability_statistics(images: GeneImages, kernel: PairKernel) -> tuple[np.ndarray, np.ndarray]:
    """Statistic (G,) of each gene, and the factor (G,) that converts it to squared relative change.

    For a gene with mean m and dispersion φ that changes by a factor of 1 ± δ, the statistic is proportional to
    m δ² / (1 + φ m). Multiplied by (1 + φ m) / m it is proportional to δ², and possibly negative due to noise.
    """
    maps = StandardizedMaps(images, kernel.design)
    statistic = np.zeros(images.n_genes)
    for start in range(0, images.n_genes, BATCH_GENES):
        genes = slice(start, start + BATCH_GENES)
        standardized, _ = maps.residuals(genes)
        by_section = kernel.statistic(section_images(images.layout, standardized), standardized**2)
        statistic[genes] = by_section.sum(axis=1)
    mean = images.totals.sum(axis=0) / images.n_pixels
    return statistic, (1.0 + maps.phi * mean) / mean


def library_from_genes(images: GeneImages, genes: np.ndarray, params: SVGParams = DEFAULT_PARAMS) -> GeneImages:
    """The images with library sizes that follow selected genes (mask, (G,)).

    Smoothed counts of these genes divided by the smoothed library size give a factor for every pixel. The factor is
    shrunk towards one by the share of its variance that is counting noise.
    """
    counts = np.asarray(images.counts[:, np.flatnonzero(genes)].sum(axis=1), dtype=np.float32).ravel()
    smoother = Smoother(images.layout, params.size_factor_scale)
    smoothed, library = smoother.apply(np.stack([counts, images.library.astype(np.float32)]))
    factor = smoothed / np.maximum(library, 1e-9)
    section = images.layout.section
    factor = factor / np.maximum(group_mean(factor, section, len(images.layout.grids))[section], 1e-9)
    # Squared coefficient of variation of a smoothed Poisson count.
    noise = float(np.mean(smoother.variance / np.maximum(smoothed, 1e-9)))
    shrinkage = max(0.0, 1.0 - noise / max(float(factor.var()), 1e-12))
    return replace(images, library=images.library * np.maximum(1.0 + shrinkage * (factor - 1.0), 0.05))
