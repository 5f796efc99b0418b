"""Maps to embeddings, and the strength of the signal in them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..raster import GeneImages
from .autoencoder import MaskedAutoencoder
from .session import Session


@torch.inference_mode()
def embed(model: MaskedAutoencoder, images: GeneImages, session: Session) -> Tensor:
    """Embeddings (G, D) of all genes, on the device."""
    model.eval()
    parts = [model.encoder(session.tensor(maps)) for _, maps in images.batches(session.config.batch)]
    return torch.cat(parts).clone()


@torch.inference_mode()
def embed_maps(model: MaskedAutoencoder, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (B, D) of maps (B, P), and the strength of their smooth patterns (B,).

    The strength is the mean square of the first dimensions, which stand for smooth patterns, in units of the map's
    noise: its mean square outside their span. So a gene with more dispersion than the residuals assume does not look
    spatial.
    """
    model.eval()
    z, basis = model.encoder(maps), model.encoder.basis
    return z, (z[:, : basis.shape[1]] ** 2).mean(1) / noise(maps, maps @ basis)


def noise(maps: Tensor, inside: Tensor) -> Tensor:
    """Mean square (B,) of maps (B, P) outside the span of an orthonormal basis on which they project as (B, n)."""
    outside = (maps**2).sum(1) - (inside**2).sum(1)
    return (outside / max(maps.shape[1] - inside.shape[1], 1)).clamp(min=1e-6)


def strength(maps: np.ndarray, basis: Tensor) -> np.ndarray:
    """Strength (B,) of maps (B, P), as that of `embed_maps`, on an orthonormal basis (P, n) alone."""
    rows = torch.from_numpy(maps)
    inside = rows @ basis
    return ((inside**2).mean(1) / noise(rows, inside)).numpy()
