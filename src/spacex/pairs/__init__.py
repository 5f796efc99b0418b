"""Pairs of genes: how alike two are, how often unrelated genes are as alike, and what known pairs have in common."""

from spacex.pairs.classifier import CrossFit, CrossValidationReport, degree_matched
from spacex.pairs.colocation import Colocation
from spacex.pairs.null import SignFlipNull
from spacex.pairs.similarity import CosineSimilarity, SimilarityMeasure, neighbor_pairs

__all__ = [
    "Colocation",
    "CosineSimilarity",
    "CrossFit",
    "CrossValidationReport",
    "SignFlipNull",
    "SimilarityMeasure",
    "degree_matched",
    "neighbor_pairs",
]
