"""Maps to embeddings, and the strength of the signal in them."""

from __future__ import annotations

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
    """Embeddings (B, D) of maps (B, P), and the strength of their smooth patterns (B,)."""
    model.eval()
    return model.encoder(maps), strength(maps, model.encoder.basis, model.encoder.trust)


def strength(maps: Tensor, basis: Tensor, trust: Tensor) -> Tensor:
    """How strong the smooth patterns of maps (B, P) are (B,), on an orthonormal basis (P, n).

    Their mean square on the basis, weighted by `trust` (n,), in units of the map's noise: its mean square outside the
    span. So a gene with more dispersion than the residuals assume does not look spatial.
    """
    inside = maps @ basis
    return inside**2 @ (trust / trust.sum()) / noise(maps, inside)


def noise(maps: Tensor, inside: Tensor) -> Tensor:
    """Mean square (B,) of maps (B, P) outside the span of an orthonormal basis on which they project as (B, n)."""
    outside = (maps**2).sum(1) - (inside**2).sum(1)
    return (outside / max(maps.shape[1] - inside.shape[1], 1)).clamp(min=1e-6)
