"""Co-function: prediction of the members of gene sets from neighbors in an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .neighbors import unit

SIZES = (8, 200)
"""Minimum and maximum number of measured genes of a set."""

COLLECTIONS = {"EGAD Hallmark": "hallmark", "EGAD Reactome": "reactome"}
"""Name of the metric, and a word in its file names, which also contain the species."""


def species_of(names: list[str]) -> str:
    """``"human"`` if most gene symbols are in capitals, else ``"mouse"``."""
    return "human" if np.mean([name.isupper() for name in names]) > 0.5 else "mouse"


def gene_sets(names: list[str], resources: Path | None) -> dict[str, list[np.ndarray]]:
    """Positions of the members of each set of valid size, by metric; collections without sets are left out."""
    species, sets_of_metric = species_of(names), {}
    for metric, word in COLLECTIONS.items():
        for path in sorted(resources.glob("*.gmt")) if resources is not None else ():
            if word in path.name.lower() and species in path.name.lower():
                sets = members(path, names)
                sets_of_metric |= {metric: sets} if sets else {}
    return sets_of_metric


def members(gmt: Path, names: list[str]) -> list[np.ndarray]:
    """Positions of the measured members of every set of a GMT file, for sets of valid size."""
    index = {name.upper(): i for i, name in enumerate(names)}
    sets = []
    for line in gmt.read_text().splitlines():
        inside = sorted({index[gene.upper()] for gene in line.split("\t")[2:] if gene.upper() in index})
        if SIZES[0] <= len(inside) <= SIZES[1]:
            sets.append(np.array(inside))
    return sets


def egad(z: np.ndarray, sets: list[np.ndarray]) -> float:
    """Mean over gene sets of the leave-one-out AUROC of neighbor voting (EGAD: Ballouz et al. 2017, Bioinformatics).

    The network is complete, with weight (1 + cosine) / 2. A gene's score for a set is the share of its edges' weight
    that goes to members. Each member in turn is hidden: its AUROC is the share of genes outside the set that score
    lower with the other members, ties counted half. Genes that are not embedded are zero vectors, half similar to all.

    No G × G matrix is stored: sums of dot products are computed as dot products with sums.
    """
    x = unit(z).astype(np.float64)
    squared = np.square(x).sum(axis=1)
    degree = (len(x) - 1 + x @ x.sum(axis=0) - squared) / 2
    scores = []
    for inside in sets:
        outside = np.ones(len(x), dtype=bool)
        outside[inside] = False
        similarity = (1 + x @ x[inside].T) / 2
        votes = similarity.sum(axis=1)
        rivals = (votes[outside, None] - similarity[outside]) / degree[outside, None]
        member_scores = (votes[inside] - (1 + squared[inside]) / 2) / degree[inside]
        # A hidden zero vector ties with others exactly; rounding must not decide it.
        gap = rivals - member_scores
        tie = np.abs(gap) < 1e-12
        scores.append(((gap < 0) & ~tie).mean() + tie.mean() / 2)
    return float(np.mean(scores))
