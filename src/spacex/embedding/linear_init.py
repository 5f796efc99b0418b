"""Linear initialization of the encoder: components of the maps of all genes, weighted by cross-validated signal.

The counts to which a component was fitted cannot tell how much of it is signal, because the component is biased towards
their noise. Independent halves of the counts can.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import isotonic_regression

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.imaging.components import fine_basis, smooth_basis
from spacex.imaging.gene_images import BATCH_GENES, GeneImages

MIN_WEIGHT = 0.02
"""Fine components with a smaller weight are removed; smaller weights of smooth components are raised to it."""
MIN_DIMS = 4
MIN_NOISE = 0.5
"""Minimum noise variance along a component; in maps of mean square one it is about one along every component."""
N_RANDOM_DIRECTIONS = 50


class LinearInit(NamedTuple):
    """Initial components of the encoder's linear path.

    Attributes
    ----------
    smooth
        (P, n) orthonormal components of smoothed maps.
    fine
        (P, m) orthonormal components of the remainder.
    weight
        (n + m,) weight of each component, between 0 and 1.
    """

    smooth: np.ndarray
    fine: np.ndarray
    weight: np.ndarray

    @property
    def linear(self) -> np.ndarray:
        """(P, n + m) weighted components."""
        return np.hstack([self.smooth, self.fine]) * self.weight

    @property
    def strength_weights(self) -> np.ndarray:
        """(n,) weight of the energy along each smooth component in the strength of a pattern."""
        return self.weight[: self.smooth.shape[1]] ** 2


def linear_init(
    images: GeneImages, n_null: int, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS
) -> LinearInit:
    """Components of the residual maps and their weights; identical in all processes of a group.

    The last `n_null` genes are null genes. The components are fitted to them, too, so that their scores are biased like
    those of other genes without a pattern; the weights are computed without them.
    """
    n_genes = images.n_genes - n_null
    # Not more components than genes, from halves of whose counts the weights are computed.
    n_dims = min(config.n_dims, max(MIN_DIMS, n_genes // config.genes_per_dim), n_genes)
    n_fine = min(config.fine_dims, n_genes)
    smooth, _ = smooth_basis(images, sigma=config.sigma, n_components=n_dims, seed=seed, group=group)
    fine = fine_basis(images, smooth, n_components=n_fine, seed=seed, group=group)
    genes = images.take(np.arange(n_genes)) if n_null else images
    weight = signal_weights(genes, smooth, fine, config, seed, group)
    weight[: smooth.shape[1]] = np.maximum(weight[: smooth.shape[1]], MIN_WEIGHT)
    selected = weight >= MIN_WEIGHT
    fine = fine[:, selected[smooth.shape[1] :]]
    return group.broadcast(LinearInit(smooth, fine, weight[selected].astype(np.float32)))


def signal_weights(
    images: GeneImages,
    smooth: np.ndarray,
    fine: np.ndarray,
    config: Config,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
) -> np.ndarray:
    """Weights (n + m,) of components: signal / (signal + noise_share · noise), as in a Wiener filter.

    Signal is twice the covariance of the halves of the counts along the component of the same rank that is fitted to
    the first half. `Config.gene_specific_share` of the mean covariance along random directions is subtracted, because
    it is gene-specific (overdispersion). Noise is the remaining variance along the component (optimistically biased,
    since the component was fitted to it).
    """
    # Draws do not depend on the other genes, so each process thins only its shard.
    first, second = mask_genes(images, group.shard(images.n_genes)).thin(0.5, np.random.default_rng(seed))
    half_smooth, _ = smooth_basis(first, sigma=config.sigma, n_components=smooth.shape[1], seed=seed, group=group)
    half_fine = fine_basis(first, half_smooth, n_components=fine.shape[1], seed=seed, group=group)
    bases = (half_smooth, half_fine, random_directions(images.n_pixels, seed))
    # One call for all bases, so that residual maps are computed once.
    covariance = cross_validated_variance(first, second, np.hstack(bases), group)
    *ranked, gene_specific = np.split(covariance, np.cumsum([basis.shape[1] for basis in bases])[:-1])
    monotone = np.concatenate([isotonic_regression(part, increasing=False).x if len(part) else part for part in ranked])
    signal = 2 * np.maximum(monotone - config.gene_specific_share * gene_specific.mean(), 0.0)
    total = cross_validated_variance(images, images, np.hstack([smooth, fine]), group)
    noise = np.maximum(total - signal, MIN_NOISE)
    return signal / np.maximum(signal + config.noise_share * noise, 1e-12)


def mask_genes(images: GeneImages, genes: slice) -> GeneImages:
    """The images with the counts of all genes outside the slice set to zero."""
    counts = images.counts
    first, last = counts.indptr[genes.start], counts.indptr[genes.stop]
    inside = (counts.data[first:last], counts.indices[first:last], np.clip(counts.indptr, first, last) - first)
    return replace(images, counts=sp.csc_array(inside, shape=counts.shape))


def random_directions(n_pixels: int, seed: int) -> np.ndarray:
    """Random orthonormal directions (P, r), independent of all maps."""
    normal = np.random.default_rng(seed).standard_normal((n_pixels, min(N_RANDOM_DIRECTIONS, n_pixels)))
    return np.linalg.qr(normal)[0].astype(np.float32)


def cross_validated_variance(
    first: GeneImages, second: GeneImages, components: np.ndarray, group: ProcessGroup = SINGLE_PROCESS
) -> np.ndarray:
    """Mean over genes (r,) of the product of the scores of two sets of maps on orthonormal components (P, r).

    Maps have mean square one. For independent halves of the counts this estimates the variance of their common signal,
    even if the components were fitted to the first half. For a set with itself it is the total variance.
    """
    total = np.zeros(components.shape[1])
    for genes in group.batches(first.n_genes, first.batch_size(BATCH_GENES)):
        a = first.scores(components, genes)
        b = a if second is first else second.scores(components, genes)
        total += np.einsum("gr,gr->r", a, b)
    return group.all_reduce(total) / first.n_genes
