"""The two loops: pre-training of the masked autoencoder, and boosted refinement with the mixture."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..raster import GeneImages
from .autoencoder import MaskedAutoencoder, draw_mask
from .boosting import boosting_loss, directions, target_distribution
from .embedding import embed
from .history import History
from .mixture import Parameters, StudentMixture
from .session import Session

logger = logging.getLogger("spacex")


@torch.inference_mode()
def held_out_correlation(model: MaskedAutoencoder, train: GeneImages, held: GeneImages, session: Session) -> float:
    """Mean over genes of the correlation between a gene's reconstruction and its held-out counts' map."""
    model.eval()
    total = 0.0
    for genes, maps in train.batches(session.config.batch):
        guess = model.reconstruct(model.encoder(session.tensor(maps)))
        truth = session.tensor(held.residuals(genes))
        total += float(torch.nn.functional.cosine_similarity(guess, truth, dim=1).double().sum())
    return total / train.n_genes


def pretrain(
    model: MaskedAutoencoder, train: GeneImages, held: GeneImages, history: History, session: Session
) -> None:
    """Train on masked maps; stop when the held-out counts gain no more, and keep the best state.

    The linear start is a candidate like every epoch: where training adds nothing, it is what is kept.
    """
    config = session.config
    score = held_out_correlation(model, train, held, session)
    history.add("pretrain", epoch=0, loss=float("nan"), held_out=score)
    best, best_state, waited = score, copy.deepcopy(model.state_dict()), 0
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.95)
    )
    epochs = tqdm(range(1, config.epochs + 1), desc="pre-training", unit="epoch", disable=not session.progress)
    for epoch in epochs:
        loss = _epoch(model, train, optimiser, session, lambda maps, _: _masked_loss(model, maps, session))
        score = held_out_correlation(model, train, held, session)
        history.add("pretrain", epoch=epoch, loss=loss, held_out=score)
        epochs.set_postfix(loss=f"{loss:.4f}", held_out=f"{score:.4f}")
        if score > best:
            best, best_state, waited = score, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
            if waited >= config.patience:
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
    """One pass over the genes in random order; returns the mean loss."""
    model.train()
    order = torch.randperm(images.n_genes, generator=session.generator)
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
    start_score = held_out_correlation(model, train, held, session)
    history.add("boosting", round=0, loss=float("nan"), held_out=start_score, changed=float("nan"))
    rounds = tqdm(range(1, config.boost_rounds + 1), desc="boosting", unit="round", disable=not session.progress)
    for step in rounds:
        kept_state, kept_parameters = copy.deepcopy(model.state_dict()), mixture.parameters_
        target = target_distribution(log_resp, config.boost_power)
        loss = _boost(model, mixture, train, target, null, session)
        x = directions(embed(model, train, session)).double().cpu()
        mixture.fit(x, mixture.parameters_, null)
        new = mixture.log_resp(x, null)
        changed = float((new.argmax(1) != log_resp.argmax(1)).double().mean())
        score = held_out_correlation(model, train, held, session)
        history.add("boosting", round=step, loss=loss, held_out=score, changed=changed)
        rounds.set_postfix(loss=f"{loss:.4f}", held_out=f"{score:.4f}", changed=f"{changed:.3f}")
        if score < start_score * (1 - config.boost_tolerance):
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
    optimiser = torch.optim.AdamW(
        [{"params": model.parameters()}, {"params": free}], lr=config.boost_learning_rate, weight_decay=0.0
    )

    def parameters() -> Parameters:
        """The background is not moved by the gradient: its weight, place, scale and tail are those fitted."""
        log_weight, mean, log_scale = (
            torch.cat([new, old[k:]]) for new, old in zip(free, mixture.parameters_[:3], strict=True)
        )
        return Parameters(torch.log_softmax(log_weight, 0), mean, log_scale, mixture.parameters_.nu)

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
