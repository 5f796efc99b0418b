"""Pairs of genes: how alike two are, how often unrelated genes are as alike, and what known pairs have in common."""

from spacex.pairs.classifier import CrossFit, Fitted, degree_matched
from spacex.pairs.colocation import Colocation
from spacex.pairs.null import MirrorNull
from spacex.pairs.similarity import Directions, Likeness, neighbour_pairs

__all__ = [
    "Colocation",
    "CrossFit",
    "Directions",
    "Fitted",
    "Likeness",
    "MirrorNull",
    "degree_matched",
    "neighbour_pairs",
]
