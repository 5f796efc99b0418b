"""Gene pairs: similarity measures, their null distribution, and a classifier trained on known pairs."""

from spacex.pairs.classifier import CrossValidationReport, PairClassifier, degree_matched
from spacex.pairs.colocation import Colocation
from spacex.pairs.null import SignFlipNull
from spacex.pairs.params import PairParams
from spacex.pairs.similarity import CosineSimilarity, SimilarityMeasure, neighbor_pairs

__all__ = [
    "Colocation",
    "CosineSimilarity",
    "CrossValidationReport",
    "PairClassifier",
    "PairParams",
    "SignFlipNull",
    "SimilarityMeasure",
    "degree_matched",
    "neighbor_pairs",
]
