"""Sections on top of each other: positions that several spots share, and groups of spots that cover the same area."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

MAX_SAMPLE = 40_000
"""Spots, of all groups together, whose distance to the other groups is looked up."""

MAX_QUERIES = 2000
"""Spots of a group by which its spacing is told."""

MAX_CHANCE = 1e-3
"""Probability that labels without a relation to position differ at every shared position, above which they say nothing
about sections."""


def shared_positions(positions: np.ndarray, section: np.ndarray) -> np.ndarray:
    """Number (S,) of the position of each spot, -1 where no other spot of its section has the same.

    Parameters
    ----------
    positions
        (S, 2) coordinates, or array row and column.
    section
        (S,) section of every spot as a number.
    """
    order = np.lexsort((positions[:, 1], positions[:, 0], section))
    sorted_rows, sorted_section = positions[order], section[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1) | (sorted_section[1:] != sorted_section[:-1])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    shared = np.bincount(number, minlength=1)[number] > 1
    return np.where(shared, number, -1)


def separates(label: np.ndarray, position: np.ndarray) -> bool:
    """Whether the spots of every shared position (S,) have labels (S,) that differ; -1: no label, or not shared."""
    kept = position >= 0
    label, position = label[kept], position[kept]
    if not len(label) or label.min() < 0:
        return False
    order = np.lexsort((label, position))
    same = (position[order][1:] == position[order][:-1]) & (label[order][1:] == label[order][:-1])
    return not same.any()


def is_chance(label: np.ndarray, position: np.ndarray) -> bool:
    """Whether labels (S,) that were dealt out at random would often separate the spots of all shared positions."""
    share = np.bincount(label[label >= 0]) / max((label >= 0).sum(), 1)
    kept = position[position >= 0]
    n_pairs = len(kept) - len(np.unique(kept))
    return n_pairs * float(np.log1p(-min(np.sum(share**2), 1 - 1e-12))) > np.log(MAX_CHANCE)


def in_area(xy: np.ndarray, group: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Whether (N, n) each of the numbered `spots` (N,) lies in the area of each other group.

    The area of a group is all within one spacing of its spots: the 90th percentile of their nearest distances.

    Parameters
    ----------
    xy
        (S, 2) coordinates.
    group
        (S,) number of every spot's group.
    spots
        (N,) numbers of the spots to look up.
    """
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(int(group.max(initial=0)) + 2))
    inside = np.zeros((len(spots), len(ends) - 1), dtype=bool)
    at, of = xy[spots], group[spots]
    for g, (start, end) in enumerate(pairwise(ends)):
        own = np.unique(xy[order[start:end]] @ [1.0, 1j]).view(np.float64).reshape(-1, 2)  # faster than by rows
        tree = cKDTree(own)
        nearest = tree.query(own[:: max(1, len(own) // MAX_QUERIES)], k=2)[0][:, 1]
        if not np.isfinite(nearest).any():  # one place, or none
            continue
        reach = float(np.quantile(nearest, 0.9))
        near = (of != g) & ((at >= own.min(axis=0) - reach) & (at <= own.max(axis=0) + reach)).all(axis=1)
        inside[near, g] = tree.query(at[near], distance_upper_bound=reach * (1 + 1e-9))[0] < np.inf
    return inside


def sample_of_groups(group: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Numbers (N,) of up to `MAX_SAMPLE` of the `kept` spots (S,), evenly from every group."""
    n_groups = int(group.max(initial=0)) + 1
    most = max(20, MAX_SAMPLE // n_groups)
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.argsort(group[chosen], kind="stable")]
    starts = np.searchsorted(group[chosen], np.arange(n_groups + 1))
    return np.concatenate([chosen[a:b][:: max(1, (b - a) // most)] for a, b in pairwise(starts)])


def largest_overlap(xy: np.ndarray, group: np.ndarray) -> float:
    """Largest share of a group's spots that lie in the area of one other group, from 0 to 1."""
    spots = sample_of_groups(group, np.ones(len(group), dtype=bool))
    inside = in_area(xy, group, spots)
    ends = np.searchsorted(group[spots], np.arange(inside.shape[1] + 1))
    shares = [inside[a:b].mean(axis=0).max() for a, b in pairwise(ends) if b > a]
    return float(max(shares, default=0.0))


def are_evenly_spaced(xy: np.ndarray) -> bool:
    """Whether positions (S, 2) are a lattice, or several side by side: four nearest neighbors at about one distance."""
    if len(xy) < 5:
        return False
    distance = cKDTree(xy).query(xy[:: max(1, len(xy) // MAX_QUERIES)], k=5)[0]
    low, pitch, high = np.quantile(distance[:, 1], [0.1, 0.5, 0.9])
    return bool(pitch > 0 and high - low < 0.25 * pitch and np.median(distance[:, 4]) < 1.25 * pitch)
