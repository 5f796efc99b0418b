"""The five applications on a simulated Visium section, and the yardstick of `python -m benchmarks.speed`."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import scanpy as sc
from sklearn.cluster import KMeans

import spacex as sx

SMALL = os.environ.get("SPACEX_TRACKED") == "small"
GENES = [60, 120] if SMALL else [4000, 16_000]
SPOTS = 300 if SMALL else 3500
PANEL = 30 if SMALL else 500


def yardstick(adata: ad.AnnData) -> None:
    """Log-normalized maps, PCA(32) and K-means(24) of the genes."""
    cells = ad.AnnData(adata.X.copy())
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    genes = cells.T.copy()
    sc.pp.pca(genes, n_comps=32)
    KMeans(24, n_init=10, random_state=0).fit(genes.obsm["X_pca"])


def impute(adata: ad.AnnData) -> None:
    """Impute half of the genes in half of the spots, which measure `PANEL` genes, from the other spots."""
    half = adata.n_obs // 2
    reference = ad.AnnData(adata.X[half:], obs=adata.obs.iloc[half:][[]], var=adata.var[[]])
    genes = list(adata.var_names[adata.n_vars // 2 :])
    sx.tl.impute(adata[:half, :PANEL].copy(), reference, genes=genes, progress=False)


class Applications:
    """Each stage on one section, which is embedded before if the stage requires an embedding."""

    params = GENES
    param_names = ("genes",)
    timeout = 600
    number, repeat, rounds = 1, (1, 3, 60.0), 1
    warmup_time = 0.0

    def setup_cache(self) -> None:
        """Write the sections to the working folder of asv."""
        for genes in GENES:
            adata = sx.datasets.simulate_section(genes, SPOTS, n_modules=24, n_domains=7)
            adata.write_h5ad(f"section-{genes}.h5ad")
            sx.tl.embed(adata, progress=False)
            adata.write_h5ad(f"embedded-{genes}.h5ad")

    def setup(self, genes: int) -> None:
        """Read the sections, and run all stages on a small one, so that imports and thread pools are not measured."""
        small = sx.datasets.simulate_section(80, 300, 4, 3, depth=1.0)
        yardstick(small)
        sx.tl.embed(small, progress=False)
        sx.tl.svg(small, progress=False)
        sx.tl.interactions(small)
        sx.tl.domains(small, n_domains=3)
        impute(small)
        self.section = ad.read_h5ad(Path(f"section-{genes}.h5ad"))
        self.embedded = ad.read_h5ad(Path(f"embedded-{genes}.h5ad"))

    def time_yardstick(self, genes: int) -> None:
        yardstick(self.section)

    def peakmem_yardstick(self, genes: int) -> None:
        yardstick(self.section)

    def time_embed(self, genes: int) -> None:
        sx.tl.embed(self.section, progress=False)

    def peakmem_embed(self, genes: int) -> None:
        sx.tl.embed(self.section, progress=False)

    def time_svg(self, genes: int) -> None:
        sx.tl.svg(self.section, progress=False)

    def peakmem_svg(self, genes: int) -> None:
        sx.tl.svg(self.section, progress=False)

    def time_interactions(self, genes: int) -> None:
        sx.tl.interactions(self.embedded)

    def peakmem_interactions(self, genes: int) -> None:
        sx.tl.interactions(self.embedded)

    def time_domains(self, genes: int) -> None:
        sx.tl.domains(self.embedded, n_domains=7)

    def peakmem_domains(self, genes: int) -> None:
        sx.tl.domains(self.embedded, n_domains=7)

    def time_impute(self, genes: int) -> None:
        impute(self.section)

    def peakmem_impute(self, genes: int) -> None:
        impute(self.section)
