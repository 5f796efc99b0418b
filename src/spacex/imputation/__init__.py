"""Imputation of unmeasured genes: gene names, reference covariances, prediction from a panel, reliability."""

from spacex.imputation.cells import Cells
from spacex.imputation.matching import find_requested_genes, match_genes, shared_genes, shares_name
from spacex.imputation.params import ImputationParams
from spacex.imputation.reference import CovarianceReference, fit_reference

__all__ = [
    "Cells",
    "CovarianceReference",
    "ImputationParams",
    "find_requested_genes",
    "fit_reference",
    "match_genes",
    "shared_genes",
    "shares_name",
]
