"""Simulation of large sections: sparse counts are drawn in blocks and written to an .h5ad file or .zarr store.

The tissue, its patterns and library sizes are those of `sx.datasets.simulate_section`. The counts of a spot are drawn
one by one: first the module (or none), with a probability that depends on its pattern, then one of its genes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr

from spacex.datasets._tissue import SITES, Technology, draw_library, draw_patterns, draw_tissue, number_names

N_MODULES, N_DOMAINS, EFFECT, SPATIAL = 24, 7, 1.45, 0.5
LOG_EXPRESSION_SD = 1.3
ROWS = 20_000


class Section(NamedTuple):
    """Size and technology of a section; `counts` is the mean number of counts of a spot."""

    n_genes: int
    n_spots: int
    counts: float
    technology: Technology


SECTIONS = {
    "visium-hd": Section(18_000, 500_000, 250.0, "st"),  # bins of 8 µm, on a square lattice
    "xenium": Section(500, 1_000_000, 150.0, "cells"),
}


def write_section(path: Path, section: Section, seed: int = 0) -> int:
    """Simulate `section` into a file; return the number of stored values."""
    rng = np.random.default_rng(seed)
    sites, coordinates, obs = SITES[section.technology](section.n_spots, rng)
    tissue = draw_tissue(sites, N_DOMAINS, rng)
    obs["domain"] = pd.Categorical([f"domain{d + 1}" for d in tissue.domain])
    library = draw_library(tissue, section.counts, rng)
    patterns, _ = draw_patterns(tissue, N_MODULES, rng)
    module = np.where(rng.random(section.n_genes) < SPATIAL, rng.integers(0, N_MODULES, section.n_genes), -1)
    var = pd.DataFrame({"module": module}, index=number_names("gene", section.n_genes))
    share = rng.lognormal(0.0, LOG_EXPRESSION_SD, section.n_genes)
    frame = ad.AnnData(obs=obs, var=var, obsm={"spatial": coordinates})
    blocks = draw_blocks(library, patterns.astype(np.float32), module, share / share.sum(), rng)
    if path.suffix == ".zarr":
        frame.write_zarr(path)
        return _append(zarr.open_group(path, mode="r+"), blocks)
    frame.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        return _append(file, blocks)


def draw_blocks(
    library: np.ndarray, patterns: np.ndarray, module: np.ndarray, share: np.ndarray, rng: np.random.Generator
) -> Iterator[sp.csr_matrix]:
    """Yield counts (B, G) of blocks of spots.

    The arguments are library sizes (S,), patterns (M, S), module (G,) or -1, and share of counts (G,)."""
    n_modules, n_genes = len(patterns), len(share)
    group = np.where(module < 0, n_modules, module)
    order = np.argsort(group, kind="stable")  # genes by module; genes without a module are last
    weight = np.bincount(group, share, n_modules + 1)
    ends = np.cumsum(share[order]) - np.concatenate([[0.0], np.cumsum(weight)])[group[order]]
    within = group[order] + ends / np.maximum(weight, 1e-300)[group[order]]
    for start in range(0, len(library), ROWS):
        rows = slice(start, start + ROWS)
        weight_at_spots = np.vstack([np.exp(EFFECT * patterns[:, rows]), np.ones(len(library[rows]))]) * weight[:, None]
        levels = np.cumsum(weight_at_spots / weight_at_spots.sum(0), axis=0).T
        n = rng.poisson(library[rows])
        row = np.repeat(np.arange(len(n)), n)
        # The cumulative probabilities of all rows form one increasing sequence, so that one search draws all modules.
        cumulative = (np.minimum(levels, 1.0) + np.arange(len(n))[:, None]).ravel()
        drawn_module = np.searchsorted(cumulative, row + rng.random(len(row)) * (1 - 1e-9)) - row * (n_modules + 1)
        drawn_module = np.minimum(drawn_module, n_modules)
        gene = order[np.minimum(np.searchsorted(within, drawn_module + rng.random(len(row)) * (1 - 1e-9)), n_genes - 1)]
        yield sp.coo_matrix((np.ones(len(row), np.float32), (row, gene)), shape=(len(n), n_genes)).tocsr()


def _append(group: h5py.File | zarr.Group, blocks: Iterator[sp.csr_matrix]) -> int:
    """Write blocks of rows as ``X``; return the number of values."""
    if "X" in group:
        del group["X"]
    first = next(blocks)
    ad.io.write_elem(group, "X", first)
    stored, n_values = ad.io.sparse_dataset(group["X"]), first.nnz
    for block in blocks:
        stored.append(block)
        n_values += block.nnz
    return n_values
