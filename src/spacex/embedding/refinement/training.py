"""The two loops: pre-training of the masked autoencoder, and boosted refinement with the mixture."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from spacex.embedding.context import FitContext
from spacex.embedding.device_images import maps_on
from spacex.embedding.history import History
from spacex.embedding.mixture import StudentMixture
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder, draw_mask
from spacex.embedding.refinement.boosting import l2_normalize_tensor, target_distribution
from spacex.embedding.refinement.losses import Boosting, Reconstruction
from spacex.embedding.transform import embed
from spacex.imaging.gene_images import GeneImages

MAX_VALIDATION_GENES = 2048
RANK_BATCH = 1024


class Validation(NamedTuple):
    """What the held-out counts say of a model.

    ``correlation``: mean over genes of the correlation between a gene's reconstruction and its held-out map.
    ``retrieval``: mean reciprocal rank of a gene's own training embedding among those of all genes, asked with the
    embedding of its held-out counts. The first alone would prefer an encoder that smooths genes into one another.
    """

    correlation: float
    retrieval: float

    def against(self, start: Validation) -> float:
        """Gain over another model: the mean of the relative gains."""
        return (self.correlation / start.correlation + self.retrieval / start.retrieval) / 2 - 1


@torch.inference_mode()
def validate(model: MaskedAutoencoder, train: GeneImages, held: GeneImages, session: FitContext) -> Validation:
    """Ask the counts that were held out, of at most 2,048 genes evenly spaced."""
    model.eval()
    if train.n_genes > MAX_VALIDATION_GENES:
        chosen = np.linspace(0, train.n_genes - 1, MAX_VALIDATION_GENES).astype(int)
        train, held = train.take(chosen), held.take(chosen)
    group = session.group
    total, queries, answers = 0.0, [], []
    for genes in group.batches(train.n_genes, session.config.batch_size):
        truth = maps_on(held, genes, session.device)
        answers.append(model.encoder(maps_on(train, genes, session.device)))
        queries.append(model.encoder(truth))
        guess = model.reconstruct(answers[-1])
        total += float(torch.nn.functional.cosine_similarity(guess, truth, dim=1).double().sum())
    total = float(group.all_reduce(np.array([total]))[0])
    known, asked = session.gather(l2_normalize_tensor(torch.cat(answers))), l2_normalize_tensor(torch.cat(queries))
    first = group.shard(train.n_genes).start
    ranks = []
    for start in range(0, max(len(asked), 1), RANK_BATCH):
        similarity = asked[start : start + RANK_BATCH] @ known.T
        own = similarity.diagonal(first + start)[:, None]
        ranks.append(1.0 / (similarity >= own).sum(1))
    found = session.gather(torch.cat(ranks))
    return Validation(max(total / train.n_genes, 1e-9), float(found.double().mean()))


def pretrain(
    model: MaskedAutoencoder, train: GeneImages, held: GeneImages, history: History, session: FitContext
) -> None:
    """Train on masked maps; stop when the held-out counts gain no more, and keep the best state.

    The linear start is a candidate like every epoch: where training adds nothing, it is what is kept.
    """
    config = session.config
    first = validate(model, train, held, session)
    history.add("pretrain", epoch=0, loss=float("nan"), **first._asdict())
    best, best_state, waited = 0.0, copy.deepcopy(model.state_dict()), 0
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.95)
    )
    objective, steps = session.prepare(Reconstruction(model, session.group.size), optimiser)
    epochs = tqdm(range(1, config.epochs + 1), desc="pre-training", unit="epoch", disable=not session.progress)
    for epoch in epochs:
        loss = _epoch(model, train, objective, steps, session)
        now = validate(model, train, held, session)
        gain = now.against(first)
        history.add("pretrain", epoch=epoch, loss=loss, **now._asdict())
        epochs.set_postfix(loss=f"{loss:.4f}", gain=f"{gain:+.2%}")
        waited += 1
        if gain > best:
            best, best_state, waited = gain, copy.deepcopy(model.state_dict()), 0
        elif waited >= config.patience:
            break
    epochs.close()
    model.load_state_dict(best_state)


def _epoch(
    model: MaskedAutoencoder, images: GeneImages, objective: nn.Module, optimiser: Any, session: FitContext
) -> float:
    """One pass over the genes in random order, at most `Config.genes_per_epoch` of them; returns the mean loss.

    Every process draws the order and the masks of whole batches, and computes its part of each.
    """
    model.train()
    config, group = session.config, session.group
    order = torch.randperm(images.n_genes, generator=session.generator)[: config.genes_per_epoch]
    losses = []
    for genes in order.split(config.batch_size):
        mask = draw_mask(
            model.owner,
            len(model.encoder.index),
            len(genes),
            patch_mask=config.patch_mask,
            pixel_mask=config.pixel_mask,
            generator=session.generator,
        )
        part = group.shard(len(genes))
        own = genes[part]
        maps = maps_on(images, own.numpy(), session.device)
        loss = objective(maps, mask.part(part), (~mask.visible).sum(), own.to(session.device), len(genes))
        session.step(loss, model, optimiser)
        losses.append(loss.detach())
    return float(group.all_reduce(torch.stack(losses).mean().cpu().numpy().reshape(1))[0]) / group.size


def refine(
    model: MaskedAutoencoder,
    mixture: StudentMixture,
    train: GeneImages,
    held: GeneImages,
    null: Tensor,
    history: History,
    session: FitContext,
) -> None:
    """Discriminatively boosted clustering: adapt encoder and mixture to a sharpened target, in turns.

    A round is kept if the held-out counts lose no more than `Config.boost_tolerance`; the loop ends when a round is
    not, or when fewer than one gene in two hundred changes its module.
    """
    config = session.config
    x = l2_normalize_tensor(embed(model, train, session)).double().cpu()
    log_resp = mixture.log_resp(x, null)
    first = validate(model, train, held, session)
    history.add("boosting", round=0, loss=float("nan"), changed=float("nan"), **first._asdict())
    rounds = tqdm(range(1, config.boost_rounds + 1), desc="boosting", unit="round", disable=not session.progress)
    for step in rounds:
        kept_state, kept_parameters = copy.deepcopy(model.state_dict()), mixture.parameters_
        target = target_distribution(log_resp, config.boost_power)
        loss = _boost(model, mixture, train, target, null, session)
        x = l2_normalize_tensor(embed(model, train, session)).double().cpu()
        own = session.group.shard(len(x))
        mixture.fit(x[own], mixture.parameters_, null[own], group=session.group)
        new = mixture.log_resp(x, null)
        changed = session.group.broadcast(float((new.argmax(1) != log_resp.argmax(1)).double().mean()))
        now = validate(model, train, held, session)
        history.add("boosting", round=step, loss=loss, changed=changed, **now._asdict())
        rounds.set_postfix(loss=f"{loss:.4f}", gain=f"{now.against(first):+.2%}", changed=f"{changed:.3f}")
        if now.against(first) < -config.boost_tolerance:
            model.load_state_dict(kept_state)
            mixture.parameters_ = kept_parameters
            break
        log_resp = new
        if changed < 0.005:
            break
    rounds.close()


def _boost(
    model: MaskedAutoencoder,
    mixture: StudentMixture,
    train: GeneImages,
    target: Tensor,
    null: Tensor,
    session: FitContext,
) -> float:
    """Gradient steps on encoder and mixture towards a fixed target, with the reconstruction as a tether."""
    config = session.config
    boosting = Boosting(model, session.group.size, mixture, target, null)
    optimiser = torch.optim.AdamW(boosting.parameters(), lr=config.boost_learning_rate, weight_decay=0.0)
    objective, steps = session.prepare(boosting, optimiser)
    losses = [_epoch(model, train, objective, steps, session) for _ in range(config.boost_epochs)]
    mixture.parameters_ = boosting.moved()
    return losses[-1]
