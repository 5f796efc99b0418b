"""AnnData with the genes as observations, for the neighbors, UMAP and Leiden of scanpy."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex.stats import l2_normalize

__all__ = ["genes_as_obs"]

SPOT_ENTRIES = ("grid", "domains")
"""Entries of ``uns["spacex"]`` that describe spots."""


def genes_as_obs(adata: AnnData) -> AnnData:
    """Return an AnnData whose observations are the embedded genes, for tools that expect cells.

    ``X`` holds the embeddings and ``obsm["X_spacex"]`` their *directions*, of unit length. Pass the directions to
    scanpy (``use_rep="X_spacex"``): it computes Euclidean distances, which depend only on the cosine for directions,
    but also on the strength of the patterns for embeddings. Leiden clusters of the spatial genes of three simulated
    sections have an adjusted Rand index of 0.77 to 0.81 with directions and of 0.57 to 0.61 with ``X``.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed`.

    Returns
    -------
    AnnData
        Embedded genes × dimensions, float32, sharing no memory with `adata`:

        - ``X``: the embeddings, as in ``adata.varm["X_spacex"]``; ``obsm["X_spacex"]``: their directions;
        - ``obs``: the columns of ``adata.var`` (modules, spatial variability, ...) and ``spacex_strength``, the norms
          of the embeddings;
        - ``obsm``: the other arrays of ``adata.varm``; ``obsp``: ``adata.varp``, such as ``"spacex_interactions"``;
        - ``uns["spacex"]`` without the entries that describe spots, and ``uns["<column>_colors"]`` of the columns of
          ``obs``.

    Raises
    ------
    InputError
        If there is no embedding.

    Notes
    -----
    Genes without a pattern are included. Remove them before clustering (`spacex_module`, `spacex_svg_qvalue`);
    otherwise their noise forms clusters.

    Examples
    --------
    >>> import scanpy as sc
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> genes = sx.get.genes_as_obs(adata)
    >>> genes = genes[genes.obs["spacex_module"] != "unassigned"].copy()
    >>> sc.pp.neighbors(genes, use_rep="X_spacex", n_neighbors=10)
    >>> sc.tl.leiden(genes, flavor="igraph", n_iterations=2)
    >>> bool(genes.obs["leiden"].nunique() > 1)
    True
    """
    _adata.prepare_adata(adata)
    full = _adata.read_embedding(adata)
    is_embedded = np.isfinite(full).all(axis=1)
    embedding = full[is_embedded]  # boolean indexing copies
    obs = adata.var.loc[is_embedded].copy()
    obs[_adata.keys.GENE_STRENGTH] = np.linalg.norm(embedding, axis=1)
    genes = AnnData(embedding, obs=obs, var=pd.DataFrame(index=[f"spacex_{d}" for d in range(embedding.shape[1])]))
    for name, values in adata.varm.items():
        genes.obsm[name] = values[is_embedded].copy()
    genes.obsm[_adata.keys.EMBEDDING] = l2_normalize(embedding).astype(np.float32)
    index = np.flatnonzero(is_embedded)
    for name, values in adata.varp.items():
        genes.obsp[name] = values[index][:, index].copy()
    genes.uns[_adata.keys.UNS] = {
        name: deepcopy(entry) for name, entry in _adata.read_uns(adata).items() if name not in SPOT_ENTRIES
    }
    for column in obs.columns:
        if f"{column}_colors" in adata.uns:
            genes.uns[f"{column}_colors"] = deepcopy(adata.uns[f"{column}_colors"])
    return genes
