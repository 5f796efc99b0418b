"""One section's share of an embedding that was learnt from several."""

from __future__ import annotations

import torch
from torch import Tensor

from .autoencoder import MaskedAutoencoder
from .boosting import directions
from .embedding import strength


def section_metric(part: Tensor) -> Tensor:
    """Matrix (D, D) that makes the rows of a section, `part` (P_s, D), of unit components orthonormal.

    Components are orthogonal over all sections together, not over each; seen in one section alone some are nearly the
    same and count twice. (A'A)^(-1/2), the symmetric root, mends that and moves the dimensions as little as possible,
    so that they mean the same in every section (Löwdin 1950).
    """
    values, vectors = torch.linalg.eigh((part.T @ part).double())
    # A dimension that this section hardly has is left out and not blown up.
    scale = torch.where(values > 1e-3 * values.max(), values.clamp(min=1e-12) ** -0.5, 0.0)
    return ((vectors * scale) @ vectors.T).to(part.dtype)


@torch.inference_mode()
def embed_sections(model: MaskedAutoencoder, maps: Tensor, section: Tensor, n_sections: int) -> Tensor:
    """Embeddings (n_sections, B, D) of maps (B, P), each from the pixels of one section alone.

    The direction is the pattern in that section, in the dimensions of all; the norm is its strength: the root mean
    square of the smooth patterns in units of the map's noise there, about one where there is no pattern.
    """
    model.eval()
    encoder = model.encoder
    weight = torch.linalg.vector_norm(encoder.linear, dim=0).clamp(min=1e-12)
    unit, parts = encoder.linear / weight, []
    for s in range(n_sections):
        here = section == s
        z = encoder(maps * here) / weight @ (section_metric(unit[here]) * weight)
        smooth = encoder.basis[here]
        norm = strength(maps[:, here], smooth @ section_metric(smooth), encoder.trust).sqrt()
        parts.append(directions(z) * norm[:, None])
    return torch.stack(parts)
