"""Vectors of the genes of one section: the linear embedding, without modules."""

from __future__ import annotations

import numpy as np

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.fit import append_null_genes, build_autoencoder, embed_genes
from spacex.imaging.gene_images import GeneImages
from spacex.stats import l2_normalize


def section_vectors(images: GeneImages, config: Config, context: FitContext) -> np.ndarray:
    """Return the directions (G, D) float32, of unit length, of the embeddings that `spacex.tl.embed` computes."""
    combined, _ = append_null_genes(images, config, context)
    is_null = np.arange(combined.n_genes) >= images.n_genes
    model = build_autoencoder(combined, int(is_null.sum()), config, context)
    z, _ = embed_genes(model, combined, is_null, config, context)
    return l2_normalize(z[~is_null])
