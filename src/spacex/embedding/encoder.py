"""The image encoder: patches, attention blocks, and a position-aware read-out.

The embedding of a map is the sum of two paths. The linear path reads every pixel and starts at the
singular vectors of the smoothed residual maps; the attention path starts at zero. So the encoder
begins at the linear optimum, and what training adds can be measured.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def patch_index(pixel: np.ndarray, section: np.ndarray, patch: int) -> tuple[np.ndarray, np.ndarray]:
    """Which tissue pixels form which patch.

    Parameters
    ----------
    pixel
        (P, 2) row and column of each tissue pixel in its section's grid.
    section
        (P,) section of each tissue pixel; patches do not cross sections.
    patch
        Side of a patch in pixels. The grid need not be a multiple of it.

    Returns
    -------
    index
        (L, patch**2) tissue pixels of each patch that holds any; P where a pixel is not tissue.
    owner
        (P,) patch of each tissue pixel.
    """
    cell, within = pixel // patch, pixel % patch
    key = np.column_stack([section, cell])
    _, owner = np.unique(key, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    index = np.full((owner.max() + 1, patch * patch), len(pixel), dtype=np.int64)
    index[owner, within[:, 0] * patch + within[:, 1]] = np.arange(len(pixel))
    return index, owner


class Block(nn.Module):
    """Pre-norm attention and feed-forward, as in a vision transformer."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.forward_in, self.forward_out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, L, width) to tokens of the same shape."""
        b, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(b, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, L, width / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, length, width)
        x = x + self.merge(mixed)
        return x + self.forward_out(F.gelu(self.forward_in(self.norm_forward(x))))


class Encoder(nn.Module):
    """Residual maps (B, P) to embeddings (B, D).

    The linear path holds one weight for every pixel and dimension. The attention path reads the tokens of patches
    through weights of their places: position-aware, so that where a pattern lies is never averaged away, yet of low
    rank, so that a few thousand genes can teach it.

    Parameters
    ----------
    index
        (L, patch**2) pixels of each patch, from `patch_index`.
    basis
        (P, n) orthonormal components of smooth maps, on which the strength of a pattern is measured.
    trust
        (n,) weight of each in the strength.
    start
        (P, D) weighted components at which the linear path starts.
    width, depth, heads
        Of the attention blocks.
    """

    index: Tensor
    basis: Tensor
    trust: Tensor

    def __init__(
        self,
        index: np.ndarray,
        basis: np.ndarray,
        trust: np.ndarray,
        start: np.ndarray,
        *,
        width: int,
        depth: int,
        heads: int,
    ):
        super().__init__()
        length, area = index.shape
        self.register_buffer("index", torch.from_numpy(index))
        self.register_buffer("basis", torch.from_numpy(basis).clone())
        self.register_buffer("trust", torch.from_numpy(trust).clone())
        self.linear = nn.Parameter(torch.from_numpy(start).clone())
        n_dims = self.linear.shape[1]
        if depth:
            self.embed = nn.Linear(area, width)
            self.position = nn.Parameter(0.02 * torch.randn(length, width))
            self.norm = nn.LayerNorm(width)
            self.where = nn.Parameter(torch.randn(length, n_dims) / length**0.5)
            self.what = nn.Parameter(torch.zeros(width, n_dims))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, maps: Tensor, keep: Tensor | None = None, patches: Tensor | None = None) -> Tensor:
        """Embed maps.

        Parameters
        ----------
        maps
            (B, P) residual maps, zero where hidden.
        keep
            Share of the pixels that are not hidden, by which the linear path is scaled up.
        patches
            Numbers of the visible patches; all where None.
        """
        z = maps @ self.linear  # (B, D)
        if keep is not None:
            z = z / keep
        if not self.blocks:
            return z
        index = self.index if patches is None else self.index[patches]
        padded = F.pad(maps, (0, 1))  # the last pixel is the one off the tissue
        tokens = padded.index_select(1, index.flatten()).view(len(maps), *index.shape)  # (B, L, patch**2)
        tokens = self.embed(tokens) + (self.position if patches is None else self.position[patches])
        for block in self.blocks:
            tokens = block(tokens)
        where = self.where if patches is None else self.where[patches] * (len(self.index) / len(index))
        # Dimension d reads channel mix what[:, d] at the places where[:, d]: tokens are never averaged alike.
        return z + ((self.norm(tokens) @ self.what) * where).sum(dim=1)
