"""`MaskedAutoencoder`: reconstruct masked patches and pixels from the embedding of the visible ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from spacex.embedding.encoder import Encoder


class Mask(NamedTuple):
    """Visible pixels (B, P), indices of the visible patches, and visible fraction (B, 1) of the tissue."""

    visible: Tensor
    patches: Tensor
    share: Tensor

    def take(self, maps: slice) -> Mask:
        """Return the mask of some of the maps."""
        return Mask(self.visible[maps], self.patches, self.share[maps])


def draw_mask(
    patch_of_pixel: Tensor,
    n_patches: int,
    n_maps: int,
    *,
    patch_mask: float,
    pixel_mask: float,
    generator: torch.Generator,
) -> Mask:
    """Mask a fraction of the patches, common to the batch, and a fraction of the remaining pixels of each map.

    Masked patches are predicted from smooth patterns; masked pixels also from what single spots share.
    """
    device = patch_of_pixel.device
    n_visible = max(1, round((1 - patch_mask) * n_patches))
    order = torch.randperm(n_patches, generator=generator).to(device)
    patches = order[:n_visible].sort().values
    is_visible_patch = torch.zeros(n_patches, dtype=torch.bool, device=device)
    is_visible_patch[patches] = True
    pixels = torch.rand((n_maps, len(patch_of_pixel)), generator=generator).to(device) >= pixel_mask
    visible = pixels & is_visible_patch[patch_of_pixel]
    # The linear path is divided by the share, which must not be zero.
    share = visible.float().mean(dim=1, keepdim=True).clamp(min=1.0 / len(patch_of_pixel))
    return Mask(visible, patches, share)


class MaskedAutoencoder(nn.Module):
    """An encoder, and a linear decoder that is initialized as its transpose.

    The decoder is linear so that all information about the image has to be in the embedding.
    """

    patch_of_pixel: Tensor

    def __init__(self, encoder: Encoder, patch_of_pixel: np.ndarray):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("patch_of_pixel", torch.from_numpy(patch_of_pixel))
        self.decoder = nn.Parameter(encoder.linear.detach().T.clone())

    def reconstruct(self, z: Tensor) -> Tensor:
        """Decode embeddings (B, D) to maps (B, P)."""
        return z @ self.decoder

    def loss(self, maps: Tensor, mask: Mask, n_masked: Tensor | None = None) -> Tensor:
        """Return the mean squared error on the masked pixels of maps (B, P) (He et al. 2022, section 3).

        If the maps are part of a batch, `n_masked` is the number of masked pixels of the whole batch.
        """
        z = self.encoder(maps * mask.visible, visible_share=mask.share, patches=mask.patches)
        error = (self.reconstruct(z) - maps) ** 2
        masked = ~mask.visible
        return (error * masked).sum() / (masked.sum() if n_masked is None else n_masked).clamp(min=1)
