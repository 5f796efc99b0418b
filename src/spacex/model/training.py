"""The two loops: pre-training of the masked autoencoder, and boosted refinement with the mixture."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..raster import GeneImages
from .autoencoder import MaskedAutoencoder, draw_mask
from .boosting import boosting_loss, directions, target_distribution
from .embedding import embed
from .history import History
from .mixture import Parameters, StudentMixture, module_log_weight
from .session import Session

VALIDATED = 2048
RANKED_AT_ONCE = 1024


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
def validate(model: MaskedAutoencoder, train: GeneImages, held: GeneImages, session: Session) -> Validation:
    """Ask the counts that were held out, of at most 2,048 genes evenly spaced."""
    model.eval()
    if train.n_genes > VALIDATED:
        chosen = np.linspace(0, train.n_genes - 1, VALIDATED).astype(int)
        train, held = train.take(chosen), held.take(chosen)
    total, queries, answers = 0.0, [], []
    for genes, maps in train.batches(session.config.batch):
        truth = session.tensor(held.residuals(genes))
        answers.append(model.encoder(session.tensor(maps)))
        queries.append(model.encoder(truth))
        guess = model.reconstruct(answers[-1])
        total += float(torch.nn.functional.cosine_similarity(guess, truth, dim=1).double().sum())
    known, asked = directions(torch.cat(answers)), directions(torch.cat(queries))
    ranks = []
    for start in range(0, len(asked), RANKED_AT_ONCE):
        similarity = asked[start : start + RANKED_AT_ONCE] @ known.T
        own = similarity.diagonal(start)[:, None]
        ranks.append(1.0 / (similarity >= own).sum(1))
    return Validation(max(total / train.n_genes, 1e-9), float(torch.cat(ranks).double().mean()))


def pretrain(model: MaskedAutoencoder, train: GeneImages, held: GeneImages, history: History, session: Session) -> None:
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
    epochs = tqdm(range(1, config.epochs + 1), desc="pre-training", unit="epoch", disable=not session.progress)
    for epoch in epochs:
        loss = _epoch(model, train, optimiser, session, lambda maps, _: _masked_loss(model, maps, session))
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


def _masked_loss(model: MaskedAutoencoder, maps: Tensor, session: Session) -> Tensor:
    mask = draw_mask(
        model.owner,
        len(model.encoder.index),
        len(maps),
        patch_mask=session.config.patch_mask,
        pixel_mask=session.config.pixel_mask,
        generator=session.generator,
    )
    return model.loss(maps, mask)


def _epoch(
    model: MaskedAutoencoder,
    images: GeneImages,
    optimiser: torch.optim.Optimizer,
    session: Session,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> float:
    """One pass over the genes in random order, at most `Config.epoch_genes` of them; returns the mean loss."""
    model.train()
    order = torch.randperm(images.n_genes, generator=session.generator)[: session.config.epoch_genes]
    losses = []
    for genes in order.split(session.config.batch):
        maps = session.tensor(images.residuals(genes.numpy()))
        loss = loss_of(maps, genes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def refine(
    model: MaskedAutoencoder,
    mixture: StudentMixture,
    train: GeneImages,
    held: GeneImages,
    null: Tensor,
    history: History,
    session: Session,
) -> None:
    """Discriminatively boosted clustering: adapt encoder and mixture to a sharpened target, in turns.

    A round is kept if the held-out counts lose no more than `Config.boost_tolerance`; the loop ends when a round is
    not, or when fewer than one gene in two hundred changes its module.
    """
    config = session.config
    x = directions(embed(model, train, session)).double().cpu()
    log_resp = mixture.log_resp(x, null)
    first = validate(model, train, held, session)
    history.add("boosting", round=0, loss=float("nan"), changed=float("nan"), **first._asdict())
    rounds = tqdm(range(1, config.boost_rounds + 1), desc="boosting", unit="round", disable=not session.progress)
    for step in rounds:
        kept_state, kept_parameters = copy.deepcopy(model.state_dict()), mixture.parameters_
        target = target_distribution(log_resp, config.boost_power)
        loss = _boost(model, mixture, train, target, null, session)
        x = directions(embed(model, train, session)).double().cpu()
        mixture.fit(x, mixture.parameters_, null)
        new = mixture.log_resp(x, null)
        changed = float((new.argmax(1) != log_resp.argmax(1)).double().mean())
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
    session: Session,
) -> float:
    """Gradient steps on encoder and mixture towards a fixed target, with the reconstruction as a tether."""
    config = session.config
    k = len(mixture.parameters_.log_weight) - 1
    free = [value[:k].clone().requires_grad_() for value in mixture.parameters_[:3]]
    optimiser = torch.optim.AdamW([*model.parameters(), *free], lr=config.boost_learning_rate, weight_decay=0.0)

    def parameters() -> Parameters:
        """The background, and the degrees of freedom, are not moved by the gradient."""
        old = mixture.parameters_
        log_weight = torch.cat([module_log_weight(free[0], old), old.log_weight[k:]])
        mean, log_scale = torch.cat([free[1], old.mean[k:]]), torch.cat([free[2], old.log_scale[k:]])
        return Parameters(log_weight, mean, log_scale, old.nu)

    def loss_of(maps: Tensor, genes: Tensor) -> Tensor:
        z = model.encoder(maps).double().cpu()  # the mixture is small and lives on the CPU in double precision
        boosting = boosting_loss(z, parameters(), target[genes], null[genes])
        return boosting + _masked_loss(model, maps, session)

    losses = [_epoch(model, train, optimiser, session, loss_of) for _ in range(config.boost_epochs)]
    with torch.no_grad():
        moved = parameters()
        if mixture.scale == "tied":
            moved = moved._replace(log_scale=torch.cat([moved.log_scale[:k].mean().expand(k), moved.log_scale[k:]]))
        mixture.parameters_ = Parameters(*(value.detach() for value in moved))
    return losses[-1]
