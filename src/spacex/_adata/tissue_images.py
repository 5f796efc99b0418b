"""Tissue images and their scale factors in ``uns["spatial"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData


def read_libraries(adata: AnnData) -> dict[str, Mapping[str, Any]]:
    """Libraries in ``uns["spatial"]``, in which scanpy and squidpy store images; other entries are ignored."""
    libraries = adata.uns.get("spatial")
    if not isinstance(libraries, Mapping):
        return {}
    return {str(name): entry for name, entry in libraries.items() if isinstance(entry, Mapping)}


def read_tissue_image(adata: AnnData, library: str | None) -> tuple[np.ndarray, float] | None:
    """Image (H, W, 3) of a section, from 0 to 1, and its scale in pixels per unit of ``obsm["spatial"]``.

    Returns the image of the highest resolution in ``uns["spatial"][library]``, or None without an image. `library` None
    is the only library.
    """
    libraries = read_libraries(adata)
    entry = next(iter(libraries.values())) if library is None and len(libraries) == 1 else libraries.get(str(library))
    images, factors = ((entry or {}).get(part) for part in ("images", "scalefactors"))
    if not isinstance(images, Mapping) or not isinstance(factors, Mapping):
        return None
    for kind in ("hires", "lowres"):
        scale = factors.get(f"tissue_{kind}_scalef")
        image = np.asarray(images[kind]) if images.get(kind) is not None and scale is not None else np.empty(0)
        if (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))) and image.dtype.kind in "uif":
            image = image / 255.0 if image.dtype.kind in "ui" else image.astype(np.float64)
            image = image[..., None] if image.ndim == 2 else image
            return np.broadcast_to(image[..., :3], (*image.shape[:2], 3)), float(np.asarray(scale))
    return None
