"""Training losses as `nn.Module`s, so that DDP can wrap them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spacex.embedding.coordinates import NoiseScale
from spacex.embedding.refinement.autoencoder import Mask, MaskedAutoencoder
from spacex.embedding.refinement.boosting import boosting_loss
from spacex.embedding.student_t import Parameters, l2_normalize_tensor


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

    Values of all genes are stored here in double precision, since Fabric converts the arguments of `forward` to the
    precision of the autoencoder. Means and weights of the modules are trained; everything else is constant.

    Parameters
    ----------
    model, n_processes
        As in `Reconstruction`.
    initial
        Initial parameters of the mixture.
    scale
        Scale of noise and signal, from which coordinates follow.
    target
        (G, K + 1) target distribution.
    strength, level
        (G,) norms of the embeddings, and expression levels.
    """

    def __init__(
        self,
        model: MaskedAutoencoder,
        n_processes: int,
        initial: Parameters,
        scale: NoiseScale,
        target: Tensor,
        strength: Tensor,
        level: Tensor,
    ):
        super().__init__(model, n_processes)
        device = model.patch_of_pixel.device
        self.old = Parameters(*(value.to(device) for value in initial))
        self.scale = scale.to(device)
        self.target, self.strength, self.level = target.to(device), strength.to(device), level.to(device)
        self.mean = nn.Parameter(self.old.mean.clone())
        self.log_weight = nn.Parameter(self.old.log_weight.clone())

    def mixture_parameters(self) -> Parameters:
        """Return the current parameters."""
        return self.old._replace(log_weight=torch.log_softmax(self.log_weight, 0), mean=self.mean)

    def forward(self, maps: Tensor, mask: Mask, n_masked: Tensor, genes: Tensor, n_genes: int) -> Tensor:
        """Return the loss as in `Reconstruction`, plus the divergence."""
        z = l2_normalize_tensor(self.model.encoder(maps).double()) * self.strength[genes][:, None]
        x = self.scale.coordinates(z)
        divergence = boosting_loss(x, self.level[genes], self.mixture_parameters(), self.target[genes], n_genes=n_genes)
        return divergence * self.n_processes + super().forward(maps, mask, n_masked, genes, n_genes)

    @torch.no_grad()
    def updated_parameters(self) -> Parameters:
        """Return the current parameters on the CPU."""
        return Parameters(*(value.detach().cpu() for value in self.mixture_parameters()))
