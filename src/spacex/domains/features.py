"""What pixels are clustered by: principal components of the smoothed maps of genes with a pattern."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import scipy.linalg

from spacex._infra.errors import InputError
from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import fix_signs, signal_share

logger = logging.getLogger("spacex")

MAX_GENES = 2000
MIN_GENES = 250
MAX_VALUES = 40_000_000
"""Pixels x genes that are held at once (160 MB): beyond it fewer genes are used, down to `MIN_GENES`."""

MAX_COMPONENTS = 40


def select_genes(norm: np.ndarray, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The genes with the largest norms, and the share (B,) of each one's map that is signal.

    The share is the Wiener weight; genes at or below the level of noise drop out.
    """
    norm = np.nan_to_num(norm, nan=0.0).astype(np.float64)
    n_genes = int(np.clip(MAX_VALUES // n_pixels, MIN_GENES, MAX_GENES))
    order = np.argsort(-norm, kind="stable")[:n_genes]
    above = order[norm[order] > 1.0]
    if len(above) >= 2:
        return above, signal_share(norm[above])
    order = order[norm[order] > 0]
    if len(order) < 2:
        raise InputError('varm["X_spacex"] holds fewer than 2 genes; call sx.tl.embed(adata)')
    logger.warning("no two genes have a pattern stronger than noise: the domains mean little")
    return order, np.ones(len(order))


def effective_sample_size(n_pixels: int, sigma: float) -> float:
    """Number of pixels that noise smoothed by a Gaussian (`sigma` pitches) leaves independent of one another.

    Smoothed noise is alike over the area of the kernel's autocorrelation, 4 pi sigma^2.
    """
    return n_pixels / max(1.0, 4.0 * np.pi * sigma**2)


Values = Callable[[np.ndarray], np.ndarray]
"""Maps (B, P) of genes by their numbers (B,)."""


def components(images: GeneImages, values: Values, genes: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Leading principal components (P, D) of the maps of genes: smoothed (`sigma` pitches), scaled, weighted."""
    smoother = Smoother(images.layout, sigma)
    maps = np.empty((len(genes), images.n_pixels), dtype=np.float32)
    for start in range(0, len(genes), BATCH_GENES):
        part = slice(start, start + BATCH_GENES)
        maps[part] = smoother.apply(values(genes[part]))
    maps -= maps.mean(axis=1, keepdims=True)
    maps *= (weight / np.maximum(maps.std(axis=1), 1e-9)).astype(np.float32)[:, None]
    by_gene = len(maps) <= images.n_pixels
    gram = (maps @ maps.T if by_gene else maps.T @ maps).astype(np.float64)
    rank = max(1, min(MAX_COMPONENTS, len(maps) - 1, images.n_pixels // 10))
    value, vector = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    vector, value = vector[:, ::-1], np.maximum(value[::-1], 0.0)
    scores = maps.T @ vector if by_gene else vector * np.sqrt(value)
    scores = fix_signs(scores)
    return np.asarray(scores / max(float(scores[:, 0].std()), 1e-12), dtype=np.float64)
