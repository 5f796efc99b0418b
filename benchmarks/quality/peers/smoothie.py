"""Smoothie: Gaussian smoothing, correlation network, Infomap (Holdener & De Vlaminck 2026, Commun. Biol. 9, 459)."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy.spatial import KDTree
from sklearn.utils.extmath import randomized_svd

from ..outcome import Outcome
from .host import borrow, labels, quiet, rows, section_of

PIP = "pip install smoothie-st==1.0.2"

PITCHES = 2.0
"""Standard deviation of the kernel in pitches. The documentation has 20 to 30 µm, also for beads 10 µm apart."""

MIN_SPOTS = 10
"""Minimum number of spots under the kernel, the lower end of the documented 10 to 100."""

CUTOFF, POWER = 0.4, 4
DIMS = 256


def pipeline(adata: AnnData, seed: int) -> Outcome:
    """Single dataset pipeline of the documentation of smoothie-st 1.0.2, spots smoothed in place.

    Spots of 10 counts and genes of 100 counts in 10 spots (lower ends of its table); counts per thousand, log1p;
    Gaussian smoothing; Pearson correlation; ``make_spatial_network`` with its example's ``clustering_power=4`` and
    ``pcc_cutoff=0.4``, or the 99.9th percentile of correlations between shuffled genes where that is higher: the
    documentation gives it as lower bound, the choice beyond that is made by eye. Modules of two genes and more.

    The embedding is what its ``get_correlations_to_GOI`` ranks by: smoothed, centered maps, whose cosine is Pearson's
    correlation. Only their leading `DIMS` components are returned.
    """
    package = borrow("smoothie", PIP)
    section = normalized(section_of(adata))
    with quiet():
        smooth = smoothed(package, section)
        correlation, _ = package.compute_correlation_matrix(smooth.X)
        *_, bound = package.compute_shuffled_correlation_percentiles(
            section, **kernel(section), num_processes=1, seed=seed
        )
        modules = network(package, correlation, smooth.var_names, cutoff=max(CUTOFF, float(bound)), seed=seed)
    maps = centered(smooth)
    basis = randomized_svd(maps, min(DIMS, *maps.shape), random_state=seed)[2].T
    kept_spots, kept_genes = section.obs_names, section.var_names

    def project(other: AnnData) -> np.ndarray:
        section = normalized(section_of(other), spots=kept_spots, genes=kept_genes)
        with quiet():
            smooth = smoothed(package, section)
        return rows(centered(smooth) @ basis, smooth.var_names, other.var_names)

    z = rows(maps @ basis, smooth.var_names, adata.var_names)
    return Outcome(z, labels(modules, adata.var_names), project)


def normalized(section: AnnData, *, spots: pd.Index | None = None, genes: pd.Index | None = None) -> AnnData:
    """Quality control and normalization of the pipeline, or the same spots and genes as before."""
    if spots is None:
        sc.pp.filter_cells(section, min_counts=10)
        sc.pp.filter_genes(section, min_counts=100)
        sc.pp.filter_genes(section, min_cells=10)
    else:
        section = section[spots, genes].copy()
    sc.pp.normalize_total(section, target_sum=1e3)
    sc.pp.log1p(section)
    return section


def kernel(section: AnnData) -> dict[str, float | int | bool]:
    """Arguments of the smoothing. The pitch is the mean distance to six neighbors, so that cells have one too."""
    distance, _ = KDTree(section.obsm["spatial"]).query(section.obsm["spatial"], k=7)
    pitch = float(np.median(distance[:, 1:].mean(axis=1)))
    return {
        "grid_based_or_not": False,
        "gaussian_sd": PITCHES * pitch,
        "min_spots_under_gaussian": MIN_SPOTS,
    }


def smoothed(package: ModuleType, section: AnnData) -> AnnData:
    """Smoothed section; Smoothie changes the order of the spots, always in the same way."""
    return package.run_parallelized_smoothing(section, **kernel(section), num_processes=1)


def centered(smooth: AnnData) -> np.ndarray:
    """Smoothed maps (genes x spots) minus their means."""
    return np.ascontiguousarray((smooth.X - smooth.X.mean(axis=0)).T)


def network(package: ModuleType, correlation: np.ndarray, genes: pd.Index, *, cutoff: float, seed: int) -> pd.Series:
    """Module by gene, without unassigned genes."""
    if not (np.tril(correlation, -1) > cutoff).any():  # Smoothie fails for a network without edges
        return pd.Series(dtype=str)
    _, nodes = package.make_spatial_network(
        correlation, genes, pcc_cutoff=cutoff, clustering_power=POWER, random_seed=seed
    )
    modules = nodes.set_index("name")["module_label"]
    return modules[modules.groupby(modules).transform("size") >= 2]
