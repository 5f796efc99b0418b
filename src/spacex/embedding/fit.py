"""`fit`: null genes, linear initialization, optional pre-training, mixture of modules, optional boosting."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import expression_bounds, expression_level, noise_coordinates
from spacex.embedding.device_images import on_device
from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.expectation import Points
from spacex.embedding.history import History
from spacex.embedding.linear_init import linear_init
from spacex.embedding.modules import (
    choose_n_modules,
    fit_modules,
    remove_unsupported,
    sort_by_evidence,
)
from spacex.embedding.null_genes import number_of_null_genes, redraw_null_genes
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.training import Mixture, pretrain, refine
from spacex.embedding.state import FittedState, attention_sizes
from spacex.embedding.student_t import Parameters
from spacex.embedding.transform import embed_maps, map_batches
from spacex.imaging.gene_images import GeneImages
from spacex.svg.size_factors import stable_library_factor


def fit(
    images: GeneImages, config: Config, context: FitContext, *, n_modules: int | Literal["auto"] = "auto"
) -> FittedState:
    """Fit encoder and mixture to the images of all genes.

    Parameters
    ----------
    images
        Images of G genes.
    config
        Settings of the method.
    context
        Device, seed and processes; every process passes all images and gets the same state.
    n_modules
        Number of modules, or ``"auto"``: see `find_modules`.

    Returns
    -------
    The fitted state.
    """
    seed, history, n_genes = context.seed, History(), images.n_genes
    combined, library_factor = append_null_genes(images, config, context)
    n_null = combined.n_genes - n_genes
    genes, is_null = np.arange(n_genes), np.arange(combined.n_genes) >= n_genes
    train = heldout = combined
    if config.is_trained:  # training is evaluated on counts that the linear initialization has not seen
        train, heldout = combined.thin(1 - config.holdout_fraction, np.random.default_rng(seed))
    model = build_autoencoder(train, n_null, config, context)
    if config.epochs:
        pretrain(model, train.take(genes), heldout.take(genes), config, history, context)
    z, null_mean = embed_genes(model, combined, is_null, config, context)
    total = combined.totals.sum(axis=0)
    bounds = expression_bounds(total[~is_null], is_count=images.is_count)
    level = expression_level(total, bounds)
    points, scale = noise_coordinates(z[~is_null], z[is_null], level, model.encoder.basis.shape[1])
    parameters = find_modules(points, scale.signal, n_modules, config, context, history)
    if config.boost_rounds:
        strength = torch.from_numpy(np.linalg.norm(z.astype(np.float64), axis=1))
        mixture = Mixture(parameters, scale, strength, points.level, points.is_null)
        parameters = refine(model, mixture, train, heldout, config, history, context)
        z, null_mean = embed_genes(model, combined, is_null, config, context)
        points = points._replace(x=scale.coordinates(torch.from_numpy(z)))
    parameters, (labels, probabilities) = sort_by_evidence(points, parameters, config.min_module_prob)
    return FittedState(
        config=config, seed=seed, layout=images.layout, autoencoder=model, null_mean=null_mean, scale=scale,
        library_factor=library_factor,
        level_bounds=bounds, mixture=parameters, history=history, embedding=z[~is_null], labels=labels,
        probabilities=probabilities, levels=level[~is_null],
        null_embedding=z[is_null], null_level=level[is_null],
    )  # fmt: skip


def append_null_genes(images: GeneImages, config: Config, context: FitContext) -> tuple[GeneImages, np.ndarray]:
    """Images on the device of genes and null genes with library sizes from stable genes, and their factor (P,)."""
    library_factor = context.group.broadcast(stable_library_factor(images, context.seed))
    images = images.scale_library(library_factor)
    n_null = number_of_null_genes(images.n_genes, config.n_null_genes)
    return on_device(images.append(redraw_null_genes(images, n_null, context.seed)), context.device), library_factor


def embed_genes(
    model: MaskedAutoencoder, images: GeneImages, is_null: np.ndarray, config: Config, context: FitContext
) -> tuple[np.ndarray, float]:
    """Embeddings (N, D) of genes and null genes, scaled so that null genes have mean squared norm one; the scale."""
    z = embed_maps(model, map_batches(images, context, config.batch_size), 1.0, context.group)
    null_mean = float(np.mean(np.sum(z[is_null].astype(np.float64) ** 2, axis=1)))
    if not (null_mean > 0 and z[~is_null].any()):
        raise InputError("no gene varies over the tissue: all maps are constant; check the counts")
    return z / np.float32(np.sqrt(null_mean)), null_mean


def find_modules(
    points: Points,
    signal: torch.Tensor,
    n_modules: int | Literal["auto"],
    config: Config,
    context: FitContext,
    history: History,
) -> Parameters:
    """Parameters of the mixture; with ``"auto"``, modules that the genes do not support are removed."""
    seed, group = context.seed, context.group
    is_auto = n_modules == "auto"
    k = choose_n_modules(points, config, seed, history, signal=signal, group=group) if is_auto else int(n_modules)
    parameters = fit_modules(
        points, k, config, seed, signal=signal, group=group, device=context.device, history=history
    )
    return remove_unsupported(points, parameters, config, group) if is_auto else parameters


def build_autoencoder(train: GeneImages, n_null: int, config: Config, context: FitContext) -> MaskedAutoencoder:
    """Return the autoencoder on the device, at the linear initialization computed from the training counts."""
    layout = train.layout
    init = linear_init(train, n_null, config, context.seed, context.group)
    pixels_of_patch, patch_of_pixel = patch_index(layout.pixel, layout.section, config.patch_size)
    # Layers draw their initial weights from torch's global generator, which is seeded here and restored after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        encoder = Encoder(pixels_of_patch, init.smooth, init.strength_weights, init.linear, **attention_sizes(config))
    return MaskedAutoencoder(encoder, patch_of_pixel).to(context.device)
