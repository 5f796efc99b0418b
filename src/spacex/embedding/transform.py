"""Images to maps, maps to embeddings, and the strength of the signal in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spacex._infra.errors import InputError
from spacex._infra.validation import check_n_modules
from spacex.embedding.context import FitContext
from spacex.embedding.device_images import maps_on, on_device
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import SectionLayout


def check_fit(images: Any, n_modules: Any) -> None:
    """Raise `InputError` for images that no model can be fitted to, or a number of modules that they cannot have."""
    if not isinstance(images, GeneImages):
        raise InputError(f"images is a {type(images).__name__}; pass GeneImages: sx.pp.gene_images(adata)")
    check_n_modules(n_modules, high=images.n_genes)


def maps_of(images: GeneImages | np.ndarray, layout: SectionLayout, session: FitContext) -> Iterator[Tensor]:
    """Maps (B, P) on the device, in batches, from gene images on a layout, or an array (G, H, W).

    In a process group, those of the genes that are this process's own. An error for images of another layout.
    """
    if isinstance(images, GeneImages):
        if images.shape != layout.shape or not np.array_equal(images.layout.flat, layout.flat):
            raise InputError(
                f"the images lie on a grid of {images.shape} with {images.n_pixels} pixels, the model on one of "
                f"{layout.shape} with {len(layout.section)}; fit a model to these images: SpaCEX(...).fit(images)"
            )
        yield from own_maps(on_device(images, session.device), session)
        return
    try:
        images = np.asarray(images, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"images is a {type(images).__name__} that holds no numbers; pass GeneImages or an array (G, H, W)"
        ) from error
    if images.ndim != 3 or images.shape[1:] != layout.shape or not len(images):
        raise InputError(f"images has shape {images.shape}; pass GeneImages or an array (G, H, W), {layout.shape}")
    flat = images.reshape(len(images), -1)
    for genes in session.group.batches(len(images), session.config.batch_size):
        yield session.tensor(np.ascontiguousarray(flat[genes, layout.flat]))


def own_maps(images: GeneImages, session: FitContext) -> Iterator[Tensor]:
    """Maps (B, P) on the device, in batches, of the genes that are this process's own."""
    for genes in session.group.batches(images.n_genes, images.batch_size(session.config.batch_size)):
        yield maps_on(images, genes, session.device)


@torch.inference_mode()
def embed(model: MaskedAutoencoder, images: GeneImages, session: FitContext) -> Tensor:
    """Embeddings (G, D) of all genes, on the device."""
    model.eval()
    parts = [model.encoder(maps) for maps in own_maps(images, session)]
    return session.gather(torch.cat(parts)).clone()


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
