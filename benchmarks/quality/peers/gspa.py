"""GSPA, gene signal pattern analysis: genes on diffusion wavelets of a spot graph (Venkat et al. 2023, bioRxiv)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ..outcome import Outcome
from .host import borrow, labels, quiet, rows, section_of

PIP = "pip install gspa==1.1.1"

NEIGHBORS, DECAY, COMPONENTS = 15, 40, 50
"""Defaults of the graphs of spARC."""


def visium(adata: AnnData, seed: int) -> Outcome:
    """The authors' analysis of a Visium section (``analysis_spatial`` of their repository GSPA-manuscript-analyzes).

    Genes seen in 10 spots; total-normalized, log1p; wavelets, with their QR compression, of the product of a diffusion
    operator on expression and one on space (`integrated`); `embed` with the defaults of gspa 1.1.1. All genes are
    embedded, as in its README, not only the highly variable ones.
    """
    package = borrow("gspa", PIP)
    section = normalized(adata)
    with quiet():
        gspa = package.GSPA(diffusion_operator=integrated(section, seed), random_state=seed, verbose=False, n_jobs=1)
    return embed(gspa, section, adata.var_names)


def normalized(adata: AnnData) -> AnnData:
    section = section_of(adata)
    sc.pp.filter_genes(section, min_cells=10)
    sc.pp.filter_cells(section, min_counts=1)
    sc.pp.normalize_total(section)
    sc.pp.log1p(section)
    return section


def integrated(section: AnnData, seed: int) -> np.ndarray:
    """Diffusion operator (S, S) on expression times one on space, as the authors take it from their package spARC.

    spARC is not on PyPI; these are its operators, made by graphtools, with its defaults: 15 neighbors in 50 principal
    components of expression; and neighbors in space that are among the 16 nearest of a spot there and its 46 nearest
    in expression.
    """
    graphtools = borrow("graphtools", PIP)
    counts = section.X.toarray()
    scores = PCA(min(COMPONENTS, *counts.shape), random_state=seed).fit_transform(counts)
    graph = partial(graphtools.Graph, n_pca=None, decay=DECAY, random_state=seed, verbose=False)
    expression = graph(scores, knn=NEIGHBORS).diff_op
    near = neighborhood(section.obsm["spatial"], NEIGHBORS + 1) * neighborhood(scores, 3 * NEIGHBORS + 1)
    space = graph(near + near.T, precomputed="adjacency").diff_op
    return np.asarray(expression @ space)


def neighborhood(x: np.ndarray, k: int) -> np.ndarray:
    """Zeros and ones (S, S): which others are the k nearest."""
    k = min(k, len(x) - 1)
    return NearestNeighbors(n_neighbors=k, algorithm="ball_tree").fit(x).kneighbors_graph().toarray()


def embed(gspa: Any, section: AnnData, genes: pd.Index) -> Outcome:
    """Wavelet dictionary, projection of the genes on it, autoencoder; modules by Leiden.

    The embedding is the autoencoder's (128 dimensions), which the authors' analyzes use. Their notebooks on clusters of
    genes in it import Leiden: here scanpy's, with its defaults, which leaves no embedded gene unassigned.
    """
    with quiet():
        gspa.build_wavelet_dictionary()
        found, _ = gspa.get_gene_embeddings(section.X.toarray().T)
    graph = AnnData(found, obs=pd.DataFrame(index=section.var_names))
    # Exact search: scanpy 1.11 cannot read what pynndescent 0.7 returns.
    sc.pp.neighbors(graph, use_rep="X", transformer="sklearn", random_state=gspa.random_state)
    sc.tl.leiden(graph, flavor="igraph", n_iterations=2, directed=False, random_state=gspa.random_state)
    return Outcome(rows(found, section.var_names, genes), labels(graph.obs["leiden"], genes))
