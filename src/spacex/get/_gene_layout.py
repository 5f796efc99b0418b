"""Two-dimensional layout of the genes."""

from __future__ import annotations

import warnings

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError
from spacex.stats import l2_normalize

N_NEIGHBORS = 15
MIN_GENES = 2 * N_NEIGHBORS
BLOCK = 1024


def gene_layout(adata: AnnData) -> np.ndarray:
    """Return two coordinates for each gene; genes that lie close have similar maps.

    The coordinates are ``varm["X_spacex_umap"]`` if it is present. Otherwise they are a UMAP of the directions of
    ``varm["X_spacex"]`` by cosine with a fixed seed. With fewer than 30 genes they are the two
    leading dimensions of the directions.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    Coordinates (G, 2) float64; NaN for genes that are not embedded.

    Raises
    ------
    InputError
        If there is no embedding, or ``varm["X_spacex_umap"]`` has fewer than two columns.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2]  # a stored layout
    >>> sx.get.gene_layout(adata).shape
    (120, 2)
    """
    _adata.prepare_adata(adata)
    if _adata.keys.UMAP in adata.varm:
        stored = np.asarray(adata.varm[_adata.keys.UMAP], dtype=np.float64)
        if stored.ndim != 2 or stored.shape[1] < 2:
            raise InputError(
                f"varm[{_adata.keys.UMAP!r}] has shape {stored.shape}; a layout has two columns: (n_vars, 2)"
            )
        return stored[:, :2]
    z = _adata.read_embedding(adata)
    is_embedded = np.isfinite(z).all(axis=1)
    xy = np.full((len(z), 2), np.nan)
    direction = l2_normalize(z[is_embedded])
    xy[is_embedded] = _umap(direction) if len(direction) >= MIN_GENES else direction[:, :2]
    return xy


def _umap(direction: np.ndarray) -> np.ndarray:
    """UMAP (N, 2) of unit vectors (N, D) by cosine, from exact neighbors, which are also faster at this size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices about threads and the seed, both set on purpose
        from umap import UMAP

        neighbor, distance = _neighbors(direction)
        layout = UMAP(
            n_neighbors=N_NEIGHBORS, min_dist=0.3, n_epochs=200, init="pca", metric="cosine", random_state=0, n_jobs=1,
            precomputed_knn=(neighbor, distance, None),
        )  # fmt: skip
        return np.asarray(layout.fit_transform(direction), dtype=np.float64)


def _neighbors(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbors (N, k) by cosine, each vector as its own first neighbor, and their distances (N, k)."""
    neighbor = np.empty((len(direction), N_NEIGHBORS), dtype=np.int32)
    distance = np.empty(neighbor.shape, dtype=np.float32)
    for start in range(0, len(direction), BLOCK):
        rows = slice(start, min(start + BLOCK, len(direction)))
        cosine = direction[rows] @ direction.T
        cosine[np.arange(len(cosine)), np.arange(rows.start, rows.stop)] = 2.0
        nearest = np.argpartition(-cosine, N_NEIGHBORS - 1, axis=1)[:, :N_NEIGHBORS]
        value = np.take_along_axis(cosine, nearest, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        neighbor[rows] = np.take_along_axis(nearest, order, axis=1)
        distance[rows] = np.clip(1 - np.take_along_axis(value, order, axis=1), 0, None)
    return neighbor, distance
