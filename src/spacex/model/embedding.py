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
    """Embeddings (B, D) of maps (B, P), and the strength of their smooth patterns (B,).

    The strength is the mean square of the first dimensions, which stand for smooth patterns, in units of the map's
    noise: its mean square outside their span. So a gene with more dispersion than the residuals assume does not look
    spatial.
    """
    model.eval()
    z, basis = model.encoder(maps), model.encoder.basis
    n_pixels, n_dims = basis.shape
    outside = (maps**2).sum(1) - ((maps @ basis) ** 2).sum(1)
    noise = (outside / (n_pixels - n_dims)).clamp(min=1e-6)
    return z, (z[:, :n_dims] ** 2).mean(1) / noise
