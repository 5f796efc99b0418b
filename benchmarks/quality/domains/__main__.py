"""Tissue domains against annotated layers and regions, and against planted ones.

    python -m benchmarks.quality.domains [--data DIR] [--seeds 5] [--sections NAME ...] [--methods NAME ...]

`sx.tl.domains` with the true number of domains; the same clustering on genes selected by smoothed variance, by scanpy
as highly variable or by `sx.tl.svg` instead of the embedding, on 500 genes, and on 10 components only. Baselines: a
simple pipeline (1,000 genes with the largest smoothed residual variance, sigma = 2, z-scores, 8 components,
tied-covariance mixture, vote of 18 neighbors), with the same two changes, and published methods, if installed; each
requires a separate environment:

    python -m venv env-banksy  && env-banksy/bin/pip install -e . pybanksy==1.3.5 spatialleiden==0.4.0 squidpy==1.8.2
    python -m venv env-stagate && env-stagate/bin/pip install -c constraints.txt -e . stagate-modern==1.0.0.post1
    python -m venv env-spagcn  && env-spagcn/bin/pip install -c constraints.txt -e . spagcn-modern==1.4.1
    python -m venv env-graphst && env-graphst/bin/pip install -c constraints.txt -e . graphst-modern==1.1.1.post3
    env-banksy/bin/python -m benchmarks.quality.domains --methods BANKSY SpatialLeiden ...

Spots without an annotation ("NA", "undetermined") are not scored. Entries are means over seeds ± the standard deviation
between them; "agree" is the mean adjusted Rand index between seeds; "auto" is the number of domains that
``n_domains=None`` finds. Seconds are those of the clustering, without the embedding of genes (peers: everything).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

import spacex as sx

from ..trials import Figure, Trials
from .measure import quality
from .methods import METHODS, smoothed_variance
from .peers import PEERS

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


def sections(data: Path, names: list[str]) -> Iterator[tuple[str, ad.AnnData, np.ndarray]]:
    """Yield name, section and annotation of each available section."""
    for name in names:
        if (data / f"{name}.h5ad").exists():
            adata = ad.read_h5ad(data / f"{name}.h5ad")
            adata.X = sp.csr_matrix(adata.X)
            yield name, adata, adata.obs[LABELS[name]].astype(str).to_numpy()
        else:
            print(f"{name}: skipped: {data / name}.h5ad does not exist (pass --data DIR)")
    for technology, (n_genes, n_spots) in SIMULATED.items():
        adata = sx.datasets.simulate_section(n_genes, n_spots, technology=technology, seed=100)
        yield f"simulated {technology}", adata, adata.obs["domain"].astype(str).to_numpy()


def runs(adata: ad.AnnData, truth: np.ndarray, method: str, seeds: int) -> Iterator[Figure]:
    """Scores of each seed, then the agreement between seeds."""
    is_annotated = ~np.isin(truth, UNKNOWN)
    k, labels = len(np.unique(truth[is_annotated])), []
    for seed in range(seeds):
        start = time.perf_counter()
        labels.append(METHODS[method](adata, k, seed))
        seconds = time.perf_counter() - start
        scores = quality(truth[is_annotated], labels[-1][is_annotated], adata.obsm["spatial"][is_annotated]) | {
            "seconds": seconds
        }
        yield from ((seed, metric, value) for metric, value in scores.items())
    if len(labels) > 1:
        yield 0, "agree", float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]))
    if method == "SpaCEX":
        sx.tl.domains(adata)
        yield 0, "auto", adata.obs["spacex_domain"].nunique()


def prepare(adata: ad.AnnData, methods: set[str]) -> None:
    """Compute the inputs that several methods share; this time is not measured."""
    if methods - set(PEERS):
        sx.tl.embed(adata, progress=False)
        adata.var["variance"] = smoothed_variance(sx.pp.gene_images(adata))
    if "by SVG" in methods:
        sx.tl.svg(adata)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.domains", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sections", nargs="*", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--methods", nargs="+", default=[m for m in METHODS if m not in PEERS], choices=list(METHODS))
    parser.add_argument("--csv", type=Path, help="write all figures")
    options = parser.parse_args(argv)
    trials = Trials("ARI")
    for name, adata, truth in sections(options.data, options.sections):
        prepare(adata, set(options.methods))
        for method in options.methods:
            trials.add(name, method, runs(adata, truth, method, options.seeds))
    trials.show(options.csv)


if __name__ == "__main__":
    main()
