"""`Encoder`: residual maps to embeddings, by a linear path and an attention path over patches.

The embedding is the sum of both paths. The linear path starts at the weighted components of the residual maps, and the
attention path at zero, so that the encoder equals the linear initialization before training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def patch_index(pixel: np.ndarray, section: np.ndarray, patch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the tissue pixels into square patches.

    Parameters
    ----------
    pixel
        (P, 2) row and column of each tissue pixel in the grid of its section.
    section
        (P,) section of each tissue pixel; patches do not cross sections.
    patch_size
        Side of a patch in pixels; need not divide the sides of the grid.

    Returns
    -------
    pixels_of_patch
        (L, patch_size**2) tissue pixels of each patch with tissue; P for pixels outside the tissue.
    patch_of_pixel
        (P,) patch of each tissue pixel.
    """
    patch_position, offset = pixel // patch_size, pixel % patch_size
    key = np.column_stack([section, patch_position])
    _, patch_of_pixel = np.unique(key, axis=0, return_inverse=True)
    patch_of_pixel = patch_of_pixel.reshape(-1)
    pixels_of_patch = np.full((patch_of_pixel.max() + 1, patch_size * patch_size), len(pixel), dtype=np.int64)
    pixels_of_patch[patch_of_pixel, offset[:, 0] * patch_size + offset[:, 1]] = np.arange(len(pixel))
    return pixels_of_patch, patch_of_pixel


class Block(nn.Module):
    """Pre-norm transformer block, as in a vision transformer."""

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.merge = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.forward_in, self.forward_out = nn.Linear(d_model, 2 * d_model), nn.Linear(2 * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (B, L, d_model)."""
        b, length, d_model = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(b, length, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, n_heads, L, d_model / n_heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, length, d_model)
        x = x + self.merge(mixed)
        return x + self.forward_out(F.gelu(self.forward_in(self.norm_forward(x))))


class Encoder(nn.Module):
    """Residual maps (B, P) to embeddings (B, D).

    The linear path has one weight per pixel and dimension. The attention path pools the tokens with weights per patch
    and dimension, so that the position of a pattern is not averaged out; the weights have rank one per dimension, so
    that a few thousand genes are enough to learn them.

    Parameters
    ----------
    pixels_of_patch
        (L, patch_size**2) pixels of each patch, from `patch_index`.
    basis
        (P, n) orthonormal components of smooth maps, on which the signal strength is measured.
    strength_weights
        (n,) weight of each component in the signal strength.
    components
        (P, D) weighted components, the initial value of the linear path.
    d_model, n_layers, n_heads
        Sizes of the transformer blocks.
    """

    pixels_of_patch: Tensor
    basis: Tensor
    strength_weights: Tensor

    def __init__(
        self,
        pixels_of_patch: np.ndarray,
        basis: np.ndarray,
        strength_weights: np.ndarray,
        components: np.ndarray,
        *,
        d_model: int,
        n_layers: int,
        n_heads: int,
    ):
        super().__init__()
        n_patches, area = pixels_of_patch.shape
        self.register_buffer("pixels_of_patch", torch.from_numpy(pixels_of_patch))
        self.register_buffer("basis", torch.from_numpy(basis).clone())
        self.register_buffer("strength_weights", torch.from_numpy(strength_weights).clone())
        self.linear = nn.Parameter(torch.from_numpy(components).clone())
        n_dims = self.linear.shape[1]
        if n_layers:
            self.embed = nn.Linear(area, d_model)
            self.position = nn.Parameter(0.02 * torch.randn(n_patches, d_model))
            self.norm = nn.LayerNorm(d_model)
            self.patch_weights = nn.Parameter(torch.randn(n_patches, n_dims) / n_patches**0.5)
            self.channel_weights = nn.Parameter(torch.zeros(d_model, n_dims))
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))

    def forward(self, maps: Tensor, visible_share: Tensor | None = None, patches: Tensor | None = None) -> Tensor:
        """Embed maps.

        Parameters
        ----------
        maps
            (B, P) residual maps, zero at masked pixels.
        visible_share
            (B, 1) fraction of pixels that are not masked; the output of the linear path is divided by it.
        patches
            Indices of the visible patches; None for all.

        Returns
        -------
        (B, D) embeddings, not scaled to the signal strength.
        """
        z = maps @ self.linear  # (B, D)
        if visible_share is not None:
            z = z / visible_share
        if not self.blocks:
            return z
        pixels = self.pixels_of_patch if patches is None else self.pixels_of_patch[patches]
        padded = F.pad(maps, (0, 1))  # index P: pixels outside the tissue
        tokens = padded.index_select(1, pixels.flatten()).view(len(maps), *pixels.shape)  # (B, L, patch_size**2)
        tokens = self.embed(tokens) + (self.position if patches is None else self.position[patches])
        for block in self.blocks:
            tokens = block(tokens)
        scale = len(self.pixels_of_patch) / len(pixels)
        weights = self.patch_weights if patches is None else self.patch_weights[patches] * scale
        # Dimension d pools the channel combination channel_weights[:, d] over patches with patch_weights[:, d].
        return z + ((self.norm(tokens) @ self.channel_weights) * weights).sum(dim=1)
