"""Spatially variable genes against null genes of the same marginal.

    python -m benchmarks.quality.svg_null [--data DIR] [--seeds 3] [--sections NAME ...]

Half of the genes of a real section are redrawn from a negative binomial whose mean is proportional to library
size and whose dispersion is the gene's own, by moments; the other half stays. AUROC of real against redrawn
genes is the mean over deciles of expression: mean expression alone would otherwise do well. Of the redrawn genes
the table gives the shares with p < .05 and p < .001, over all and in the lower and upper three deciles of
expression. Simulated sections come with null genes of their own. Entries are means over seeds ± the standard
deviation between them. Genes with fewer counts than --fewest-counts are left out; every AUROC depends on that.

Beside `sx.tl.svg` stand Moran's I of log-normalised maps (six neighbours, normal approximation) and the floor of
the design: energies of smoothed residual maps with a two-moment gamma null and a kurtosis term, Cauchy-combined.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.special import gammaincc
from scipy.stats import norm, rankdata

import spacex as sx
from spacex.raster import GeneImages
from spacex.spectral import Smoother
from spacex.variability.tails import combine

SECTIONS = ("dlpfc_151676", "mousebrain_st_1", "her2st_H1")
SIMULATED = {"visium": 2500, "st": 800, "cells": 3000}


def redraw(adata: ad.AnnData, seed: int, fewest_counts: int) -> ad.AnnData:
    """Redraw half of the genes without spatial pattern; ``var["null"]`` says which."""
    rng = np.random.default_rng([seed, 1])
    counts = sp.csc_matrix(adata.X)
    share = np.asarray(counts.sum(axis=1)).ravel() / counts.sum()
    total = np.asarray(counts.sum(axis=0)).ravel()
    kept = np.flatnonzero(total >= fewest_counts)
    null = rng.permutation(len(kept)) < len(kept) // 2
    columns = []
    for gene, is_null in zip(kept, null, strict=True):
        column = counts[:, [gene]].toarray().ravel().astype(float)
        if is_null:
            mean = total[gene] * share
            phi = (np.square(column - mean) - mean).sum() / np.square(mean).sum()
            column = rng.poisson(mean * rng.gamma(1 / phi, phi, len(mean)) if phi > 1e-6 else mean)
        columns.append(sp.csc_matrix(column.astype(np.float32)[:, None]))
    matrix = sp.hstack(columns, format="csr")
    mixed = ad.AnnData(matrix, obs=adata.obs, obsm={"spatial": adata.obsm["spatial"]})
    mixed.var_names = adata.var_names[kept]
    mixed.var["null"] = null
    return mixed


def simulate(technology: str, seed: int) -> ad.AnnData:
    """Simulated section with weak patterns; half of its genes have none."""
    adata = sx.datasets.simulate_section(2000, SIMULATED[technology], technology=technology, seed=seed, effect=0.7)
    adata.var["null"] = ~adata.var["spatially_variable"]
    return adata


def spacex_svg(adata: ad.AnnData) -> np.ndarray:
    """Log p-values of `sx.tl.svg`."""
    sx.tl.svg(adata)
    return -np.log(10) * adata.var["spacex_svg_score"].to_numpy()


def floor(adata: ad.AnnData) -> np.ndarray:
    """Energies of smoothed maps, two-moment gamma with a kurtosis term, Cauchy combination."""
    images = sx.pp.gene_images(adata)
    scales = [(Smoother(images.canvas, sigma), _traces(images, sigma)) for sigma in (1.0, 2.0, 4.0, 8.0)]
    log_p = np.empty((len(scales), images.n_genes))
    for genes, maps in images.batches(512):
        variance = np.square(maps).sum(axis=1, dtype=float) / (images.n_pixels - 1)
        kurtosis = (maps.astype(float) ** 4).mean(axis=1) / variance**2 - 3
        for k, (smoother, (trace, square, diagonal)) in enumerate(scales):
            energy = np.square(smoother.apply(maps)).sum(axis=1, dtype=float) / variance
            spread = np.maximum(2 * square + kurtosis * diagonal, 1e-12)
            p = gammaincc(trace**2 / spread, energy * trace / spread)
            log_p[k, genes] = np.log(np.maximum(p, 1e-300))
    return combine(log_p, np.ones_like(log_p))


def _traces(images: GeneImages, sigma: float) -> np.ndarray:
    """tr K, tr K² and the sum of K_ii², for K = H W'W H, from a sample of rows."""
    n = images.n_pixels
    chosen = np.random.default_rng(0).permutation(n)[:512]
    units = np.zeros((len(chosen), n), dtype=np.float32)
    units[np.arange(len(chosen)), chosen] = 1
    smoother = Smoother(images.canvas, sigma)
    rows = smoother.apply_transposed(smoother.apply(units - 1 / n))
    rows = rows - rows.mean(axis=1, keepdims=True)
    diagonal = rows[np.arange(len(chosen)), chosen]
    return n / len(chosen) * np.array([diagonal.sum(), np.square(rows).sum(), np.square(diagonal).sum()])


def moran(adata: ad.AnnData) -> np.ndarray:
    """Log p-values of Moran's I on log-normalised counts, six nearest neighbours, normal approximation."""
    n = adata.n_obs
    neighbours = cKDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], k=7)[1][:, 1:]
    weight = sp.csr_array((np.ones(6 * n), (np.repeat(np.arange(n), 6), neighbours.ravel())), shape=(n, n))
    weight = (weight + weight.T) / 2
    library = np.maximum(np.asarray(adata.X.sum(axis=1)).ravel(), 1)
    total = weight.sum()
    variance = 4 * np.square(weight.data).sum() / 2 / total**2
    log_p = np.empty(adata.n_vars)
    for start in range(0, adata.n_vars, 512):
        maps = np.log1p(adata.X[:, start : start + 512].toarray() / library[:, None] * np.median(library))
        maps = maps - maps.mean(axis=0)
        index = (maps * (weight @ maps)).sum(axis=0) / np.square(maps).sum(axis=0) * n / total
        log_p[start : start + 512] = norm.logsf((index + 1 / (n - 1)) / np.sqrt(variance))
    return log_p


METHODS: dict[str, Callable[[ad.AnnData], np.ndarray]] = {
    "SpaCEX": spacex_svg,
    "floor": floor,
    "Moran log": moran,
}
COLUMNS = ("AUROC", "p<.05", "p<.001", "p<.05 low", "p<.05 high", "p<.001 low", "p<.001 high", "seconds")


def score(log_p: np.ndarray, null: np.ndarray, total: np.ndarray) -> list[float]:
    """Entries of a row of the table, but for the seconds."""
    tested = np.isfinite(log_p)
    log_p, null, total = log_p[tested], null[tested], total[tested]
    decile = rankdata(total, method="ordinal") * 10 // (len(total) + 1)
    auroc = []
    for part in (decile == d for d in range(10)):
        rank, real = rankdata(-log_p[part]), ~null[part]
        n_real, n_null = real.sum(), (~real).sum()
        auroc.append((rank[real].sum() - n_real * (n_real + 1) / 2) / (n_real * n_null))
    parts = (null, null & (decile < 3), null & (decile > 6))
    rates = [[np.mean(log_p[part] < np.log(level)) for part in parts] for level in (0.05, 0.001)]
    return [np.mean(auroc), rates[0][0], rates[1][0], *rates[0][1:], *rates[1][1:]]


def sections(data: Path, names: list[str], seeds: int, fewest_counts: int) -> Iterator[tuple[str, list[ad.AnnData]]]:
    """Name and versions (one a seed) of every section."""
    for name in names:
        if (data / f"{name}.h5ad").exists():
            real = ad.read_h5ad(data / f"{name}.h5ad")
            yield name, [redraw(real, seed, fewest_counts) for seed in range(seeds)]
        else:
            print(f"{name}: left out, there is no {data / name}.h5ad (pass --data DIR)")
    for technology in SIMULATED:
        yield f"simulated {technology}", [simulate(technology, seed) for seed in range(seeds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fewest-counts", type=int, default=10)
    parser.add_argument("--sections", nargs="*", default=list(SECTIONS))
    arguments = parser.parse_args()
    print(f"{'section':<18} {'genes':>6} {'method':<10}" + "".join(f"{c:>17}" for c in COLUMNS))
    chosen = (arguments.data, arguments.sections, arguments.seeds, arguments.fewest_counts)
    for name, versions in sections(*chosen):
        for method, run in METHODS.items():
            rows = []
            for adata in versions:
                start, copy = time.perf_counter(), adata.copy()
                log_p = run(copy)
                seconds = time.perf_counter() - start
                total = np.asarray(adata.X.sum(axis=0)).ravel()
                rows.append([*score(log_p, adata.var["null"].to_numpy(), total), seconds])
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=min(1, len(rows) - 1))
            digits = [3, 3, 4, 3, 3, 4, 4, 1]
            cells = [f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in zip(mean, spread, digits, strict=True)]
            row = "".join(f"{cell:>17}" for cell in cells)
            print(f"{name:<18} {adata.n_vars:>6} {method:<10}{row}", flush=True)


if __name__ == "__main__":
    main()
