"""Two coordinates for every gene."""

from __future__ import annotations

import warnings

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError

LAYOUT = "X_spacex_umap"
N_NEIGHBORS = 15
FEWEST = 2 * N_NEIGHBORS
BLOCK = 1024


def gene_layout(adata: AnnData) -> np.ndarray:
    """Coordinates (G, 2) of the genes: ``varm["X_spacex_umap"]``, else a UMAP; NaN where a gene is not embedded."""
    if LAYOUT in adata.varm:
        stored = np.asarray(adata.varm[LAYOUT], dtype=np.float64)
        if stored.ndim != 2 or stored.shape[1] < 2:
            raise InputError(f"varm[{LAYOUT!r}] has shape {stored.shape}; a layout has two columns: (n_vars, 2)")
        return stored[:, :2]
    z = _adata.read_embedding(adata)
    embedded = np.isfinite(z).all(axis=1)
    place = np.full((len(z), 2), np.nan)
    direction = z[embedded] / np.maximum(np.linalg.norm(z[embedded], axis=1, keepdims=True), 1e-12)
    # A UMAP of a handful of genes has no neighbourhoods to show; the two leading dimensions are as good.
    place[embedded] = _umap(direction) if len(direction) >= FEWEST else direction[:, :2]
    return place


def _umap(direction: np.ndarray) -> np.ndarray:
    """UMAP (N, 2) of unit vectors (N, D) by cosine; the neighbours are exact, which is also the faster way here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its notices are about threads and seeds, which are as wanted
        from umap import UMAP

        neighbor, distance = _neighbors(direction)
        layout = UMAP(
            n_neighbors=N_NEIGHBORS, min_dist=0.3, n_epochs=200, init="pca", metric="cosine", random_state=0, n_jobs=1,
            precomputed_knn=(neighbor, distance, None),
        )  # fmt: skip
        return np.asarray(layout.fit_transform(direction), dtype=np.float64)


def _neighbors(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours (N, k) by cosine, each vector its own first, and their distances."""
    found = np.empty((len(direction), N_NEIGHBORS), dtype=np.int32)
    distance = np.empty(found.shape, dtype=np.float32)
    for start in range(0, len(direction), BLOCK):
        rows = slice(start, min(start + BLOCK, len(direction)))
        cosine = direction[rows] @ direction.T
        cosine[np.arange(len(cosine)), np.arange(rows.start, rows.stop)] = 2.0
        near = np.argpartition(-cosine, N_NEIGHBORS - 1, axis=1)[:, :N_NEIGHBORS]
        value = np.take_along_axis(cosine, near, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        found[rows] = np.take_along_axis(near, order, axis=1)
        distance[rows] = np.clip(1 - np.take_along_axis(value, order, axis=1), 0, None)
    return found, distance
