"""The masked autoencoder: hide patches and pixels, embed what is left, reconstruct what was hidden."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spacex.embedding.encoder import Encoder


class Mask(NamedTuple):
    """What a batch may see: visible pixels (B, P), visible patches (L_visible,), visible share of the tissue."""

    visible: Tensor
    patches: Tensor
    share: Tensor

    def part(self, maps: slice) -> Mask:
        """The mask of some of the maps."""
        return Mask(self.visible[maps], self.patches, self.share[maps])


def draw_mask(
    owner: Tensor,
    n_patches: int,
    n_maps: int,
    *,
    patch_mask: float,
    pixel_mask: float,
    generator: torch.Generator,
) -> Mask:
    """Hide a share of the patches, the same for the batch, and of the visible pixels, map by map.

    Patch masking keeps what is smooth in space; pixel masking also keeps what single spots share.
    """
    device = owner.device
    n_visible = max(1, round((1 - patch_mask) * n_patches))
    order = torch.randperm(n_patches, generator=generator).to(device)
    patches = order[:n_visible].sort().values
    seen = torch.zeros(n_patches, dtype=torch.bool, device=device)
    seen[patches] = True
    pixels = torch.rand((n_maps, len(owner)), generator=generator).to(device) >= pixel_mask
    visible = pixels & seen[owner]
    # At least one pixel stays visible, so that the linear path can be scaled.
    share = visible.float().mean(dim=1, keepdim=True).clamp(min=1.0 / len(owner))
    return Mask(visible, patches, share)


class MaskedAutoencoder(nn.Module):
    """An encoder and a linear decoder that starts as its transpose.

    The decoder is linear on purpose: what reconstructs the image has to be in the embedding.
    """

    owner: Tensor

    def __init__(self, encoder: Encoder, owner: np.ndarray):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("owner", torch.from_numpy(owner))
        self.decoder = nn.Parameter(encoder.linear.detach().T.clone())

    def reconstruct(self, z: Tensor) -> Tensor:
        """Maps (B, P) of embeddings (B, D)."""
        return z @ self.decoder

    def loss(self, maps: Tensor, mask: Mask, n_hidden: Tensor | None = None) -> Tensor:
        """Mean squared error on the hidden pixels of maps (B, P) (He et al. 2022, section 3).

        `n_hidden`, where the maps are part of a batch, is the number of hidden pixels of all of it.
        """
        z = self.encoder(maps * mask.visible, keep=mask.share, patches=mask.patches)
        error = (self.reconstruct(z) - maps) ** 2
        hidden = ~mask.visible
        return (error * hidden).sum() / (hidden.sum() if n_hidden is None else n_hidden).clamp(min=1)
