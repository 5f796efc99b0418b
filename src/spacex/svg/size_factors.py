"""Library sizes from genes that change little.

The library size of a pixel is the sum of its counts, strongly spatial genes included. Where these are many, or loud,
all other genes seem to be few there, in a pattern. The genes that change least tell what the library size is like.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean
from spacex.svg.design import Design
from spacex.svg.kernels import PairKernel, section_images
from spacex.svg.maps import BATCH, StandardMaps

WIDTH = 2.0
FIRST_WIDTH = 2.0
STABLE_QUANTILE = 0.4
"""Quantile of the genes by whose energy library sizes are judged: half of them may be loud, in a panel."""


def background_size_factors(images: GeneImages, seed: int) -> GeneImages:
    """The images with library sizes that follow, over a distance of `WIDTH` pitches, the steadier half of the genes.

    They are taken if under them a gene of the steadier half changes less than under the sums of counts: the better
    library size is that by which more genes are steady. Intensities are handed back as they are.
    """
    if not images.is_count:
        return images
    kernel = first_kernel(images, seed)
    energy, per_change = energies(images, kernel)
    change = energy * per_change
    background = library_of(images, change <= np.median(change))
    after = energies(background, kernel)[0]
    return background if np.quantile(after, STABLE_QUANTILE) < np.quantile(energy, STABLE_QUANTILE) else images


def first_kernel(images: GeneImages, seed: int) -> PairKernel:
    """The kernel by whose statistic library sizes are judged; it does not depend on them."""
    return PairKernel(images.layout, FIRST_WIDTH, design=Design.of(images.layout.section), seed=seed)


def energies(images: GeneImages, kernel: PairKernel) -> tuple[np.ndarray, np.ndarray]:
    """Energy of each gene's map at one width, less that of noise (G,), and what it says of the gene's change (G,).

    The energy of a residual map is in proportion to m δ² / (1 + φ m) where a gene of mean m and dispersion φ changes by
    a factor of 1 ± δ: times the second array it is in proportion to δ², and may be negative by noise.
    """
    maps = StandardMaps(images, kernel.design)
    energy = np.zeros(images.n_genes)
    for start in range(0, images.n_genes, BATCH):  # the noise's moments are not asked for here
        genes = slice(start, start + BATCH)
        standard, _ = maps.residuals(genes)
        energy[genes] = kernel.statistic(section_images(images.layout, standard), standard**2).sum(axis=1)
    mean = images.totals.sum(axis=0) / images.n_pixels
    return energy, (1.0 + maps.phi * mean) / mean


def library_of(images: GeneImages, chosen: np.ndarray) -> GeneImages:
    """The images with library sizes that follow some genes (mask, G) over a distance of `WIDTH` pitches.

    The smoothed counts of these genes over the smoothed library size give a factor for every pixel. It is shrunk
    towards one by the share of its variance that counting noise explains, so that few counts change little.
    """
    background = np.asarray(images.counts[:, np.flatnonzero(chosen)].sum(axis=1), dtype=np.float32).ravel()
    smoother = Smoother(images.layout, WIDTH)
    counted, library = smoother.apply(np.stack([background, images.library.astype(np.float32)]))
    factor = counted / np.maximum(library, 1e-9)
    section = images.layout.section
    factor = factor / np.maximum(group_mean(factor, section, len(images.layout.grids))[section], 1e-9)
    # A smoothed count has this variance over its square: the kernel's energy over the counts that it sees.
    noise = float(np.mean(smoother.variance / np.maximum(counted, 1e-9)))
    kept = max(0.0, 1.0 - noise / max(float(factor.var()), 1e-12))
    return replace(images, library=images.library * np.maximum(1.0 + kept * (factor - 1.0), 0.05))
