"""Library sizes from genes without a pattern.

The library size of a pixel is the sum of its counts, strongly spatial genes included. Where these are many, all other
genes seem to be few, in a pattern. Genes that look random tell what the library size is like on the whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..raster import GeneImages
from ..spectral import Smoother
from .design import Design
from .maps import StandardMaps
from .tails import log_tail
from .widths import PairKernel, section_images

WIDTH = 2.0
LOOKS_RANDOM = 0.5
"""p-value above which a gene is taken for one without a pattern."""
FIRST_WIDTH = 2.0
FEW = 0.1
"""Share of the genes below which too few look random to say that the others are the exception."""


def background_library(images: GeneImages, seed: int) -> GeneImages:
    """The images with library sizes that follow, over a distance of `WIDTH` pitches, the genes that look random.

    These are the genes with p > `LOOKS_RANDOM` at one width. If hardly any gene looks random, a few loud ones may have
    bent the library sizes for all: then the steadier half of the genes is tried, and kept if many genes look random
    thereafter. Where none do, every gene has a pattern (or the panel is made of such), and library sizes stay as they
    are. Intensities are handed back as they are.
    """
    if not images.is_count:
        return images
    log_p, change = first_look(images, seed)
    random = log_p > np.log(LOOKS_RANDOM)
    if random.mean() >= FEW:
        return library_of(images, random)
    steady = library_of(images, change <= np.median(change))
    random = first_look(steady, seed)[0] > np.log(LOOKS_RANDOM)
    return library_of(images, random) if random.mean() >= FEW else images


def first_look(images: GeneImages, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log p-value (G,) at one width, and how much each gene changes over the tissue relative to its mean (G,).

    The energy of a residual map over noise is in proportion to m δ² / (1 + φ m) where a gene of mean m and dispersion φ
    changes by a factor of 1 ± δ.
    """
    maps = StandardMaps(images, Design.of(images.canvas.section))
    kernel = PairKernel(images.canvas, FIRST_WIDTH, design=maps.design, library=maps.library, seed=seed)
    log_p, energy = np.zeros(images.n_genes), np.zeros(images.n_genes)
    for batch in maps.batches():
        statistic = kernel.statistic(section_images(images.canvas, batch.maps), batch.squares)
        null = kernel.null(batch.skewness, batch.slope)
        variance, third = ((part * batch.present).sum(axis=1) for part in (null.variance, null.third))
        energy[batch.genes] = statistic.sum(axis=1)
        log_p[batch.genes] = log_tail(energy[batch.genes], variance, third)
    mean = images.totals.sum(axis=0) / images.n_pixels
    return log_p, energy * (1.0 + maps.phi * mean) / mean


def library_of(images: GeneImages, chosen: np.ndarray) -> GeneImages:
    """The images with library sizes that follow some genes (mask, G) over a distance of `WIDTH` pitches.

    The smoothed counts of these genes over the smoothed library size give a factor for every pixel. It is shrunk
    towards one by the share of its variance that counting noise explains, so that few counts change little.
    """
    background = np.asarray(images.counts[:, np.flatnonzero(chosen)].sum(axis=1), dtype=np.float32).ravel()
    smoother = Smoother(images.canvas, WIDTH)
    counted, library = smoother.apply(np.stack([background, images.library.astype(np.float32)]))
    factor = counted / np.maximum(library, 1e-9)
    section = images.canvas.section
    factor = factor / np.maximum((np.bincount(section, factor) / np.bincount(section))[section], 1e-9)
    # A smoothed count has this variance over its square: the kernel's energy over the counts that it sees.
    noise = float(np.mean(smoother.variance / np.maximum(counted, 1e-9)))
    kept = max(0.0, 1.0 - noise / max(float(factor.var()), 1e-12))
    return replace(images, library=images.library * np.maximum(1.0 + kept * (factor - 1.0), 0.05))
