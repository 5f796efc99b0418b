"""The story of a fit: linear start, pre-training, strength, modules, boosting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spacex.embedding.context import FitContext
from spacex.embedding.device_images import on_device
from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.history import History
from spacex.embedding.linear_init import linear_init
from spacex.embedding.modules import choose_n_modules, fit_modules, relabel_by_size
from spacex.embedding.null_strength import null_strength
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.training import pretrain, refine
from spacex.embedding.state import attention_sizes
from spacex.imaging.gene_images import GeneImages

if TYPE_CHECKING:
    from spacex.embedding.estimator import SpaCEX


def fit_in_session(model: SpaCEX, images: GeneImages, session: FitContext) -> np.ndarray:
    """Fit a model to the images of all genes, together with the processes of the session; their embeddings (G, D)."""
    config, seed, group = model.config, model.seed, session.group
    model.history_, model.layout_ = History(), images.layout
    train = held = images = on_device(images, session.device)
    if config.is_trained:
        # A loop will ask the held-out counts: the linear start must not have seen them.
        train, held = images.thin(1 - config.holdout_fraction, np.random.default_rng(seed))
    model.model_ = build(images, train, session, seed).to(session.device)
    if config.epochs:
        pretrain(model.model_, train, held, model.history_, session)
    trust = model.model_.encoder.trust.cpu()
    model.null_mean_, model.null_shape_ = null_strength(images, trust, config, seed, group)
    z, null = model._embed(images, session)
    model.n_modules_ = (
        choose_n_modules(z, null, config, seed, model.history_, group)
        if model.n_modules == "auto"
        else int(model.n_modules)
    )
    model.mixture_ = fit_modules(z, null, model.n_modules_, config, seed, group=group, device=session.device)
    for step, value in enumerate(model.mixture_.objective_):
        model.history_.add("mixture", iteration=step, objective=value)
    if config.boost_rounds:
        refine(model.model_, model.mixture_, train, held, torch.from_numpy(null), model.history_, session)
        z, null = model._embed(images, session)
    relabel_by_size(model.mixture_, z, null, config.background_threshold)
    return z


def build(images: GeneImages, train: GeneImages, session: FitContext, seed: int) -> MaskedAutoencoder:
    """The autoencoder at its linear start, taken from the counts that it will train on."""
    config, layout = session.config, images.layout
    start = linear_init(train, config, seed, session.group)
    index, owner = patch_index(layout.pixel, layout.section, config.patch_size)
    # The layers draw their first weights from torch's global generator: lend it our seed, then give it back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(index, start.smooth, start.strength_weights, start.linear, **attention_sizes(config))
    return MaskedAutoencoder(encoder, owner)
