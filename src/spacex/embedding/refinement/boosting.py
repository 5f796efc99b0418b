"""Discriminatively boosted clustering: the sharpened target distribution, and the divergence from it."""

from __future__ import annotations

import torch
from torch import Tensor

from spacex.embedding.student_t import Parameters, log_posterior


def target_distribution(log_resp: Tensor, power: float) -> Tensor:
    """Return sharpened responsibilities (N, K + 1).

    Among the modules q^power / f, with f the sum of q over genes (Xie, Girshick & Farhadi 2016, eq. 3, with power 2).
    The responsibility of the background is unchanged.
    """
    module = log_resp[:, :-1]
    frequency = torch.logsumexp(module, dim=0)
    sharp = torch.log_softmax(power * module - frequency, dim=1)
    share = torch.logsumexp(module, dim=1, keepdim=True)
    return torch.cat([sharp + share, log_resp[:, -1:]], dim=1).exp()


def boosting_loss(
    x: Tensor, level: Tensor, parameters: Parameters, target: Tensor, *, n_genes: int | None = None
) -> Tensor:
    """Return the Kullback-Leibler divergence from the target to the posterior, mean over genes.

    Differentiable in the coordinates (N, M) and in the parameters of the mixture (Xie et al. 2016, eq. 2). If the genes
    are part of a batch, `n_genes` is the size of the whole batch.
    """
    log_resp = log_posterior(x, level, parameters)
    entropy = torch.special.xlogy(target, target).sum(1)
    return (entropy - (target * log_resp).sum(1)).sum() / (len(x) if n_genes is None else n_genes)
