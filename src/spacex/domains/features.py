"""Features of pixels for clustering: principal components of the smoothed maps of genes with a pattern."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import scipy.linalg

from spacex._infra.errors import InputError
from spacex.domains.params import DomainParams
from spacex.imaging.gene_images import BATCH_GENES, GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import fix_signs, signal_share

logger = logging.getLogger("spacex")

MapReader = Callable[[np.ndarray], np.ndarray]
"""Returns the maps (B, P) of the genes with the given indices (B,)."""


def select_genes(norm: np.ndarray, n_pixels: int, params: DomainParams) -> tuple[np.ndarray, np.ndarray]:
    """Indices (B,) of the genes with the largest embedding norms (G,), and their weights (B,).

    The weight is the share of a gene's map that is signal (Wiener weight). Genes with a norm of at most 1, the noise
    level, are left out unless fewer than two genes exceed it.
    """
    norm = np.nan_to_num(norm, nan=0.0).astype(np.float64)
    n_genes = int(np.clip(params.max_values // n_pixels, params.min_genes, params.max_genes))
    genes = np.argsort(-norm, kind="stable")[:n_genes]
    above_noise = genes[norm[genes] > 1.0]
    if len(above_noise) >= 2:
        return above_noise, signal_share(norm[above_noise])
    genes = genes[norm[genes] > 0]
    if len(genes) < 2:
        raise InputError('varm["X_spacex"] holds fewer than 2 genes; call sx.tl.embed(adata)')
    logger.warning("fewer than two genes have a pattern stronger than noise: the domains are not meaningful")
    return genes, np.ones(len(genes))


def effective_sample_size(n_pixels: int, sigma: float) -> float:
    """Effective number of independent pixels after smoothing noise with a Gaussian of `sigma` pixel pitches.

    The autocorrelation of smoothed noise covers an area of 4 π σ².
    """
    return n_pixels / max(1.0, 4.0 * np.pi * sigma**2)


def smooth_components(
    images: GeneImages, read_maps: MapReader, genes: np.ndarray, weight: np.ndarray, sigma: float, n_components: int
) -> np.ndarray:
    """Leading principal components (P, D) of the maps of genes (B,), smoothed, standardized and weighted (B,).

    D is at most `n_components`, B - 1, and a tenth of the number of pixels.
    """
    smoother = Smoother(images.layout, sigma)
    maps = np.empty((len(genes), images.n_pixels), dtype=np.float32)
    for start in range(0, len(genes), BATCH_GENES):
        batch = slice(start, start + BATCH_GENES)
        maps[batch] = smoother.apply(read_maps(genes[batch]))
    maps -= maps.mean(axis=1, keepdims=True)
    maps *= (weight / np.maximum(maps.std(axis=1), 1e-9)).astype(np.float32)[:, None]
    by_gene = len(maps) <= images.n_pixels  # the smaller of the two Gram matrices
    gram = (maps @ maps.T if by_gene else maps.T @ maps).astype(np.float64)
    rank = max(1, min(n_components, len(maps) - 1, images.n_pixels // 10))
    value, vector = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    vector, value = vector[:, ::-1], np.maximum(value[::-1], 0.0)
    scores = maps.T @ vector if by_gene else vector * np.sqrt(value)
    scores = fix_signs(scores)
    return np.asarray(scores / max(float(scores[:, 0].std()), 1e-12), dtype=np.float64)
