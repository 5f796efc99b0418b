"""Overlapping sections: positions shared by several spots, and groups of spots that cover the same area."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

MAX_SAMPLE = 40_000
"""Maximum number of spots, over all groups, that are compared with the areas of other groups."""
MAX_QUERIES = 2000
"""Maximum number of spots of a group from which its spacing is estimated."""
MAX_CHANCE = 1e-3
"""Labels that would separate all shared positions by chance with a larger probability are not taken for sections."""


def shared_positions(positions: np.ndarray, section: np.ndarray) -> np.ndarray:
    """Index (S,) of the position of each spot; -1 for positions that no other spot of the section has.

    Parameters
    ----------
    positions
        (S, 2) coordinates, or array rows and columns.
    section
        (S,) section index of each spot.
    """
    order = np.lexsort((positions[:, 1], positions[:, 0], section))
    sorted_rows, sorted_section = positions[order], section[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (sorted_rows[1:] != sorted_rows[:-1]).any(axis=1) | (sorted_section[1:] != sorted_section[:-1])
    index = np.empty(len(order), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    is_shared = np.bincount(index, minlength=1)[index] > 1
    return np.where(is_shared, index, -1)


def separates(label: np.ndarray, position: np.ndarray) -> bool:
    """Whether the spots at each shared position (S,) have distinct labels (S,); -1: no label, or not shared."""
    shared = position >= 0
    label, position = label[shared], position[shared]
    if not len(label) or label.min() < 0:
        return False
    order = np.lexsort((label, position))
    same = (position[order][1:] == position[order][:-1]) & (label[order][1:] == label[order][:-1])
    return not same.any()


def is_chance(label: np.ndarray, position: np.ndarray) -> bool:
    """Whether randomly permuted labels (S,) would separate all shared positions with more than `MAX_CHANCE`."""
    share = np.bincount(label[label >= 0]) / max((label >= 0).sum(), 1)
    shared = position[position >= 0]
    n_pairs = len(shared) - len(np.unique(shared))
    return n_pairs * float(np.log1p(-min(np.sum(share**2), 1 - 1e-12))) > np.log(MAX_CHANCE)


def in_area(xy: np.ndarray, group: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Whether (N, n) each of the selected `spots` (N,) lies in the area of each other group.

    The area of a group contains all points within one spacing of its spots, the 90th percentile of the distances
    between nearest spots.

    Parameters
    ----------
    xy
        (S, 2) coordinates.
    group
        (S,) group index of each spot.
    spots
        (N,) indices of the selected spots.
    """
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(int(group.max(initial=0)) + 2))
    inside = np.zeros((len(spots), len(ends) - 1), dtype=bool)
    spot_xy, spot_group = xy[spots], group[spots]
    for g, (start, end) in enumerate(pairwise(ends)):
        # Complex numbers are sorted faster than rows.
        group_xy = np.unique(xy[order[start:end]] @ [1.0, 1j]).view(np.float64).reshape(-1, 2)
        tree = cKDTree(group_xy)
        nearest = tree.query(group_xy[:: max(1, len(group_xy) // MAX_QUERIES)], k=2)[0][:, 1]
        if not np.isfinite(nearest).any():  # fewer than two positions
            continue
        spacing = float(np.quantile(nearest, 0.9))
        low, high = group_xy.min(axis=0) - spacing, group_xy.max(axis=0) + spacing
        near = (spot_group != g) & ((spot_xy >= low) & (spot_xy <= high)).all(axis=1)
        inside[near, g] = tree.query(spot_xy[near], distance_upper_bound=spacing * (1 + 1e-9))[0] < np.inf
    return inside


def sample_of_groups(group: np.ndarray, included: np.ndarray) -> np.ndarray:
    """Indices (N,) of at most about `MAX_SAMPLE` of the `included` spots (mask, (S,)), evenly from every group."""
    n_groups = int(group.max(initial=0)) + 1
    max_per_group = max(20, MAX_SAMPLE // n_groups)
    spots = np.flatnonzero(included)
    spots = spots[np.argsort(group[spots], kind="stable")]
    starts = np.searchsorted(group[spots], np.arange(n_groups + 1))
    return np.concatenate([spots[a:b][:: max(1, (b - a) // max_per_group)] for a, b in pairwise(starts)])


def largest_overlap(xy: np.ndarray, group: np.ndarray) -> float:
    """Largest fraction of the spots of a group in the area of another group, from 0 to 1."""
    spots = sample_of_groups(group, np.ones(len(group), dtype=bool))
    inside = in_area(xy, group, spots)
    ends = np.searchsorted(group[spots], np.arange(inside.shape[1] + 1))
    shares = [inside[a:b].mean(axis=0).max() for a, b in pairwise(ends) if b > a]
    return float(max(shares, default=0.0))


def are_evenly_spaced(xy: np.ndarray) -> bool:
    """Whether positions (S, 2) form lattices side by side: four nearest neighbors at about the same distance."""
    if len(xy) < 5:
        return False
    distance = cKDTree(xy).query(xy[:: max(1, len(xy) // MAX_QUERIES)], k=5)[0]
    low, pitch, high = np.quantile(distance[:, 1], [0.1, 0.5, 0.9])
    return bool(pitch > 0 and high - low < 0.25 * pitch and np.median(distance[:, 4]) < 1.25 * pitch)
