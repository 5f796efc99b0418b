"""Stability of modules: agreement with modules refitted to independent halves of the counts and under other seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import Coordinates, expression_bounds, expression_level, noise_coordinates
from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.expectation import posterior
from spacex.embedding.fit import embed_genes
from spacex.embedding.modules import fit_modules
from spacex.embedding.null_genes import redraw_null_genes
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.state import attention_sizes
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import SectionLayout
from spacex.svg.size_factors import stable_library_factor

N_HALVES = 2


class ModuleStability(NamedTuple):
    """Jaccard indices of K modules.

    Attributes
    ----------
    halves
        (K,) mean over the halves of the counts and the starts.
    seeds
        (K,) mean over the starts of refits to the whole counts.
    """

    halves: np.ndarray
    seeds: np.ndarray


def module_stability(
    labels: np.ndarray,
    whole: Coordinates,
    halves: Iterable[Coordinates],
    n_modules: int,
    config: Config,
    *,
    n_seeds: int,
    seed: int,
    progress: bool = False,
) -> ModuleStability:
    """Refit the mixture to halves of the counts, and to the whole counts, from other starts.

    Parameters
    ----------
    labels
        (G,) int, module of every gene in the fit; -1 for none. Every module has a gene.
    whole
        Coordinates of the genes, followed by null genes.
    halves
        The same for the halves of the counts.
    n_modules
        Number of modules of the refits.
    config
        Settings of the mixture.
    n_seeds
        Number of starts, each for one refit to each half and to the whole counts.
    seed
        Seed of the starts.
    progress
        Whether to show progress on stderr.

    Returns
    -------
    The indices of the modules; see `jaccard_index`.
    """
    rng = np.random.default_rng([seed, 1])
    total = (N_HALVES + 1) * n_seeds
    indices = []
    with tqdm(total=total, desc="module stability", unit="fit", disable=not progress) as bar:
        for coordinates in (*halves, whole):
            for start in rng.integers(2**31, size=n_seeds):
                again = refitted_labels(coordinates, len(labels), n_modules, config, int(start))
                indices.append(jaccard_index(labels, again))
                bar.update()
    return ModuleStability(np.mean(indices[:-n_seeds], axis=0), np.mean(indices[-n_seeds:], axis=0))


def jaccard_index(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Jaccard index (K,) of every module with the most similar module of another grouping.

    For a module A and a module B of the other grouping, |A ∩ B| / |A ∪ B| (Hennig 2007, section 2). Only genes that
    have a module in `labels` count, so that the index measures the grouping, and not whether weak genes have a module.

    Parameters
    ----------
    labels
        (G,) int, modules 0 to K - 1; -1 for none.
    other
        (G,) int, the modules of the other grouping, from 0.
    """
    labels, other = labels[labels >= 0], other[labels >= 0]
    shared = np.zeros((labels.max() + 1, other.max() + 1))
    np.add.at(shared, (labels, other), 1.0)
    union = shared.sum(1, keepdims=True) + shared.sum(0) - shared
    best: np.ndarray = (shared / union).max(axis=1)
    return best


def refitted_labels(coordinates: Coordinates, n_genes: int, n_modules: int, config: Config, seed: int) -> np.ndarray:
    """Return the most probable module (G,) of every gene in a mixture that is fitted from one start.

    Null genes, which follow the genes, take part in the fit.
    """
    points, scale = coordinates
    parameters = fit_modules(points, n_modules, config, seed, signal=scale.signal, n_starts=1)
    return posterior(points.take(slice(n_genes)), parameters)[:, :-1].argmax(dim=1).numpy()


def half_coordinates(
    images: GeneImages, n_null: int, model: MaskedAutoencoder, config: Config, seed: int
) -> Iterator[Coordinates]:
    """Yield the coordinates of genes and null genes in independent halves of the counts.

    Each half is embedded by the same components, and its noise and signal are estimated from its own null genes.

    Parameters
    ----------
    images
        Images of G genes.
    n_null
        Number of null genes, which are redrawn as in the fit.
    model
        Encoder, such as `linear_encoder`.
    config
        Settings of the fit.
    seed
        Seed of the fit.
    """
    n_genes, context = images.n_genes, FitContext(torch.device("cpu"), seed)
    images = images.scale_library(stable_library_factor(images, seed))
    combined = images.append(redraw_null_genes(images, n_null, seed))
    is_null = np.arange(combined.n_genes) >= n_genes
    total = combined.totals.sum(axis=0)
    level = expression_level(total, expression_bounds(total[~is_null], is_count=images.is_count))
    n_smooth = model.encoder.basis.shape[1]
    for half in combined.thin(0.5, np.random.default_rng([seed, 2])):
        z, _ = embed_genes(model, half, is_null, config, context)
        yield noise_coordinates(z[~is_null], z[is_null], level, n_smooth)


def linear_encoder(components: np.ndarray, n_smooth: int, layout: SectionLayout, config: Config) -> MaskedAutoencoder:
    """Return an encoder with a linear path only, from weighted components.

    Parameters
    ----------
    components
        (P, D) orthogonal components, whose norms are their weights; smooth ones first.
    n_smooth
        Number of smooth components.
    layout
        Pixels of the maps.
    config
        Settings of the fit.
    """
    weight = np.linalg.norm(components[:, :n_smooth], axis=0)
    basis = components[:, :n_smooth] / np.maximum(weight, 1e-12)
    pixels_of_patch, patch_of_pixel = patch_index(layout.pixel, layout.section, config.patch_size)
    basis, strength, linear = (np.asarray(a, dtype=np.float32) for a in (basis, weight**2, components))
    sizes = {**attention_sizes(config), "n_layers": 0}
    return MaskedAutoencoder(Encoder(pixels_of_patch, basis, strength, linear, **sizes), patch_of_pixel)
