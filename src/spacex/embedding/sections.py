"""Embeddings of genes in single sections, for a model fitted to several."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from spacex.embedding.encoder import Encoder
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.student_t import l2_normalize_tensor
from spacex.embedding.transform import signal_strength
from spacex.imaging.layout import SectionLayout, section_parts

MIN_EIGENVALUE = 1e-3
"""Minimum eigenvalue, relative to the largest, of a dimension that a section contains."""


def section_metric(part: Tensor) -> Tensor:
    """Return the matrix (D, D) that makes the rows `part` (P_s, D) of unit components in one section orthonormal.

    Components are orthogonal over all sections, not within one; restricted to a section, some are nearly collinear and
    would count twice. (A'A)^(-1/2), the symmetric root, changes the dimensions as little as possible, so that they stay
    comparable between sections (Löwdin 1950).
    """
    values, vectors = torch.linalg.eigh((part.T @ part).double())
    # Dimensions that are nearly absent from the section are dropped, rather than amplified.
    scale = torch.where(values > MIN_EIGENVALUE * values.max(), values.clamp(min=1e-12) ** -0.5, 0.0)
    return ((vectors * scale) @ vectors.T).to(part.dtype)


@torch.inference_mode()
def embed_sections(model: MaskedAutoencoder, batches: Iterable[Tensor], layout: SectionLayout) -> Tensor:
    """Return embeddings (n_sections, G, D) of maps in batches (B, P), each from the pixels of one section.

    The direction is the pattern in that section, in the common dimensions. The norm is the root of the signal strength
    in that section, about one without a pattern.
    """
    encoder = model.eval().encoder
    weight = torch.linalg.vector_norm(encoder.linear, dim=0).clamp(min=1e-12)
    unit, sections = encoder.linear / weight, []
    for part in section_parts(layout.section, len(layout.grids)):
        smooth = encoder.basis[part]
        transform = section_metric(unit[part]) * weight / weight[:, None]
        sections.append((part, transform, smooth @ section_metric(smooth)))
    embeddings = []
    for maps in batches:
        per_section = []
        for part, transform, smooth in sections:
            norm = signal_strength(maps[:, part], smooth, encoder.strength_weights).sqrt()
            z = _encode_part(encoder, maps, part) @ transform
            per_section.append(l2_normalize_tensor(z) * norm[:, None])
        embeddings.append(torch.stack(per_section).cpu())
    return torch.cat(embeddings, dim=1)


def _encode_part(encoder: Encoder, maps: Tensor, part: slice | np.ndarray) -> Tensor:
    """Encode maps (B, P) to (B, D) with all pixels outside one part set to zero."""
    if not encoder.blocks:
        return maps[:, part] @ encoder.linear[part]
    masked = torch.zeros_like(maps)
    masked[:, part] = maps[:, part]
    return encoder(masked)
