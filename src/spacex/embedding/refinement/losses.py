"""Training losses as `nn.Module`s, so that DDP can wrap them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacex.embedding.refinement.autoencoder import Mask, MaskedAutoencoder
from spacex.embedding.refinement.boosting import boosting_loss
from spacex.embedding.student_t import Parameters, module_log_weight


class Reconstruction(nn.Module):
    """Loss of the masked autoencoder on the part of a batch of one process.

    The terms of this process in the loss of the whole batch, times the number of processes: the mean of the gradients
    over processes is then the gradient of the batch.

    Parameters
    ----------
    model
        The autoencoder.
    n_processes
        Number of processes that share a batch.
    """

    def __init__(self, model: MaskedAutoencoder, n_processes: int):
        super().__init__()
        self.model, self.n_processes = model, n_processes

    def forward(self, maps: Tensor, mask: Mask, n_masked: Tensor, genes: Tensor, n_genes: int) -> Tensor:
        """Return the loss of maps (B, P) of genes (B,), in a batch of `n_genes` with `n_masked` masked pixels."""
        return self.model.loss(maps, mask, n_masked) * self.n_processes


class Boosting(Reconstruction):
    """Reconstruction loss plus the divergence from a fixed target to the posterior of the mixture.

    Target and null probabilities of all genes are stored here in double precision, since Fabric converts the arguments
    of `forward` to the precision of the autoencoder.

    Parameters
    ----------
    model, n_processes
        As in `Reconstruction`.
    initial
        Initial parameters of the mixture.
    tied
        Whether the modules share their scale.
    target, null
        (G, K + 1) target distribution and (G,) null probabilities of all genes.
    """

    def __init__(
        self,
        model: MaskedAutoencoder,
        n_processes: int,
        initial: Parameters,
        target: Tensor,
        null: Tensor,
        *,
        tied: bool,
    ):
        super().__init__(model, n_processes)
        device = model.patch_of_pixel.device
        self.old = Parameters(*(value.to(device) for value in initial))
        self.tied = tied
        self.target, self.null = target.to(device), null.to(device)
        self.k = len(self.old.log_weight) - 1
        self.free = nn.ParameterList(value[: self.k].clone() for value in self.old[:3])

    def mixture_parameters(self) -> Parameters:
        """Return the current parameters; the background and the degrees of freedom are constant."""
        old, k = self.old, self.k
        log_weight = torch.cat([module_log_weight(self.free[0], old), old.log_weight[k:]])
        mean, log_scale = torch.cat([self.free[1], old.mean[k:]]), torch.cat([self.free[2], old.log_scale[k:]])
        return Parameters(log_weight, mean, log_scale, old.nu)

    def forward(self, maps: Tensor, mask: Mask, n_masked: Tensor, genes: Tensor, n_genes: int) -> Tensor:
        """Return the loss as in `Reconstruction`, plus the divergence."""
        z = self.model.encoder(maps).double()
        divergence = boosting_loss(z, self.mixture_parameters(), self.target[genes], self.null[genes], n_genes=n_genes)
        return divergence * self.n_processes + super().forward(maps, mask, n_masked, genes, n_genes)

    @torch.no_grad()
    def updated_parameters(self) -> Parameters:
        """Return the current parameters on the CPU, with a common scale if tied."""
        updated = Parameters(*(value.detach().cpu() for value in self.mixture_parameters()))
        if not self.tied:
            return updated
        modules = updated.log_scale[: self.k]
        return updated._replace(log_scale=torch.cat([modules.mean().expand(self.k), updated.log_scale[self.k :]]))
