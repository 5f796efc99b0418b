"""Hotspot: modules from local pairwise correlations (DeTomaso & Yosef 2021, Cell Systems 12, 446)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from ..outcome import Outcome
from .host import borrow, labels, quiet, section_of

PIP = "pip install hotspotsc==1.1.3"

FDR = 0.05
MAX_GENES = 3000
"""Hotspot loops over pairs of genes in Python and keeps a list entry for each: 4.5 million at this number of genes."""

MAX_GENES_300 = 1000
"""With 300 neighbors a pair takes ten times as long. The tutorial has 876 genes."""


def readme(adata: AnnData, seed: int) -> Outcome:
    """Steps of the README of hotspotsc 1.1.3 on spot coordinates, with the defaults of its functions.

    Model ``"danb"``, 30 neighbors, ``create_modules(min_gene_threshold=20, core_only=True)``; the README's example has
    30 for the first of these. `seed` has no effect: see `modules`.
    """
    return modules(adata, model="danb", n_neighbors=30, core_only=True, max_genes=MAX_GENES)


def tutorial(adata: AnnData, seed: int) -> Outcome:
    """Spatial tutorial of the documentation of hotspotsc 1.1.3, written for Slide-seq.

    Model ``"bernoulli"``, 300 neighbors, ``create_modules(min_gene_threshold=20, core_only=False)``. `seed` has no
    effect: see `modules`.
    """
    return modules(adata, model="bernoulli", n_neighbors=300, core_only=False, max_genes=MAX_GENES_300)


def modules(
    adata: AnnData, *, model: Literal["danb", "bernoulli"], n_neighbors: int, core_only: bool, max_genes: int
) -> Outcome:
    """Hotspot on counts of spots, with totals as size factors and an unweighted graph of the nearest spots.

    Local correlations are computed for genes with an FDR of autocorrelation below 0.05, up to `max_genes` by Z.
    Module -1 is ``"unassigned"``, as are all other genes. There is no embedding. The result is
    deterministic: neighbors are exact, because the approximate search cannot be seeded.
    """
    package = borrow("hotspot", PIP)
    section = prepared(adata)
    n_neighbors = min(n_neighbors, section.n_obs - 1)
    with quiet(), deep_recursion():
        hs = package.Hotspot(
            section, layer_key="counts", model=model, latent_obsm_key="spatial", umi_counts_obs_key="total_counts"
        )
        hs.create_knn_graph(weighted_graph=False, n_neighbors=n_neighbors, approx_neighbors=False)
        results = hs.compute_autocorrelations()
        genes = results.index[results.FDR < FDR][:max_genes]  # in descending order of Z
        if len(genes) < 3:  # nothing to cluster
            return Outcome(None, labels(pd.Series(dtype=str), adata.var_names))
        hs.compute_local_correlations(genes)
        found = hs.create_modules(min_gene_threshold=20, core_only=core_only, fdr_threshold=FDR)
    return Outcome(None, labels(found[found != -1], adata.var_names))


def prepared(adata: AnnData) -> AnnData:
    """Spots with counts and genes that vary, which Hotspot requires; counts as CSC layer, as it recommends."""
    section = section_of(adata)
    section.obs["total_counts"] = np.asarray(section.X.sum(axis=1)).ravel()
    section = section[section.obs["total_counts"] > 0].copy()
    varied = section.X.max(axis=0).toarray() != section.X.min(axis=0).toarray()
    section = section[:, varied.ravel()].copy()
    section.layers["counts"] = section.X.tocsc()
    return section


@contextlib.contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise the recursion limit: Hotspot traverses its dendrogram recursively, up to one level per gene."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 4 * MAX_GENES))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
