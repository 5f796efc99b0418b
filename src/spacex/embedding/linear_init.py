"""`linear_init`: components of the residual maps, weighted by their cross-validated signal.

The signal of a component is biased upwards on the counts that it was fitted to. It is therefore estimated with
independent halves of the counts, of which only one is used to fit components.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.optimize import isotonic_regression

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import BATCH, fine_basis, smooth_basis

MIN_WEIGHT = 0.02
"""Weight below which a fine component is dropped, and minimum weight of a smooth one."""
MIN_DIMS = 4
"""Minimum number of smooth dimensions, for few genes."""
MIN_NOISE = 0.5
"""Minimum noise variance of a component; noise of unit maps has a variance of about one along every component."""
N_RANDOM_DIRECTIONS = 50
"""Number of directions along which gene-specific variance is measured."""


class LinearInit(NamedTuple):
    """Initial value of the linear path of the encoder.

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
        """(n,) weight of each smooth component in the signal strength."""
        return self.weight[: self.smooth.shape[1]] ** 2


def linear_init(images: GeneImages, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS) -> LinearInit:
    """Compute components of the residual maps and their weights; the same in every process of a group."""
    n_dims = min(config.n_dims, max(MIN_DIMS, images.n_genes // config.genes_per_dim))
    smooth, _ = smooth_basis(images, sigma=config.sigma, n_components=n_dims, seed=seed, group=group)
    fine = fine_basis(images, smooth, n_components=config.fine_dims, seed=seed, group=group)
    weight = signal_weights(images, smooth, fine, config, seed, group)
    weight[: smooth.shape[1]] = np.maximum(weight[: smooth.shape[1]], MIN_WEIGHT)
    is_used = weight >= MIN_WEIGHT
    fine = fine[:, is_used[smooth.shape[1] :]]
    return group.broadcast(LinearInit(smooth, fine, weight[is_used].astype(np.float32)))


def signal_weights(
    images: GeneImages,
    smooth: np.ndarray,
    fine: np.ndarray,
    config: Config,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
) -> np.ndarray:
    """Return weights (n + m,) of components: signal / (signal + noise_share * noise), as in a Wiener filter.

    Signal is the variance shared by both halves of the counts along the component of the same rank that was fitted to
    one of them, doubled for the whole counts, less `Config.gene_specific_share` of the variance shared along random
    directions, which is gene-specific (overdispersion). Noise is the remaining variance of the whole counts along the
    component (biased upwards, since the component was fitted to it).
    """
    # Draws are independent per gene, so that a process needs the halves of its own genes only.
    first, second = mask_genes(images, group.shard(images.n_genes)).thin(0.5, np.random.default_rng(seed))
    half_smooth, _ = smooth_basis(first, sigma=config.sigma, n_components=smooth.shape[1], seed=seed, group=group)
    half_fine = fine_basis(first, half_smooth, n_components=fine.shape[1], seed=seed, group=group)
    parts = (half_smooth, half_fine, random_directions(images.n_pixels, seed))
    shared = cross_validated_variance(first, second, np.hstack(parts), group)
    *ranked, gene_specific = np.split(shared, np.cumsum([part.shape[1] for part in parts])[:-1])
    monotone = np.concatenate([isotonic_regression(part, increasing=False).x if len(part) else part for part in ranked])
    signal = 2 * np.maximum(monotone - config.gene_specific_share * gene_specific.mean(), 0.0)
    total = cross_validated_variance(images, images, np.hstack([smooth, fine]), group)
    noise = np.maximum(total - signal, MIN_NOISE)
    return signal / np.maximum(signal + config.noise_share * noise, 1e-12)


def mask_genes(images: GeneImages, genes: slice) -> GeneImages:
    """Return images with the counts of genes outside the slice set to zero."""
    counts = images.counts
    first, last = counts.indptr[genes.start], counts.indptr[genes.stop]
    parts = (counts.data[first:last], counts.indices[first:last], np.clip(counts.indptr, first, last) - first)
    return replace(images, counts=sp.csc_array(parts, shape=counts.shape))


def random_directions(n_pixels: int, seed: int) -> np.ndarray:
    """Return random orthonormal directions (P, r)."""
    normal = np.random.default_rng(seed).standard_normal((n_pixels, min(N_RANDOM_DIRECTIONS, n_pixels)))
    return np.linalg.qr(normal)[0].astype(np.float32)


def cross_validated_variance(
    first: GeneImages, second: GeneImages, components: np.ndarray, group: ProcessGroup = SINGLE_PROCESS
) -> np.ndarray:
    """Return the mean over genes (r,) of the product of two sets of maps along orthonormal components (P, r).

    Maps have mean square one. For independent halves of the counts, of which only the first was used to fit the
    components, the noise averages out: the result is the variance that both share. For `second` equal to `first` it is
    the variance.
    """
    total = np.zeros(components.shape[1])
    for genes in group.batches(first.n_genes, first.batch_size(BATCH)):
        a = first.scores(components, genes)
        b = a if second is first else second.scores(components, genes)
        total += np.einsum("gr,gr->r", a, b)
    return group.all_reduce(total) / first.n_genes
