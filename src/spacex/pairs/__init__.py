"""Pairs of genes: how alike two are, how often unrelated genes are as alike, and what known pairs have in common."""

from .classifier import CrossFit, Fitted, degree_matched
from .colocation import Colocation
from .likeness import Directions, Likeness, neighbour_pairs
from .mirror import MirrorNull

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
