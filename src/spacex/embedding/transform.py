"""From gene images to residual maps, and from maps to embeddings and their signal strength."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from spacex._infra.errors import InputError
from spacex.distributed.process_group import ProcessGroup
from spacex.embedding.context import FitContext
from spacex.embedding.device_images import maps_on, on_device
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.student_t import l2_normalize_tensor
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import SectionLayout


def maps_from_input(
    images: GeneImages | np.ndarray,
    layout: SectionLayout,
    library_factor: np.ndarray,
    context: FitContext,
    batch_size: int,
) -> Iterator[Tensor]:
    """Yield residual maps (B, P) on the device from `GeneImages` or an array (G, H, W).

    Library sizes of `GeneImages` are multiplied by `library_factor` (P,), as in the fit. In a process group, yields
    only the genes of this process. Raises `InputError` if the images have another layout.
    """
    if isinstance(images, GeneImages):
        if images.shape != layout.shape or not np.array_equal(images.layout.flat, layout.flat):
            raise InputError(
                f"the images lie on a grid of {images.shape} with {images.n_pixels} pixels, the model on one of "
                f"{layout.shape} with {len(layout.section)}; fit a model to these images: SpaCEX(...).fit(images)"
            )
        images = on_device(images.scale_library(library_factor), context.device)
        yield from map_batches(images, context, batch_size)
        return
    try:
        images = np.asarray(images, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"images is a {type(images).__name__} without numbers; pass GeneImages or an array (G, H, W)"
        ) from error
    if images.ndim != 3 or images.shape[1:] != layout.shape or not len(images):
        raise InputError(f"images has shape {images.shape}; pass GeneImages or an array (G, H, W), {layout.shape}")
    flat = images.reshape(len(images), -1)
    for genes in context.group.batches(len(images), batch_size):
        yield context.to_device(np.ascontiguousarray(flat[genes, layout.flat]))


def map_batches(images: GeneImages, context: FitContext, batch_size: int) -> Iterator[Tensor]:
    """Yield residual maps (B, P) on the device of the genes of this process."""
    for genes in context.group.batches(images.n_genes, images.batch_size(batch_size)):
        yield maps_on(images, genes, context.device)


@torch.inference_mode()
def encode(model: MaskedAutoencoder, images: GeneImages, context: FitContext, batch_size: int) -> Tensor:
    """Return the unscaled encoder output (G, D) of all genes, on the device."""
    model.eval()
    parts = [model.encoder(maps) for maps in map_batches(images, context, batch_size)]
    return context.gather(torch.cat(parts)).clone()


@torch.inference_mode()
def embed_maps(
    model: MaskedAutoencoder, batches: Iterable[Tensor], null_mean: float, group: ProcessGroup
) -> np.ndarray:
    """Return embeddings (G, D) float32 of maps in batches (B, P).

    The direction is the encoder output. The squared norm is the signal strength divided by `null_mean`, its mean over
    null genes. In a process group, every process gets all genes.
    """
    model.eval()
    outputs, strengths = [], []
    for maps in batches:
        outputs.append(model.encoder(maps))
        strengths.append(signal_strength(maps, model.encoder.basis, model.encoder.strength_weights))
    # Results are copied from the device once, at the end.
    energy, vectors = (group.all_gather(torch.cat(parts).cpu().numpy()) for parts in (strengths, outputs))
    direction = l2_normalize_tensor(torch.from_numpy(vectors)).numpy()
    embedding: np.ndarray = (direction * np.sqrt(energy / null_mean)[:, None]).astype(np.float32)
    return embedding


def signal_strength(maps: Tensor, basis: Tensor, weights: Tensor) -> Tensor:
    """Return the strength (B,) of the smooth patterns of maps (B, P) on an orthonormal basis (P, n).

    Weighted mean square of the coordinates, with `weights` (n,), divided by the noise variance of the map. A gene with
    more dispersion than the residuals assume therefore does not look spatial.
    """
    coordinates = maps @ basis
    return coordinates**2 @ (weights / weights.sum()) / noise_variance(maps, coordinates)


def noise_variance(maps: Tensor, coordinates: Tensor) -> Tensor:
    """Return the mean square (B,) of maps (B, P) outside the span of the basis of their coordinates (B, n)."""
    outside = (maps**2).sum(1) - (coordinates**2).sum(1)
    return (outside / max(maps.shape[1] - coordinates.shape[1], 1)).clamp(min=1e-6)
