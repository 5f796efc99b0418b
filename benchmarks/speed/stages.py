"""The stages, one function each, and the measurement of a stage in the current process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np

import spacex as sx
from spacex import _adata
from spacex._config import Config

from .goals import GENES, SPOTS

MB = 2**20
SECTION, WARM, RASTERIZED, EMBEDDED = "section.h5ad", "warm.h5ad", "rasterized.h5ad", "embedded.h5ad"
MAX_PANEL = 500


def residual_images(adata: ad.AnnData) -> None:
    """Sum counts into pixels, then compute the residuals of all genes once, in batches."""
    for _ in sx.pp.gene_images(adata).batches(Config().batch_size):
        pass


def yardstick(adata: ad.AnnData) -> None:
    """Log-normalized maps, PCA and K-means of the genes, by scanpy and scikit-learn."""
    import scanpy as sc
    from sklearn.cluster import KMeans

    cells = ad.AnnData(_adata.read_matrix(adata, None)[0].astype(np.float32))
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    genes = cells.T.copy()
    sc.pp.pca(genes, n_comps=min(32, min(genes.shape) - 1))
    KMeans(min(24, genes.n_obs), n_init=10, random_state=0).fit(genes.obsm["X_pca"])


def impute(adata: ad.AnnData) -> None:
    """Impute half of all genes in half of the spots, which measure at most 500 genes, from the other spots."""
    half, panel = adata.n_obs // 2, min(MAX_PANEL, adata.n_vars // 2)
    genes = list(adata.var_names[adata.n_vars // 2 :])
    target, reference = adata[:half, :panel].copy(), adata[half:].copy()
    dissociated = ad.AnnData(reference.X, obs=reference.obs[[]], var=reference.var[[]])  # without coordinates
    sx.tl.impute(target, dissociated, genes=genes, progress=False)


def all_five(adata: ad.AnnData) -> None:
    """The five applications in sequence: co-expression, SVG, interactions, domains, imputation."""
    sx.pp.rasterize(adata)
    sx.tl.embed(adata, progress=False)
    sx.tl.similar_genes(adata, adata.var_names[0])
    sx.tl.svg(adata, progress=False)
    sx.tl.interactions(adata)
    sx.tl.domains(adata)
    impute(adata)


STAGES: dict[str, tuple[Callable[[ad.AnnData], object], str, str | None]] = {
    "yardstick": (yardstick, SECTION, None),
    "rasterize": (lambda adata: sx.pp.rasterize(adata), SECTION, RASTERIZED),
    "residual images": (residual_images, RASTERIZED, None),
    "embed": (lambda adata: sx.tl.embed(adata), RASTERIZED, EMBEDDED),
    "svg": (lambda adata: sx.tl.svg(adata), RASTERIZED, None),
    "interactions": (lambda adata: sx.tl.interactions(adata), EMBEDDED, None),
    "domains": (lambda adata: sx.tl.domains(adata), EMBEDDED, None),
    "impute": (impute, SECTION, None),
    "all five": (all_five, SECTION, None),
}
"""Function, file of its input, and file of its result."""


def prepare(folder: Path, path: Path | None, n_genes: int | None) -> dict[str, object]:
    """Write the section, real or simulated, and a small one for the warm-up; return a description of the section."""
    if path is not None and path.is_file():
        adata, name = sx.read(path), path.stem
        if n_genes is not None and n_genes < adata.n_vars:
            genes = np.random.default_rng(0).choice(adata.n_vars, n_genes, replace=False)
            adata = adata[:, np.sort(genes)].copy()
    else:
        adata, name = sx.datasets.simulate_section(n_genes or GENES, SPOTS, seed=0), "simulated section"
    adata.write_h5ad(folder / SECTION)
    small = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    sx.tl.embed(small)
    small.write_h5ad(folder / WARM)
    return {"name": name, "spots": adata.n_obs, "genes": adata.n_vars}


def measure(name: str, folder: Path) -> dict[str, float]:
    """Run one stage in this process; return seconds, and the peak memory of the process in MB.

    The stage runs on a small section first, so that lazy imports and the start of thread pools are not measured.
    """
    stage, source, target = STAGES[name]
    stage(ad.read_h5ad(folder / WARM))
    adata = ad.read_h5ad(folder / source)
    before = resident()
    wall, cpu = time.perf_counter(), time.process_time()
    stage(adata)
    wall, cpu, peak = time.perf_counter() - wall, time.process_time() - cpu, peak_memory()
    if target is not None:
        adata.write_h5ad(folder / target)
    return {"wall": wall, "cpu": cpu, "peak": peak, "over": peak - before}


def peak_memory() -> float:
    """Peak resident memory of this process in MB (the system reports KiB, on macOS bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MB if sys.platform == "darwin" else 1024)


def resident() -> float:
    """Current resident memory of this process in MB; its peak so far if the system does not report it."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() / MB if statm.is_file() else peak_memory()
