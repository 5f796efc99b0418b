"""Tests for spatially variable genes, from a section to a score and a log p-value for every gene.

A score ranks genes, higher for more spatial. Peers run with the settings of their documentation.
"""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from scipy.special import gammaincc

import spacex as sx
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.svg.tails import cauchy_combination

from ..peers.host import borrow, quiet, section_of
from . import sparkx

Found = tuple[np.ndarray, np.ndarray]


def spacex(adata: ad.AnnData) -> Found:
    """`sx.tl.svg` with its defaults."""
    sx.tl.svg(adata)
    log_p = -np.log(10) * adata.var["spacex_svg_score"].to_numpy()
    return -log_p, log_p


def shared(adata: ad.AnnData) -> Found:
    """Only the test for patterns that other genes share."""
    sx.tl.svg(adata)
    log_p = -np.log(10) * adata.var["spacex_svg_shared"].to_numpy()
    return -log_p, log_p


def gaussian_kernels(adata: ad.AnnData) -> Found:
    """Only the Gaussian kernels."""
    sx.tl.svg(adata, shared=False)
    log_p = -np.log(10) * adata.var["spacex_svg_score"].to_numpy()
    return -log_p, log_p


def simple_pipeline(adata: ad.AnnData) -> Found:
    """Energies of smoothed maps, two-moment gamma with a kurtosis term, Cauchy combination."""
    images = sx.pp.gene_images(adata)
    scales = [(Smoother(images.layout, sigma), _traces(images, sigma)) for sigma in (1.0, 2.0, 4.0, 8.0)]
    log_p = np.empty((len(scales), images.n_genes))
    for genes, maps in images.batches(512):
        variance = np.square(maps).sum(axis=1, dtype=float) / (images.n_pixels - 1)
        kurtosis = (maps.astype(float) ** 4).mean(axis=1) / np.maximum(variance, 1e-12) ** 2 - 3
        for k, (smoother, (trace, square, diagonal)) in enumerate(scales):
            energy = np.square(smoother.apply(maps)).sum(axis=1, dtype=float) / np.maximum(variance, 1e-12)
            spread = np.maximum(2 * square + kurtosis * diagonal, 1e-12)
            p = gammaincc(trace**2 / spread, energy * trace / spread)
            log_p[k, genes] = np.log(np.maximum(p, 1e-300))
    joined = cauchy_combination(log_p, np.ones_like(log_p))
    return -joined, joined


def _traces(images: GeneImages, sigma: float) -> np.ndarray:
    """tr K, tr K² and the sum of K_ii², for K = H W'W H, from a sample of rows."""
    n = images.n_pixels
    chosen = np.random.default_rng(0).permutation(n)[:512]
    units = np.zeros((len(chosen), n), dtype=np.float32)
    units[np.arange(len(chosen)), chosen] = 1
    smoother = Smoother(images.layout, sigma)
    rows = smoother.apply_transposed(smoother.apply(units - 1 / n))
    rows = rows - rows.mean(axis=1, keepdims=True)
    diagonal = rows[np.arange(len(chosen)), chosen]
    return n / len(chosen) * np.array([diagonal.sum(), np.square(rows).sum(), np.square(diagonal).sum()])


def spark_x(adata: ad.AnnData) -> Found:
    """SPARK-X on counts, in closed form."""
    log_p = sparkx.log_p(sp.csc_matrix(adata.X, dtype=np.float64), adata.obsm["spatial"])
    return -log_p, log_p


def _autocorrelation(adata: ad.AnnData, mode: str) -> Found:
    squidpy = borrow("squidpy", "pip install squidpy==1.8.2")
    section = section_of(adata)
    with quiet():
        sc.pp.normalize_total(section)
        sc.pp.log1p(section)
        squidpy.gr.spatial_neighbors(section, coord_type="generic", n_neighs=6)
        squidpy.gr.spatial_autocorr(section, mode=mode, show_progress_bar=False)
    table = section.uns["moranI" if mode == "moran" else "gearyC"].reindex(adata.var_names)
    statistic = table["I" if mode == "moran" else "C"].to_numpy(dtype=float)
    with np.errstate(divide="ignore"):
        log_p = np.log(table["pval_norm"].to_numpy(dtype=float))
    return (statistic if mode == "moran" else -statistic), log_p


def moran(adata: ad.AnnData) -> Found:
    """Moran's I of log-normalized counts, six neighbors, by squidpy; one-sided normal p-values."""
    return _autocorrelation(adata, "moran")


def geary(adata: ad.AnnData) -> Found:
    """Geary's C of log-normalized counts, six neighbors, by squidpy; one-sided normal p-values."""
    return _autocorrelation(adata, "geary")


def flashs(adata: ad.AnnData) -> Found:
    """FlashS on counts, with its defaults."""
    package = borrow("flashs", "pip install flashs==0.2.1")
    section = section_of(adata)
    with quiet():
        package.tl.svg(section, min_expressed=1)
    column = next(name for name in section.var.columns if name.startswith("flashs_p"))
    with np.errstate(divide="ignore"):
        log_p = np.log(section.var[column].to_numpy(dtype=float))
    return -log_p, log_p


def scbsp(adata: ad.AnnData) -> Found:
    """scBSP on counts, with its defaults."""
    package = borrow("scbsp", "pip install scbsp==0.4.2")
    section = section_of(adata)
    with quiet():
        table = package.granp(section.obsm["spatial"], section.X.tocsr())
    with np.errstate(divide="ignore"):
        log_p = np.log(np.asarray(table["p_values"], dtype=float))
    return -log_p, log_p


def spatialde(adata: ad.AnnData) -> Found:
    """SpatialDE on counts stabilized and regressed on log totals by NaiveDE, as in its README."""
    package = borrow("SpatialDE", "pip install spatialde-modern==1.1.3.post2")
    naive = borrow("NaiveDE", "pip install naivede==1.2.0")
    section = section_of(adata)
    counts = pd.DataFrame(section.X.toarray(), index=section.obs_names, columns=section.var_names)
    info = pd.DataFrame({"total_counts": counts.sum(axis=1)}, index=counts.index)
    with quiet():
        stable = naive.stabilize(counts.T).T
        residual = naive.regress_out(info, stable.T, "np.log(total_counts)").T
        table = package.run(section.obsm["spatial"], residual)
    table = table.drop_duplicates("g").set_index("g").reindex(adata.var_names)  # ties of its models
    with np.errstate(divide="ignore"):
        return table["LLR"].to_numpy(dtype=float), np.log(table["pval"].to_numpy(dtype=float))


METHODS: dict[str, Callable[[ad.AnnData], Found]] = {
    "SpaCEX": spacex,
    "SpaCEX, shared patterns": shared,
    "SpaCEX, Gaussian kernels": gaussian_kernels,
    "simple pipeline": simple_pipeline,
    "SPARK-X": spark_x,
    "Moran's I": moran,
    "Geary's C": geary,
    "FlashS": flashs,
    "scBSP": scbsp,
    "SpatialDE": spatialde,
}
SLOW = ("SpatialDE",)
"""Methods with a matrix of spots x spots and an optimizer for every gene; they run only with --genes."""


def run(method: str, adata: ad.AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Score and log p of a method, by its name, which can be sent to another process."""
    return METHODS[method](adata)
