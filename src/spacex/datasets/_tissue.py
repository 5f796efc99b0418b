"""The tissue of a simulated section: sites, domains, library size and expression patterns.

Lengths are in units of the mean tissue radius, unless the name contains `pitch`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Technology = Literal["visium", "st", "cells"]
Array = NDArray[np.float64]
KINDS = ("domain", "union", "gradient", "hotspots", "vessels", "patches")
PATCH_SCALES = (0.08, 0.14, 0.25)
LIBRARY_SD = {"noise": 0.4, "field": 0.3, "domain": 0.3}  # log scale; total 0.58 (DLPFC 0.54, mob_st 0.87)
MAX_OVERLAP = 0.85  # maximum correlation of two modules


@dataclass(frozen=True)
class Tissue:
    """Spots of one section: `xy` (S, 2) in tissue radii, `pitch` in the same unit, `domain` (S,) int."""

    xy: Array
    pitch: float
    domain: NDArray[np.int64]
    depth: Array


# --- positions of the spots -----------------------------------------------------------------------------------


def _outline(xy: Array, rng: np.random.Generator) -> Array:
    """Level function of an irregular star-shaped outline with a notch and a tear: small inside, large outside."""
    angle, radius = np.arctan2(xy[:, 1], xy[:, 0]), np.hypot(xy[:, 0], xy[:, 1])
    edge = np.ones(len(xy))
    for order in range(2, 9):
        edge += rng.normal(0, 0.16 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    towards = rng.uniform(-np.pi, np.pi)
    offset = np.angle(np.exp(1j * (angle - towards)))
    edge -= rng.uniform(0.15, 0.3) * np.exp(-0.5 * (offset / 0.12) ** 2)
    tear = rng.uniform(-0.4, 0.4, 2)
    size = rng.uniform(0.02, 0.05, 2)
    return radius / edge + 2.0 * (np.square((xy - tear) / size).sum(1) < 1)


def _visium_sites(n_spots: int, rng: np.random.Generator) -> tuple[Array, Array, pd.DataFrame]:
    """Space Ranger's hexagonal array, 78 x 128; larger for more than 80 % of its positions."""
    grow = max(1.0, math.sqrt(n_spots / (0.8 * 78 * 64)))
    rows, cols = math.ceil(78 * grow), 2 * math.ceil(64 * grow)
    row, col = np.divmod(np.arange(rows * cols), cols)
    even = (row + col) % 2 == 0
    row, col = row[even], col[even]
    sites = np.column_stack([col / 2, row * math.sqrt(3) / 2])
    keep = _in_tissue(sites, n_spots, n_spots * math.sqrt(3) / 2, rng)
    sites, row, col = sites[keep], row[keep], col[keep]
    turn = np.deg2rad(rng.uniform(-2, 2))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    pixels = np.round(137.0 * sites @ rotation + rng.uniform(1500, 3000, 2))
    obs = pd.DataFrame({"in_tissue": 1, "array_row": row, "array_col": col}, index=number_names("spot", n_spots))
    return sites, pixels, obs


def _st_sites(n_spots: int, rng: np.random.Generator) -> tuple[Array, Array, pd.DataFrame]:
    """A square array of at least 33 x 35 positions, with the printing jitter of real arrays."""
    grow = max(1.0, math.sqrt(n_spots / (0.7 * 33 * 35)))
    row, col = np.divmod(np.arange(math.ceil(33 * grow) * math.ceil(35 * grow)), math.ceil(35 * grow))
    sites = np.column_stack([col, row]).astype(float)
    sites = sites[_in_tissue(sites, n_spots, n_spots, rng)]
    coordinates = np.round(sites + 1 + rng.normal(0, 0.04, sites.shape).clip(-0.12, 0.12), 3)
    return sites, coordinates, pd.DataFrame(index=number_names("spot", n_spots))


def _cell_sites(n_spots: int, rng: np.random.Generator) -> tuple[Array, Array, pd.DataFrame]:
    """Free positions with a density that varies about fourfold; mean spacing 12 micrometers."""
    half = math.sqrt(n_spots / math.pi)
    candidates = rng.uniform(-1.5 * half, 1.5 * half, (5 * n_spots, 2))
    density = _squash(_field(candidates / half, 0.3, rng), 2.0)
    candidates = candidates[rng.random(len(candidates)) < 0.25 + 0.75 * density]
    sites = candidates[_in_tissue(candidates, n_spots, n_spots, rng)]
    return sites, 12.0 * (sites - sites.min(0)), pd.DataFrame(index=number_names("cell", n_spots))


SITES = {"visium": _visium_sites, "st": _st_sites, "cells": _cell_sites}


def _in_tissue(sites: Array, n_spots: int, area: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The `n_spots` sites deepest inside a random outline of about `area`, in random order."""
    center = (sites.min(0) + sites.max(0)) / 2
    gauge = _outline((sites - center) / math.sqrt(area / math.pi), rng)
    return rng.permutation(np.argsort(gauge, kind="stable")[:n_spots])


def number_names(stem: str, n: int) -> list[str]:
    return [f"{stem}{i + 1:0{max(4, len(str(n)))}d}" for i in range(n)]


# --- domains and library size ------------------------------------------------------------------------------


def _field(xy: Array, scale: float, rng: np.random.Generator, n_waves: int = 64) -> Array:
    """Gaussian random field of squared-exponential covariance at `xy`, by random Fourier features."""
    field = np.zeros(len(xy))
    for wave in rng.normal(0, 1 / scale, (n_waves, 2)):  # one wave at a time keeps memory at O(S)
        field += np.cos(xy @ wave + rng.uniform(0, 2 * np.pi))
    return math.sqrt(2 / n_waves) * field


def _squash(x: Array, slope: float) -> Array:
    return 1 / (1 + np.exp(-slope * x))


def draw_tissue(sites: Array, n_domains: int, rng: np.random.Generator) -> Tissue:
    """Curved layers by quantiles of a warped depth, with lobes cut out first so that no domain is empty."""
    n_spots = len(sites)
    centered = sites - sites.mean(0)
    xy = centered / math.sqrt(2 * np.square(centered).sum(1).mean())  # a disc then has radius 1
    n_lobes = n_domains // 3
    turn = rng.uniform(0, 2 * np.pi)
    pole = rng.uniform(1.3, 2.2) * np.array([np.cos(turn), np.sin(turn)])
    depth = np.hypot(*(xy - pole).T) + 0.07 * _field(xy, 0.35, rng)
    domain = np.full(n_spots, -1)
    for lobe in range(n_lobes):
        free = np.flatnonzero(domain < 0)
        size = max(2, round(n_spots / n_domains * rng.uniform(0.4, 0.8)))
        gap = np.hypot(*(xy[free] - xy[rng.choice(free)]).T) + 0.06 * _field(xy[free], 0.2, rng)
        domain[free[np.argsort(gap, kind="stable")[:size]]] = lobe
    free = np.flatnonzero(domain < 0)
    width = rng.uniform(0.5, 1.5, n_domains - n_lobes)
    cut = np.round(np.cumsum(width)[:-1] / width.sum() * len(free)).astype(int)
    rank = np.argsort(np.argsort(depth[free], kind="stable"))
    domain[free] = n_lobes + np.searchsorted(cut, rank, side="right")
    return Tissue(xy, math.sqrt(math.pi / n_spots), rng.permutation(n_domains)[domain], depth)


def draw_library(tissue: Tissue, mean: float, rng: np.random.Generator) -> Array:
    log = rng.normal(0, LIBRARY_SD["noise"], len(tissue.xy))
    log += LIBRARY_SD["field"] * _field(tissue.xy, 0.4, rng)
    log += rng.normal(0, LIBRARY_SD["domain"], tissue.domain.max() + 1)[tissue.domain]
    library = np.exp(log)
    return mean * library / library.mean()


# --- patterns: one function per kind, each (S,) in [0, 1] --------------------------------------------------


def _union(tissue: Tissue, rng: np.random.Generator) -> Array:
    n_domains = tissue.domain.max() + 1
    chosen = rng.permutation(n_domains)[: rng.integers(2, max(3, n_domains // 2 + 1))]
    return np.isin(tissue.domain, chosen).astype(float)


def _gradient(tissue: Tissue, rng: np.random.Generator) -> Array:
    turn, distance = rng.uniform(0, 2 * np.pi), rng.choice([0.0, 0.5, 1.0, 3.0])
    pole = distance * np.array([np.cos(turn), np.sin(turn)])
    height = np.hypot(*(tissue.xy - pole).T) if rng.random() < 0.75 else tissue.depth
    low, high = np.quantile(height, [0.02, 0.98])
    rising = ((height - low) / (high - low)).clip(0, 1)
    return rising if rng.random() < 0.5 else 1 - rising


def _hotspots(tissue: Tissue, rng: np.random.Generator) -> Array:
    height = np.zeros(len(tissue.xy))
    for center in tissue.xy[rng.choice(len(tissue.xy), rng.integers(2, 7), replace=False)]:
        width = max(tissue.pitch, rng.uniform(0.06, 0.15))
        height += np.exp(-0.5 * np.square((tissue.xy - center) / width).sum(1))
    return height.clip(0, 1)


def _vessels(tissue: Tissue, rng: np.random.Generator) -> Array:
    """Two to five persistent random walks, about one spot wide."""
    n_walks, n_steps = rng.integers(2, 6), 100
    start = tissue.xy[rng.choice(len(tissue.xy), n_walks)]
    heading = rng.uniform(0, 2 * np.pi, (n_walks, 1)) + rng.normal(0, 0.15, (n_walks, n_steps)).cumsum(1)
    steps = 0.02 * np.stack([np.cos(heading), np.sin(heading)], axis=-1).cumsum(1)
    walks = (start[:, None] + steps).reshape(-1, 2)
    distance = cKDTree(walks).query(tissue.xy)[0]
    return np.exp(-0.5 * np.square(distance / max(0.02, 0.8 * tissue.pitch)))


def _pattern(kind: str, tissue: Tissue, scale: float, rng: np.random.Generator) -> Array:
    if kind == "domain":
        return (tissue.domain == rng.integers(tissue.domain.max() + 1)).astype(float)
    if kind == "patches":
        return _squash(_field(tissue.xy, max(scale, tissue.pitch), rng), 3.0)
    draw = {"union": _union, "gradient": _gradient, "hotspots": _hotspots, "vessels": _vessels}[kind]
    return draw(tissue, rng)


def draw_patterns(tissue: Tissue, n_modules: int, rng: np.random.Generator) -> tuple[Array, list[str]]:
    """One pattern per module, of alternating kinds and low correlation; patches replace a kind that is exhausted."""
    patterns, units = np.zeros((n_modules, len(tissue.xy))), np.zeros((n_modules, len(tissue.xy)))
    kinds: list[str] = []
    exhausted: set[str] = set()
    for module in range(n_modules):
        regular_kind = KINDS[module % len(KINDS)]
        for attempt in range(60):
            if attempt == 30:
                exhausted.add(regular_kind)
            kind = "patches" if regular_kind in exhausted else regular_kind
            scale = PATCH_SCALES[(module // len(KINDS) + attempt) % len(PATCH_SCALES)]
            pattern = _pattern(kind, tissue, scale, rng)
            unit = pattern - pattern.mean()
            unit /= max(np.linalg.norm(unit), 1e-12)
            if unit.any() and (units[:module] @ unit).max(initial=0) < MAX_OVERLAP:
                break
        patterns[module], units[module] = pattern, unit
        kinds.append(kind)
    return patterns, kinds
