"""One section's share of an embedding that was learnt from several."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from spacex.embedding.encoder import Encoder
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.boosting import l2_normalize_tensor
from spacex.embedding.transform import strength
from spacex.imaging.layout import SectionLayout, section_parts


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
def embed_sections(model: MaskedAutoencoder, batches: Iterable[Tensor], layout: SectionLayout) -> Tensor:
    """Embeddings (n_sections, G, D) of maps that come in batches (B, P), each from the pixels of one section alone.

    The direction is the pattern in that section, in the dimensions of all; the norm is its strength: the root mean
    square of the smooth patterns in units of the map's noise there, about one where there is no pattern.
    """
    encoder = model.eval().encoder
    weight = torch.linalg.vector_norm(encoder.linear, dim=0).clamp(min=1e-12)
    unit, sections = encoder.linear / weight, []
    for part in section_parts(layout.section, len(layout.grids)):
        smooth = encoder.basis[part]
        turn = section_metric(unit[part]) * weight / weight[:, None]
        sections.append((part, turn, smooth @ section_metric(smooth)))
    found = []
    for maps in batches:
        parts = []
        for part, turn, smooth in sections:
            norm = strength(maps[:, part], smooth, encoder.trust).sqrt()
            parts.append(l2_normalize_tensor(_seen(encoder, maps, part) @ turn) * norm[:, None])
        found.append(torch.stack(parts).cpu())
    return torch.cat(found, dim=1)


def _seen(encoder: Encoder, maps: Tensor, part: slice | np.ndarray) -> Tensor:
    """What an encoder makes (B, D) of one part of maps (B, P), as if there were nothing else."""
    if not encoder.blocks:
        return maps[:, part] @ encoder.linear[part]
    shown = torch.zeros_like(maps)
    shown[:, part] = maps[:, part]
    return encoder(shown)
