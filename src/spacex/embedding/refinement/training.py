"""Training loops: pre-training of the masked autoencoder, and boosting of encoder and mixture."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import NoiseScale
from spacex.embedding.device_images import maps_on
from spacex.embedding.expectation import Points, posterior
from spacex.embedding.history import History
from spacex.embedding.mixture import StudentMixture
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder, draw_mask
from spacex.embedding.refinement.boosting import target_distribution
from spacex.embedding.refinement.losses import Boosting, Reconstruction
from spacex.embedding.student_t import Parameters, l2_normalize_tensor
from spacex.embedding.transform import encode
from spacex.imaging.gene_images import GeneImages

MAX_VALIDATION_GENES = 2048
RANK_BATCH_SIZE = 1024
MIN_CHANGED_SHARE = 0.005
"""Boosting stops when a smaller fraction of genes changes its module."""


class Validation(NamedTuple):
    """Metrics of a model on held-out counts.

    ``correlation``: mean over genes of the correlation between the reconstruction and the held-out map.
    ``retrieval``: mean reciprocal rank of the training embedding of a gene among those of all genes, for the embedding
    of its held-out counts as query. It penalizes encoders that smooth genes into one another.
    """

    correlation: float
    retrieval: float

    def relative_gain(self, baseline: Validation) -> float:
        """Return the mean relative gain of both metrics over another model."""
        return (self.correlation / baseline.correlation + self.retrieval / baseline.retrieval) / 2 - 1


@torch.inference_mode()
def validate(
    model: MaskedAutoencoder, train: GeneImages, heldout: GeneImages, config: Config, context: FitContext
) -> Validation:
    """Evaluate a model on the held-out counts of at most `MAX_VALIDATION_GENES` evenly spaced genes."""
    model.eval()
    if train.n_genes > MAX_VALIDATION_GENES:
        selected = np.linspace(0, train.n_genes - 1, MAX_VALIDATION_GENES).astype(int)
        train, heldout = train.take(selected), heldout.take(selected)
    group = context.group
    total, query_parts, key_parts = 0.0, [], []
    for genes in group.batches(train.n_genes, config.batch_size):
        truth = maps_on(heldout, genes, context.device)
        key_parts.append(model.encoder(maps_on(train, genes, context.device)))
        query_parts.append(model.encoder(truth))
        reconstruction = model.reconstruct(key_parts[-1])
        total += float(torch.nn.functional.cosine_similarity(reconstruction, truth, dim=1).double().sum())
    total = float(group.all_reduce(np.array([total]))[0])
    keys = context.gather(l2_normalize_tensor(torch.cat(key_parts)))
    queries = l2_normalize_tensor(torch.cat(query_parts))
    first = group.shard(train.n_genes).start
    ranks = []
    for start in range(0, max(len(queries), 1), RANK_BATCH_SIZE):
        similarity = queries[start : start + RANK_BATCH_SIZE] @ keys.T
        to_itself = similarity.diagonal(first + start)[:, None]
        ranks.append(1.0 / (similarity >= to_itself).sum(1))
    reciprocal_rank = context.gather(torch.cat(ranks))
    return Validation(max(total / train.n_genes, 1e-9), float(reciprocal_rank.double().mean()))


def pretrain(
    model: MaskedAutoencoder,
    train: GeneImages,
    heldout: GeneImages,
    config: Config,
    history: History,
    context: FitContext,
) -> None:
    """Train the model in place on masked maps, with early stopping on the held-out counts.

    The best state is restored at the end; that is the linear initialization if training does not improve on it.
    """
    baseline = validate(model, train, heldout, config, context)
    history.add("pretrain", epoch=0, loss=float("nan"), **baseline._asdict())
    best_gain, best_state, n_waited = 0.0, copy.deepcopy(model.state_dict()), 0
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.95)
    )
    objective, wrapped_optimizer = context.prepare(Reconstruction(model, context.group.size), optimizer)
    epochs = tqdm(range(1, config.epochs + 1), desc="pre-training", unit="epoch", disable=not context.progress)
    for epoch in epochs:
        loss = _run_epoch(model, train, objective, wrapped_optimizer, config, context)
        metrics = validate(model, train, heldout, config, context)
        gain = metrics.relative_gain(baseline)
        history.add("pretrain", epoch=epoch, loss=loss, **metrics._asdict())
        epochs.set_postfix(loss=f"{loss:.4f}", gain=f"{gain:+.2%}")
        n_waited += 1
        if gain > best_gain:
            best_gain, best_state, n_waited = gain, copy.deepcopy(model.state_dict()), 0
        elif n_waited >= config.patience:
            break
    epochs.close()
    model.load_state_dict(best_state)


def _run_epoch(
    model: MaskedAutoencoder,
    images: GeneImages,
    objective: nn.Module,
    optimizer: Any,
    config: Config,
    context: FitContext,
) -> float:
    """Train on at most `Config.genes_per_epoch` genes in random order; return the mean loss.

    Every process draws the order and the masks of whole batches, and computes its part of each.
    """
    model.train()
    group = context.group
    order = torch.randperm(images.n_genes, generator=context.generator)[: config.genes_per_epoch]
    losses = []
    for genes in order.split(config.batch_size):
        mask = draw_mask(
            model.patch_of_pixel,
            len(model.encoder.pixels_of_patch),
            len(genes),
            patch_mask=config.patch_mask,
            pixel_mask=config.pixel_mask,
            generator=context.generator,
        )
        shard = group.shard(len(genes))
        local_genes = genes[shard]
        maps = maps_on(images, local_genes.numpy(), context.device)
        n_masked = (~mask.visible).sum()
        loss = objective(maps, mask.take(shard), n_masked, local_genes.to(context.device), len(genes))
        context.step(loss, model, optimizer)
        losses.append(loss.detach())
    return float(group.all_reduce(torch.stack(losses).mean().cpu().numpy().reshape(1))[0]) / group.size


class Mixture(NamedTuple):
    """What boosting needs to know of the mixture of modules.

    ``parameters``; ``scale`` of noise and signal; ``strength`` (N,) norms of the embeddings of genes and null genes;
    ``level`` (N,) expression levels; ``is_null`` (N,) whether a gene is a null gene.
    """

    parameters: Parameters
    scale: NoiseScale
    strength: Tensor
    level: Tensor
    is_null: Tensor


def refine(
    model: MaskedAutoencoder,
    mixture: Mixture,
    train: GeneImages,
    heldout: GeneImages,
    config: Config,
    history: History,
    context: FitContext,
) -> Parameters:
    """Alternate between training on a sharpened target and refitting the mixture (boosted clustering).

    Trains the model in place and returns the parameters of the mixture. A round that loses more than
    `Config.boost_tolerance` on the held-out counts is undone and ends the loop, as does a round in which fewer than
    `MIN_CHANGED_SHARE` of the genes change their module.
    """
    group, parameters = context.group, mixture.parameters
    points = _points(model, mixture, train, config, context)
    log_resp = posterior(points, parameters)
    baseline = validate(model, train, heldout, config, context)
    history.add("boosting", round=0, loss=float("nan"), changed=float("nan"), **baseline._asdict())
    rounds = tqdm(range(1, config.boost_rounds + 1), desc="boosting", unit="round", disable=not context.progress)
    for step in rounds:
        last_state, last_parameters = copy.deepcopy(model.state_dict()), parameters
        target = target_distribution(log_resp, config.boost_power)
        trained, loss = _train_on_target(model, mixture._replace(parameters=parameters), train, target, config, context)
        points = _points(model, mixture, train, config, context)
        shard = points.take(group.shard(len(points.x)))
        parameters = StudentMixture.from_config(config).fit(shard, trained, group=group).parameters_
        new = posterior(points, parameters)
        changed = group.broadcast(float((new.argmax(1) != log_resp.argmax(1)).double().mean()))
        metrics = validate(model, train, heldout, config, context)
        gain = metrics.relative_gain(baseline)
        history.add("boosting", round=step, loss=loss, changed=changed, **metrics._asdict())
        rounds.set_postfix(loss=f"{loss:.4f}", gain=f"{gain:+.2%}", changed=f"{changed:.3f}")
        if gain < -config.boost_tolerance:
            model.load_state_dict(last_state)
            parameters = last_parameters
            break
        log_resp = new
        if changed < MIN_CHANGED_SHARE:
            break
    rounds.close()
    return parameters


def _points(
    model: MaskedAutoencoder, mixture: Mixture, images: GeneImages, config: Config, context: FitContext
) -> Points:
    """Return the coordinates of all genes and null genes under the current encoder, on the CPU."""
    direction = l2_normalize_tensor(encode(model, images, context, config.batch_size)).double().cpu()
    x = mixture.scale.coordinates(direction * mixture.strength[:, None])
    return Points(x, mixture.level, mixture.is_null)


def _train_on_target(
    model: MaskedAutoencoder,
    mixture: Mixture,
    train: GeneImages,
    target: Tensor,
    config: Config,
    context: FitContext,
) -> tuple[Parameters, float]:
    """Train encoder and mixture on a fixed target, with the reconstruction as a regularizer.

    Returns the updated parameters of the mixture and the loss of the last epoch.
    """
    parameters, scale, strength, level, _ = mixture
    boosting = Boosting(model, context.group.size, parameters, scale, target, strength, level)
    optimizer = torch.optim.AdamW(boosting.parameters(), lr=config.boost_learning_rate, weight_decay=0.0)
    objective, wrapped_optimizer = context.prepare(boosting, optimizer)
    for _ in range(config.boost_epochs):
        loss = _run_epoch(model, train, objective, wrapped_optimizer, config, context)
    return boosting.updated_parameters(), loss
