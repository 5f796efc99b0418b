"""Designated patterns: whether `sx.tl.pattern` ranks the gene that follows a pattern among the first.

    python -m benchmarks.quality.patterns [--seeds 3] [--counts 0.5]

Each simulated section of 1,000 genes gets 20 additional genes with different patterns: discs, bumps, stripes and
gradients at random positions, with three log fold changes. Each pattern is used as a query. *top 20*: share of patterns
whose gene is among the first 20; *same pattern*: the same, also for genes whose true pattern has a correlation above
0.9 with the query; *null p < 0.05*: share of genes without a pattern with such a p-value. *correlation*, *smoothed*:
top 20 by the correlation of the query with residual maps, and with residual maps smoothed by one pitch, without an
embedding. Entries are means ± standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import sys

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import spacex as sx
from spacex import _adata
from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean

from .redrawn import negative_binomial

SECTIONS = {"visium": 2500, "cells": 3000, "st": 800}
EFFECTS = (0.5, 1.0, 1.45)
N_PATTERNS = 20
KINDS = ("disc", "bump", "stripe", "gradient")


def pattern(kind: str, xy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights (S,) from 0 to 1 at coordinates (S, 2), scaled to a longer side of one."""
    center, turn = xy[rng.integers(len(xy))], rng.uniform(0, 2 * np.pi)
    along = xy @ [np.cos(turn), np.sin(turn)]
    far = np.linalg.norm(xy - center, axis=1)
    if kind == "disc":
        return (far < rng.uniform(0.15, 0.3)).astype(float)
    if kind == "bump":
        return np.exp(-0.5 * (far / rng.uniform(0.08, 0.16)) ** 2)
    if kind == "stripe":
        return np.exp(-0.5 * ((along - center @ [np.cos(turn), np.sin(turn)]) / rng.uniform(0.04, 0.08)) ** 2)
    return (along - along.min()) / np.ptp(along)


def section(technology: str, effect: float, counts: float, seed: int) -> tuple[ad.AnnData, np.ndarray]:
    """A simulated section whose last genes follow one pattern each, and the patterns (n, S)."""
    simulated = sx.datasets.simulate_section(1000, SECTIONS[technology], technology=technology, seed=seed)
    rng = np.random.default_rng([seed, 21])
    xy = simulated.obsm["spatial"]
    xy = (xy - xy.min(axis=0)) / np.ptp(xy, axis=0).max()
    weights = np.stack([pattern(KINDS[i % len(KINDS)], xy, rng) for i in range(N_PATTERNS)])
    mean = simulated.obs["true_library"].to_numpy() * np.exp(effect * weights)
    mean *= counts / mean.mean(axis=1, keepdims=True)
    drawn = negative_binomial(mean, 0.2, rng).T.astype(np.float32)
    adata = ad.AnnData(
        sp.hstack([simulated.X, sp.csr_matrix(drawn)], format="csr"), obsm={"spatial": simulated.obsm["spatial"]}
    )
    adata.var_names = [*simulated.var_names, *(f"planted{i}" for i in range(N_PATTERNS))]
    adata.var["null"] = [*~simulated.var["spatially_variable"], *[False] * N_PATTERNS]
    return adata, weights


def measured(technology: str, effect: float, counts: float, seed: int) -> dict[str, float]:
    adata, weights = section(technology, effect, counts, seed)
    sx.tl.embed(adata, progress=False, seed=seed)
    similar = np.corrcoef(weights) > 0.9
    raw, smooth = plain_ranks(adata, weights)
    first, same, null = [], [], []
    for i, query in enumerate(weights):
        table = sx.tl.pattern(adata, query, n=adata.n_vars).set_index("gene")
        rank = {name: k for k, name in enumerate(table.index)}
        first.append(rank.get(f"planted{i}", adata.n_vars) < 20)
        same.append(any(rank.get(f"planted{j}", adata.n_vars) < 20 for j in np.flatnonzero(similar[i])))
        null.append((table["pvalue"].reindex(adata.var_names[adata.var["null"]]).dropna() < 0.05).mean())
    return {
        "top 20": np.mean(first), "same pattern": np.mean(same), "null p<0.05": np.mean(null),
        "correlation": np.mean(raw < 20), "smoothed": np.mean(smooth < 20),
    }  # fmt: skip


def plain_ranks(adata: ad.AnnData, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each pattern's gene by the correlation of maps with the pattern: unsmoothed, and smoothed."""
    images = sx.pp.gene_images(adata)
    pixel = _adata.read_pixel_of_spot(adata, images)
    queries = group_mean(weights, pixel, images.n_pixels)
    maps, ranks = images.residuals(), []
    for smoothed in (maps, Smoother(images.layout, 1.0).apply(maps)):
        correlation = np.corrcoef(np.vstack([queries, smoothed]))[:N_PATTERNS, N_PATTERNS:]
        of_gene = correlation[np.arange(N_PATTERNS), adata.n_vars - N_PATTERNS + np.arange(N_PATTERNS)]
        ranks.append((correlation > of_gene[:, None]).sum(axis=1))
    return ranks[0], ranks[1]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.patterns", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--counts", type=float, nargs="+", default=[0.5], help="mean counts per spot of the genes")
    options = parser.parse_args(argv)
    rows = []
    for technology in SECTIONS:
        for counts in options.counts:
            for effect in EFFECTS:
                for seed in range(options.seeds):
                    scores = measured(technology, effect, counts, seed)
                    print(technology, counts, effect, seed, scores, file=sys.stderr, flush=True)
                    rows += [(technology, counts, effect, metric, value) for metric, value in scores.items()]
    table = pd.DataFrame(rows, columns=["section", "counts", "effect", "metric", "value"])
    groups = (
        table.groupby(["section", "counts", "effect", "metric"], sort=False)["value"].agg(["mean", "std"]).fillna(0)
    )
    text = groups.apply(lambda g: f"{g['mean']:.3f} ± {g['std']:.3f}", axis=1)
    print(text.unstack("metric").to_string())


if __name__ == "__main__":
    main()
