"""`fit`: linear initialization, optional pre-training, mixture of modules, optional boosting."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.device_images import on_device
from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.history import History
from spacex.embedding.linear_init import linear_init
from spacex.embedding.modules import (
    assign_modules,
    choose_n_modules,
    fit_modules,
    null_probability,
    sort_modules_by_size,
)
from spacex.embedding.null_strength import null_strength
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.training import pretrain, refine
from spacex.embedding.state import FittedState, attention_sizes
from spacex.embedding.transform import embed_maps, map_batches
from spacex.imaging.gene_images import GeneImages


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
        Number of modules, or ``"auto"``: the number that best predicts held-out genes.

    Returns
    -------
    The fitted state.
    """
    seed, group, history = context.seed, context.group, History()
    train = heldout = images = on_device(images, context.device)
    if config.is_trained:  # training is evaluated on counts that the linear initialization has not seen
        train, heldout = images.thin(1 - config.holdout_fraction, np.random.default_rng(seed))
    model = build_autoencoder(train, config, context)
    if config.epochs:
        pretrain(model, train, heldout, config, history, context)
    weights = model.encoder.strength_weights.cpu()
    null_mean, null_shape = null_strength(images, weights, config, seed, group)

    def embed_genes() -> tuple[np.ndarray, np.ndarray]:
        z, norm = embed_maps(model, map_batches(images, context, config.batch_size), null_mean, group)
        return z, null_probability(norm, null_shape)

    z, null = embed_genes()
    k = choose_n_modules(z, null, config, seed, history, group) if n_modules == "auto" else int(n_modules)
    mixture = fit_modules(z, null, k, config, seed, group=group, device=context.device)
    for iteration, objective in enumerate(mixture.objective_):
        history.add("mixture", iteration=iteration, objective=objective)
    parameters = mixture.parameters_
    if config.boost_rounds:
        parameters = refine(model, parameters, train, heldout, torch.from_numpy(null), config, history, context)
        z, null = embed_genes()
    parameters = sort_modules_by_size(parameters, z, null, config.background_threshold)
    labels, probabilities = assign_modules(parameters, z, null_shape, config.background_threshold)
    return FittedState(
        config, seed, images.layout, model, null_mean, null_shape, parameters, history, z, labels, probabilities
    )


def build_autoencoder(train: GeneImages, config: Config, context: FitContext) -> MaskedAutoencoder:
    """Return the autoencoder on the device, at the linear initialization computed from the training counts."""
    layout = train.layout
    init = linear_init(train, config, context.seed, context.group)
    pixels_of_patch, patch_of_pixel = patch_index(layout.pixel, layout.section, config.patch_size)
    # Layers draw their initial weights from torch's global generator, which is seeded here and restored after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        encoder = Encoder(pixels_of_patch, init.smooth, init.strength_weights, init.linear, **attention_sizes(config))
    return MaskedAutoencoder(encoder, patch_of_pixel).to(context.device)
