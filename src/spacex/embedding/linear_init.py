"""The linear start: components of the maps of all genes, each weighed by what independent halves of the counts share.

Which component carries signal cannot be told from the counts that it was fitted to: it leans towards their noise. Half
of the counts, which it has not seen, can tell.
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
"""Weight below which a fine component is left out, and to which a smooth one is raised."""
MIN_DIMS = 4
MIN_NOISE = 0.5
"""Of unit maps noise has a mean square of about one along every component."""
N_RANDOM_DIRECTIONS = 50


class LinearInit(NamedTuple):
    """Where the linear path of the encoder starts.

    Attributes
    ----------
    smooth
        (P, n) orthonormal components of smoothed maps.
    fine
        (P, m) orthonormal components of what is left.
    weight
        (n + m,) weight of each, between 0 and 1.
    """

    smooth: np.ndarray
    fine: np.ndarray
    weight: np.ndarray

    @property
    def linear(self) -> np.ndarray:
        """(P, n + m) weighted components."""
        return np.hstack([self.smooth, self.fine]) * self.weight

    @property
    def trust(self) -> np.ndarray:
        """(n,) weight of the energy along each smooth component, where the strength of a pattern is measured."""
        return self.weight[: self.smooth.shape[1]] ** 2


def linear_init(images: GeneImages, config: Config, seed: int, group: ProcessGroup = SINGLE_PROCESS) -> LinearInit:
    """Components of the residual maps, and their weights; the same in every process of a process group."""
    n_dims = min(config.n_dims, max(MIN_DIMS, images.n_genes // config.genes_per_dim))
    smooth, _ = smooth_basis(images, sigma=config.sigma, n_components=n_dims, seed=seed, group=group)
    fine = fine_basis(images, smooth, n_components=config.fine_dims, seed=seed, group=group)
    weight = signal_weights(images, smooth, fine, config, seed, group)
    weight[: smooth.shape[1]] = np.maximum(weight[: smooth.shape[1]], MIN_WEIGHT)
    kept = weight >= MIN_WEIGHT
    return group.broadcast(LinearInit(smooth, fine[:, kept[smooth.shape[1] :]], weight[kept].astype(np.float32)))


def signal_weights(
    images: GeneImages,
    smooth: np.ndarray,
    fine: np.ndarray,
    config: Config,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
) -> np.ndarray:
    """Weights (n + m,) of components: signal / (signal + a share of the noise), as in a Wiener filter.

    Signal is what the halves of the counts share along the component of the same rank, fitted to one of them, doubled
    for the whole; what they share along any direction, which is each gene's own (overdispersion), counts in part.
    Noise is the rest of the variance of the whole along the component itself, which has chosen the noise that suits it.
    """
    # A gene's draws are its own, and a process needs the halves of its own genes alone.
    first, second = mask_genes(images, group.shard(images.n_genes)).thin(0.5, np.random.default_rng(seed))
    half_smooth, _ = smooth_basis(first, sigma=config.sigma, n_components=smooth.shape[1], seed=seed, group=group)
    half_fine = fine_basis(first, half_smooth, n_components=fine.shape[1], seed=seed, group=group)
    parts = (half_smooth, half_fine, random_directions(images.n_pixels, seed))
    shared = cross_validated_variance(
        first, second, np.hstack(parts), group
    )  # the maps of the halves are made once for all
    *ranked, own = np.split(shared, np.cumsum([part.shape[1] for part in parts])[:-1])
    falling = np.concatenate([isotonic_regression(part, increasing=False).x if len(part) else part for part in ranked])
    signal = 2 * np.maximum(falling - config.gene_specific_share * own.mean(), 0.0)
    total = cross_validated_variance(images, images, np.hstack([smooth, fine]), group)
    noise = np.maximum(total - signal, MIN_NOISE)
    return signal / np.maximum(signal + config.noise_share * noise, 1e-12)


def mask_genes(images: GeneImages, genes: slice) -> GeneImages:
    """The images of some genes in their places among all; those of the others are blank."""
    counts = images.counts
    first, last = counts.indptr[genes.start], counts.indptr[genes.stop]
    inside = (counts.data[first:last], counts.indices[first:last], np.clip(counts.indptr, first, last) - first)
    return replace(images, counts=sp.csc_array(inside, shape=counts.shape))


def random_directions(n_pixels: int, seed: int) -> np.ndarray:
    """Orthonormal directions (P, r) that have nothing to do with any map."""
    drawn = np.random.default_rng(seed).standard_normal((n_pixels, min(N_RANDOM_DIRECTIONS, n_pixels)))
    return np.linalg.qr(drawn)[0].astype(np.float32)


def cross_validated_variance(
    first: GeneImages, second: GeneImages, components: np.ndarray, group: ProcessGroup = SINGLE_PROCESS
) -> np.ndarray:
    """Mean product (r,) over genes of two sets of maps, of mean square one, along orthonormal components (P, r).

    Of independent halves of the counts, noise averages out and the variance of what they share is left, whatever the
    components were fitted to in the first (cross-validated variance). Of a set with itself it is the variance.
    """
    total = np.zeros(components.shape[1])
    for genes in group.batches(first.n_genes, first.batch_size(BATCH)):
        a = first.scores(components, genes)
        b = a if second is first else second.scores(components, genes)
        total += np.einsum("gr,gr->r", a, b)
    return group.all_reduce(total) / first.n_genes
