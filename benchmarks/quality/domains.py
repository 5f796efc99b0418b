"""Tissue domains against annotated layers and regions, and against planted ones.

    python -m benchmarks.quality.domains [--data DIR] [--seeds 3] [--sections NAME ...] [--linear]

`sx.tl.domains` at the true number of domains; the same on the genes with the largest smoothed residual
variance instead of the embedding's (what the embedding is worth); and with 500 genes, or with mixtures on 10
components only. Beside it the floor of the design (1,000 genes of largest smoothed residual variance,
sigma = 2, z-scores, 8 components, tied-covariance mixture, vote of 18 neighbours), with the same two changes.
Spots without an annotation ("NA", "undetermined") are not scored. The embedding is made once a section;
--linear leaves it untrained, which is much quicker. Entries are means over seeds ± the standard deviation
between them; "agree" is the mean adjusted Rand index between seeds; "auto" is the number of domains that
``n_domains=None`` finds. Seconds are those of the clustering, without the embedding (and, for the floor, without
the variances by which genes are chosen).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import anndata as ad
import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

import spacex as sx
from spacex import _slots
from spacex.partition import consensus, features
from spacex.raster import GeneImages
from spacex.spectral import Smoother

LABELS = {
    "dlpfc_151676": "layer",
    "dlpfc_151674": "layer",
    "mob_st_rep11": "layer",
    "her2st_B1": "pathologist",
    "her2st_H1": "pathologist",
    "osmfish_sscortex": "Region",
}
SIMULATED = {"visium": (2000, 3500), "st": (2000, 900), "cells": (300, 6000)}
UNKNOWN = ["NA", "nan", "undetermined"]


def spacex_domains(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    sx.tl.domains(adata, n_domains=k, seed=seed)
    return adata.obs["spacex_domain"].cat.codes.to_numpy()


def few_genes(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    with patch.object(features, "MOST_GENES", 500):
        return spacex_domains(adata, k, seed)


def few_components(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    with patch.object(consensus, "COMPONENTS", (10,)):
        return spacex_domains(adata, k, seed)


def by_variance(adata: ad.AnnData, k: int, seed: int) -> np.ndarray:
    """The same with the strongest genes by smoothed variance, at equal weight, in place of the embedding."""
    copy = adata.copy()
    top = copy.var["variance"].to_numpy().argsort()[::-1][: features.MOST_GENES]
    stand_in = np.full((copy.n_vars, 2), np.nan, dtype=np.float32)
    stand_in[top] = 1e6
    copy.varm[_slots.EMBEDDING] = stand_in
    return spacex_domains(copy, k, seed)


def smoothed_variance(images: GeneImages) -> np.ndarray:
    """Variance (G,) of maps smoothed with sigma = 2; zero for genes with fewer than 10 counts."""
    smoother = Smoother(images.canvas, 2.0)
    variance = np.concatenate([smoother.apply(maps).var(axis=1) for _, maps in images.batches(512)])
    variance[np.asarray(images.counts.sum(axis=0)).ravel() < 10] = 0
    return variance


def floor(adata: ad.AnnData, k: int, seed: int, *, n_genes: int = 1000, n_components: int = 8) -> np.ndarray:
    images = sx.pp.gene_images(adata)
    top = adata.var["variance"].to_numpy().argsort()[::-1][:n_genes]
    maps = Smoother(images.canvas, 2.0).apply(images.residuals(top)).astype(float)
    maps = (maps - maps.mean(axis=1, keepdims=True)) / np.maximum(maps.std(axis=1, keepdims=True), 1e-9)
    points = PCA(min(n_components, len(maps)), svd_solver="covariance_eigh").fit_transform(maps.T)
    mixture = GaussianMixture(k, covariance_type="tied", n_init=5, random_state=seed)
    label = mixture.fit_predict(points / points[:, 0].std())
    place = images.canvas.grids[0].positions(images.canvas.pixel)
    near = cKDTree(place).query(place, k=min(19, len(place)))[1]
    voted = np.eye(k)[label][near].sum(axis=1).argmax(axis=1)
    pixel = _slots.read_pixel_of_spot(adata, images)
    return np.where(pixel >= 0, voted[pixel], -1)


METHODS: dict[str, Callable[[ad.AnnData, int, int], np.ndarray]] = {
    "SpaCEX": spacex_domains,
    "SpaCEX by variance": by_variance,
    "SpaCEX 500 genes": few_genes,
    "SpaCEX 10 PCs": few_components,
    "floor": floor,
    "floor 500 genes": lambda adata, k, seed: floor(adata, k, seed, n_genes=500),
    "floor 10 PCs": lambda adata, k, seed: floor(adata, k, seed, n_components=10),
}


def sections(data: Path, names: list[str]) -> Iterator[tuple[str, ad.AnnData, np.ndarray]]:
    """Name, section and annotation of every section at hand."""
    for name in names:
        if (data / f"{name}.h5ad").exists():
            adata = ad.read_h5ad(data / f"{name}.h5ad")
            adata.X = sp.csr_matrix(adata.X)
            yield name, adata, adata.obs[LABELS[name]].astype(str).to_numpy()
        else:
            print(f"{name}: left out, there is no {data / name}.h5ad (pass --data DIR)")
    for technology, (n_genes, n_spots) in SIMULATED.items():
        adata = sx.datasets.simulate_section(n_genes, n_spots, technology=technology, seed=100)
        yield f"simulated {technology}", adata, adata.obs["domain"].astype(str).to_numpy()


def rows(adata: ad.AnnData, truth: np.ndarray, seeds: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Method, scores (seeds, 3) as ARI, NMI and seconds, and the agreement between seeds."""
    known = ~np.isin(truth, UNKNOWN)
    k = len(np.unique(truth[known]))
    for method, run in METHODS.items():
        found, scores = [], []
        for seed in range(seeds):
            start = time.perf_counter()
            found.append(run(adata, k, seed))
            seconds = time.perf_counter() - start
            pair = truth[known], found[-1][known]
            scores.append([adjusted_rand_score(*pair), normalized_mutual_info_score(*pair), seconds])
        agree = [adjusted_rand_score(a, b) for a, b in combinations(found, 2)]
        yield method, np.array(scores), float(np.mean(agree)) if agree else 1.0


def automatic(adata: ad.AnnData) -> int:
    """The number of domains that ``n_domains=None`` finds."""
    sx.tl.domains(adata)
    return int(adata.obs["spacex_domain"].cat.categories.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sections", nargs="*", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--linear", action="store_true", help="leave the embedding at its linear start")
    arguments = parser.parse_args()
    config = sx.Config(epochs=0, boost_rounds=0) if arguments.linear else sx.Config()
    columns = "".join(f"{c:>16}" for c in ("ARI", "NMI", "seconds"))
    print(f"{'section':<18}{'k':>3}  {'method':<19}{columns}{'agree':>8}  auto")
    for name, adata, truth in sections(arguments.data, arguments.sections):
        sx.tl.embed(adata, config=config, progress=False)
        adata.var["variance"] = smoothed_variance(sx.pp.gene_images(adata))
        auto = automatic(adata)
        k = len(np.unique(truth[~np.isin(truth, UNKNOWN)]))
        for method, scores, agree in rows(adata, truth, arguments.seeds):
            mean, spread = scores.mean(axis=0), scores.std(axis=0, ddof=min(1, len(scores) - 1))
            cells = [f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in zip(mean, spread, (3, 3, 1), strict=True)]
            row = "".join(f"{cell:>16}" for cell in cells)
            found = str(auto) if method == "SpaCEX" else ""
            print(f"{name:<18}{k:>3}  {method:<19}{row}{agree:>8.3f}  {found}", flush=True)


if __name__ == "__main__":
    main()
