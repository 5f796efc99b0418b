"""Sections with a known truth: permuted, simulated, mixtures, planted patterns, markers."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import cKDTree

import spacex as sx

from ..redrawn import from_columns, moments_dispersion, negative_binomial, plain

SIMULATED = {"visium": 2500, "st": 800, "cells": 3000}
MIX_STEPS = 11
MIX_GENES = 50
MIX_NEIGHBORS = 18
PLANTED = 120
KINDS = ("domain", "gradient", "hot spot", "stripes", "vessels")


def permuted(adata: ad.AnnData, seed: int, min_counts: int) -> ad.AnnData:
    """The section with permuted positions: all genes are null, and correlations between genes are preserved."""
    order = np.random.default_rng([seed, 2]).permutation(adata.n_obs)
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    part = adata[:, total >= min_counts]
    return plain(part.X, adata.obsm["spatial"][order], part.var_names, null=np.ones(part.n_vars, dtype=bool))


def simulated(technology: str, seed: int) -> ad.AnnData:
    """Simulated section with weak patterns; half of its genes have none."""
    adata = sx.datasets.simulatefrom_columns(2000, SIMULATED[technology], technology=technology, seed=seed, effect=0.7)
    adata.var["null"] = ~adata.var["spatially_variable"]
    return adata


def mixed(adata: ad.AnnData, seed: int) -> ad.AnnData:
    """Mixtures of patterns with noise: ``var["mix"]`` is the weight, ``var["base"]`` the gene, -1 for others.

    The scheme of Open Problems (Luecken et al. 2025, task spatially variable genes): a smooth mean fitted to a gene of
    the section, mixed with its copy at shuffled positions, negative-binomial draws. The fit is the mean share of the
    nearest spots; the genes are those with the most counts among the half with the most variable fits. All other genes
    are redrawn without pattern, so that library sizes are preserved.
    """
    rng = np.random.default_rng([seed, 3])
    counts = sp.csc_matrix(adata.X)
    library = np.asarray(counts.sum(axis=1)).ravel()
    share, total = library / library.sum(), np.asarray(counts.sum(axis=0)).ravel()
    near = cKDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], k=min(MIX_NEIGHBORS, adata.n_obs))[1]
    rich = np.argsort(-total)[: min(1000, len(total) // 2)]
    fits = {int(g): _fitted(counts[:, [g]].toarray().ravel(), library, near) for g in rich}
    spread = {g: fit.std() / fit.mean() for g, fit in fits.items()}
    base = sorted(fits, key=lambda g: -spread[g])[: len(fits) // 2]
    base = sorted(base, key=lambda g: -total[g])[:MIX_GENES]
    columns, mix, owner = [], [], []
    for number, gene in enumerate(base):
        observed, fit = counts[:, [gene]].toarray().ravel(), fits[gene]
        phi = moments_dispersion(observed, fit * library)
        shuffled = rng.permutation(fit)
        for weight in np.linspace(0, 1, MIX_STEPS):
            mean = library * (weight * fit + (1 - weight) * shuffled)
            columns.append(negative_binomial(mean / mean.sum() * total[gene], phi, rng))
            mix.append(weight)
            owner.append(number)
    others = np.setdiff1d(np.flatnonzero(total >= 10), base)
    for gene in rng.permutation(others)[:2000]:
        mean = total[gene] * share
        columns.append(negative_binomial(mean, moments_dispersion(counts[:, [gene]].toarray().ravel(), mean), rng))
        mix.append(0.0)
        owner.append(-1)
    names = [f"g{i}" for i in range(len(columns))]
    return from_columns(columns, adata, names, null=np.array(mix) == 0, mix=np.array(mix), base=np.array(owner))


def _fitted(counts: np.ndarray, library: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Mean share (S,) of a gene among the nearest spots of each."""
    return (counts[near].sum(axis=1) + 0.1 * counts.mean()) / (library[near].sum(axis=1) + 0.1 * library.mean())


def planted(seed: int) -> ad.AnnData:
    """Weak patterns of five kinds at random positions: ``var["kind"]``, "none" for null genes.

    On the spots and library sizes of a simulated Visium section. No two genes share a pattern.
    """
    tissue = sx.datasets.simulatefrom_columns(200, 2500, 0, seed=seed)
    rng = np.random.default_rng([seed, 4])
    xy = tissue.obsm["spatial"]
    pitch = np.median(cKDTree(xy).query(xy, k=2)[0][:, 1])
    xy = (xy - xy.mean(axis=0)) / pitch
    library = tissue.obs["true_library"].to_numpy()
    columns, kinds = [], []
    for kind in (*KINDS, "none"):
        for _ in range(PLANTED if kind != "none" else 8 * PLANTED):
            level = rng.lognormal(-0.5, 0.8)
            fold = np.exp(0.5 * pattern(kind, xy, rng)) if kind != "none" else np.ones(len(xy))
            mean = library * fold
            columns.append(negative_binomial(mean / mean.mean() * level, 0.2, rng))
            kinds.append(kind)
    names = [f"g{i}" for i in range(len(columns))]
    return from_columns(columns, tissue, names, null=np.array(kinds) == "none", kind=np.array(kinds))


def pattern(kind: str, xy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pattern (S,) between 0 and 1 on spots with coordinates in pitches."""
    turn = rng.uniform(0, 2 * np.pi)
    along = xy @ [np.cos(turn), np.sin(turn)]
    across = xy @ [-np.sin(turn), np.cos(turn)]
    center = xy[rng.integers(len(xy))]
    if kind == "domain":
        return (along > np.quantile(along, rng.uniform(0.3, 0.7))).astype(float)
    if kind == "gradient":
        return (along - along.min()) / np.ptp(along)
    if kind == "hot spot":
        return 2 * np.exp(-0.5 * np.square(xy - center).sum(axis=1) / rng.uniform(2.0, 3.5) ** 2)
    if kind == "stripes":
        return 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * along / rng.uniform(5, 8)))
    waves = [across - 6 * np.sin(along / rng.uniform(5, 9) + turn) - offset for offset in rng.uniform(-22, 22, 4)]
    return 1.5 * np.exp(-0.5 * np.square(np.abs(waves).min(axis=0) / 1.0))


def with_markers(adata: ad.AnnData, resources: Path) -> ad.AnnData | None:
    """A cortex section with known layer markers in ``var["marker"]`` and others in ``var["housekeeping"]``.

    None if the section has fewer than ten of either. A marker is not a housekeeping gene.
    """
    markers = pd.read_csv(resources / "dlpfc_layer_markers_maynard_tableS5.csv")["gene_name"]
    steady = pd.read_csv(resources / "housekeeping_hrt_atlas.human.csv")["Gene"]
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    part = adata[:, total >= 10]
    marker = part.var_names.isin(markers)
    housekeeping = part.var_names.isin(steady) & ~marker
    if min(marker.sum(), housekeeping.sum()) < 10:
        return None
    return plain(part.X, part.obsm["spatial"], part.var_names, marker=marker, housekeeping=housekeeping)
