"""What a step of the loops minimises, as a module: several processes have to enter it by the same door."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacex.embedding.mixture import Parameters, StudentMixture, module_log_weight
from spacex.embedding.refinement.autoencoder import Mask, MaskedAutoencoder
from spacex.embedding.refinement.boosting import boosting_loss


class Reconstruction(nn.Module):
    """The loss of the masked autoencoder, of one process's part of a batch.

    Losses are those of the whole batch, but for the terms of other processes, times the number of processes: so the
    mean of the gradients over processes is the gradient of the batch.

    Parameters
    ----------
    model
        The autoencoder.
    n_processes
        How many share a batch.
    """

    def __init__(self, model: MaskedAutoencoder, n_processes: int):
        super().__init__()
        self.model, self.n_processes = model, n_processes

    def forward(self, maps: Tensor, mask: Mask, n_hidden: Tensor, genes: Tensor, n_genes: int) -> Tensor:
        """Loss of maps (B, P) of some genes (B,), in a batch of `n_genes` with `n_hidden` hidden pixels."""
        return self.model.loss(maps, mask, n_hidden) * self.n_processes


class Boosting(Reconstruction):
    """Besides the reconstruction, the divergence from a fixed target to the mixture's posterior.

    The mixture stays in double precision whatever the autoencoder's is: what it needs of the genes is held here, since
    what is handed to `forward` is converted.

    Parameters
    ----------
    model, n_processes
        As in `Reconstruction`.
    mixture
        The mixture at which it starts.
    target, null
        (G, K + 1) and (G,) of all genes.
    """

    def __init__(
        self, model: MaskedAutoencoder, n_processes: int, mixture: StudentMixture, target: Tensor, null: Tensor
    ):
        super().__init__(model, n_processes)
        device = model.owner.device
        self.old = Parameters(*(value.to(device) for value in mixture.parameters_))
        self.tied = mixture.scale == "tied"
        self.target, self.null = target.to(device), null.to(device)
        self.k = len(self.old.log_weight) - 1
        self.free = nn.ParameterList(value[: self.k].clone() for value in self.old[:3])

    def parameters_now(self) -> Parameters:
        """The background, and the degrees of freedom, are not moved by the gradient."""
        old, k = self.old, self.k
        log_weight = torch.cat([module_log_weight(self.free[0], old), old.log_weight[k:]])
        mean, log_scale = torch.cat([self.free[1], old.mean[k:]]), torch.cat([self.free[2], old.log_scale[k:]])
        return Parameters(log_weight, mean, log_scale, old.nu)

    def forward(self, maps: Tensor, mask: Mask, n_hidden: Tensor, genes: Tensor, n_genes: int) -> Tensor:
        """As in `Reconstruction`."""
        z = self.model.encoder(maps).double()
        divergence = boosting_loss(z, self.parameters_now(), self.target[genes], self.null[genes], n_genes=n_genes)
        return divergence * self.n_processes + super().forward(maps, mask, n_hidden, genes, n_genes)

    @torch.no_grad()
    def moved(self) -> Parameters:
        """Where the gradient has led the mixture, on the CPU, where it lives."""
        moved = Parameters(*(value.detach().cpu() for value in self.parameters_now()))
        if not self.tied:
            return moved
        modules = moved.log_scale[: self.k]
        return moved._replace(log_scale=torch.cat([modules.mean().expand(self.k), moved.log_scale[self.k :]]))
