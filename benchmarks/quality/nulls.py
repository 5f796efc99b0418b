"""Null distributions of similar genes, designated patterns and interactions, on simulated sections.

    python -m benchmarks.quality.nulls [--seeds 2]

Shares of genes without a pattern with p < 0.05 and p < 0.01: *similar*, the cosine with 300 spatial genes;
*pattern*, the cosine with 12 random patterns. The directions of genes without a pattern are estimated from the genes
redrawn without a pattern, or from the *weak* genes of the section. *dense*: nearly all genes are spatial.
*interactions*: expected calibration error, and share right above 0.9, of the probability of pairs of nearest neighbors,
where pairs of one planted module are related; *alone* does not require that both genes have a pattern.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex import _adata
from spacex.stats import calibration_error, cosine_pvalue, direction_variance, l2_normalize, weak_genes

from .patterns import KINDS, pattern

SECTIONS = {
    "visium": {"n_spots": 3500},
    "st": {"n_spots": 600, "technology": "st", "depth": 0.5},
    "cells": {"n_spots": 6000, "technology": "cells"},
    "dense": {"n_genes": 600, "n_spots": 1500, "n_modules": 12, "depth": 2.0, "spatial_fraction": 0.97},
}
N_QUERIES, N_PATTERNS = 300, 12


def without_null_genes(adata: AnnData) -> AnnData:
    """The section without the redrawn genes, so that weak genes replace them."""
    bare = adata.copy()
    del bare.uns["spacex"]["null_genes"]
    return bare


def similar(adata: AnnData) -> Iterator[tuple[str, np.ndarray]]:
    """P-values of genes without a pattern for the cosine with spatial genes, by null distribution."""
    z, planted = adata.varm["X_spacex"].astype(float), adata.var["module"].to_numpy()
    embedded = np.isfinite(z).all(axis=1)
    direction, null = l2_normalize(z), np.flatnonzero(embedded & (planted < 0))
    queries = np.random.default_rng(0).permutation(np.flatnonzero(embedded & (planted >= 0)))[:N_QUERIES]
    for name, genes in (("redrawn", _adata.read_null_embedding(adata)), ("weak", weak_genes(z[embedded]))):
        variance = direction_variance(genes)
        pvalue = [cosine_pvalue(direction[null] @ direction[q], direction[q], variance) for q in queries]
        yield f"similar, {name}", np.concatenate(pvalue)


def designated(adata: AnnData) -> Iterator[tuple[str, np.ndarray]]:
    """P-values of genes without a pattern for random patterns, by null distribution."""
    xy, rng = adata.obsm["spatial"], np.random.default_rng(0)
    xy = (xy - xy.min(axis=0)) / np.ptp(xy, axis=0).max()
    queries = [pattern(KINDS[i % len(KINDS)], xy, rng) for i in range(N_PATTERNS)]
    null = adata.var_names[~adata.var["spatially_variable"]]
    for name, section in (("redrawn", adata), ("weak", without_null_genes(adata))):
        tables = [sx.tl.pattern(section, query, n=adata.n_vars).set_index("gene")["pvalue"] for query in queries]
        yield f"pattern, {name}", np.concatenate([table.reindex(null).dropna() for table in tables])


def pairs(adata: AnnData) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Probabilities of pairs of nearest neighbors, with and without the probability of a pattern; whether related."""
    alone = adata.copy()
    del alone.var["spacex_module_prob"]
    planted = adata.var["module"].to_numpy()
    for name, section in (("interactions", adata), ("interactions, alone", alone)):
        sx.tl.interactions(section)
        found = sp.triu(section.varp["spacex_interactions"]).tocoo()
        yield name, found.data, (planted[found.row] == planted[found.col]) & (planted[found.row] >= 0)


def measured(adata: AnnData) -> Iterator[tuple[str, float]]:
    sx.tl.embed(adata, progress=False)
    for name, pvalue in (*similar(adata), *designated(adata)):
        for level in (0.05, 0.01):
            yield f"{name}, p < {level:g}", float(np.mean(pvalue < level))
    for name, probability, is_related in pairs(adata):
        yield f"{name}, ECE", calibration_error(probability, is_related)
        yield f"{name}, right above 0.9", float(np.mean(is_related[probability > 0.9]))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.nulls", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(argv)
    rows = []
    for section, arguments in SECTIONS.items():
        for seed in range(options.seeds):
            adata = sx.datasets.simulate_section(seed=seed, **arguments)
            rows += [(section, name, value) for name, value in measured(adata)]
    table = pd.DataFrame(rows, columns=["section", "figure", "value"])
    print(table.pivot_table(index="figure", columns="section", values="value", sort=False).round(4).to_string())


if __name__ == "__main__":
    main()
