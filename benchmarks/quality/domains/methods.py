"""Clusterings of spots, from a section, a number of domains and a seed to a label for every spot."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import scanpy as sc
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import spacex as sx
from spacex import _adata
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import Smoother

from .peers import PEERS

Method = Callable[[ad.AnnData, int, int], np.ndarray]


def spacex_domains(adata: ad.AnnData, k: int, seed: int, params: sx.DomainParams | None = None) -> np.ndarray:
    sx.tl.domains(adata, n_domains=k, seed=seed, params=params)
    return adata.obs["spacex_domain"].cat.codes.to_numpy()


def few_genes(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    return spacex_domains(adata, k, seed, sx.DomainParams(max_genes=500))


def few_components(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    return spacex_domains(adata, k, seed, sx.DomainParams(member_components=(10,)))


def by_variance(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """The genes with the largest smoothed variance."""
    return on_genes(adata, adata.var["variance"].to_numpy().argsort()[::-1][: sx.DomainParams.max_genes], k, seed)


def smoothed_variance(images: GeneImages) -> np.ndarray:
    """Variance (G,) of maps smoothed with sigma = 2; zero for genes with fewer than 10 counts."""
    smoother = Smoother(images.layout, 2.0)
    variance = np.concatenate([smoother.apply(maps).var(axis=1) for _, maps in images.batches(512)])
    variance[np.asarray(images.counts.sum(axis=0)).ravel() < 10] = 0
    return variance


def simple_pipeline(adata: ad.AnnData, k: int, seed: int, *, n_genes: int = 1000, n_components: int = 8) -> np.ndarray:
    images = sx.pp.gene_images(adata)
    top = adata.var["variance"].to_numpy().argsort()[::-1][:n_genes]
    maps = Smoother(images.layout, 2.0).apply(images.residuals(top)).astype(float)
    maps = (maps - maps.mean(axis=1, keepdims=True)) / np.maximum(maps.std(axis=1, keepdims=True), 1e-9)
    points = PCA(min(n_components, len(maps)), svd_solver="covariance_eigh").fit_transform(maps.T)
    mixture = GaussianMixture(k, covariance_type="tied", n_init=5, random_state=seed)
    label = mixture.fit_predict(points / points[:, 0].std())
    xy = images.layout.grids[0].positions(images.layout.pixel)
    near = cKDTree(xy).query(xy, k=min(19, len(xy)))[1]
    voted = np.eye(k)[label][near].sum(axis=1).argmax(axis=1)
    pixel = _adata.read_pixel_of_spot(adata, images)
    return np.where(pixel >= 0, voted[pixel], -1)


def on_genes(adata: ad.AnnData, genes: np.ndarray, k: int, seed: int) -> np.ndarray:
    """`sx.tl.domains` on selected genes, with equal weights."""
    copy = adata.copy()
    pseudo_embedding = np.full((copy.n_vars, 2), np.nan, dtype=np.float32)
    pseudo_embedding[genes] = 1e6
    copy.varm[_adata.keys.EMBEDDING] = pseudo_embedding
    return spacex_domains(copy, k, seed)


def by_hvg(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """Scanpy's highly variable genes (flavour seurat) instead of genes by the embedding."""
    cells = ad.AnnData(adata.X.astype(np.float32))
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    sc.pp.highly_variable_genes(cells, n_top_genes=min(sx.DomainParams.max_genes, cells.n_vars))
    return on_genes(adata, np.flatnonzero(cells.var["highly_variable"]), k, seed)


def by_svg(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """The genes that `sx.tl.svg` ranks first."""
    score = np.nan_to_num(adata.var["spacex_svg_score"].to_numpy(), nan=-1.0)
    return on_genes(adata, score.argsort()[::-1][: sx.DomainParams.max_genes], k, seed)


METHODS: dict[str, Method] = {
    "SpaCEX": spacex_domains,
    "by variance": by_variance,
    "by HVG": by_hvg,
    "by SVG": by_svg,
    "500 genes": few_genes,
    "10 PCs": few_components,
    "simple pipeline": simple_pipeline,
    "simple pipeline, 500 genes": lambda adata, k, seed: simple_pipeline(adata, k, seed, n_genes=500),
    "simple pipeline, 10 PCs": lambda adata, k, seed: simple_pipeline(adata, k, seed, n_components=10),
    **PEERS,
}
