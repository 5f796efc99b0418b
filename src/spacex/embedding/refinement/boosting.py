"""Discriminatively boosted clustering: a target sharper than the posterior, and the loss towards it."""

from __future__ import annotations

import torch
from torch import Tensor

from spacex.embedding.mixture import Parameters, e_step


def l2_normalize_tensor(z: Tensor) -> Tensor:
    """Embeddings (N, D) as points on the unit sphere; a zero embedding stays zero."""
    return z / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp(min=1e-12)


def target_distribution(log_resp: Tensor, power: float) -> Tensor:
    """Sharpened responsibilities (N, K + 1).

    Among the modules q^power / f, with f the sum of q over genes (Xie, Girshick & Farhadi 2016, eq. 3, there with
    power 2). The background's share is left as it is: boosting sharpens which module a gene is in, not whether.
    """
    module = log_resp[:, :-1]
    frequency = torch.logsumexp(module, dim=0)
    sharp = torch.log_softmax(power * module - frequency, dim=1)
    share = torch.logsumexp(module, dim=1, keepdim=True)
    return torch.cat([sharp + share, log_resp[:, -1:]], dim=1).exp()


def boosting_loss(
    z: Tensor, parameters: Parameters, target: Tensor, null: Tensor | None = None, *, n_genes: int | None = None
) -> Tensor:
    """Kullback-Leibler divergence from the target to the mixture's posterior, mean over genes.

    Differentiable in the embeddings (N, D) and in the mixture's parameters (Xie et al. 2016, eq. 2); `null` as in
    `e_step`. `n_genes`, where these are part of a batch, is the number of genes in all of it.
    """
    log_resp, _ = e_step(l2_normalize_tensor(z), parameters, null)
    entropy = torch.special.xlogy(target, target).sum(1)
    return (entropy - (target * log_resp).sum(1)).sum() / (len(z) if n_genes is None else n_genes)
