"""Genes that a panel lacks, from a reference that measures them: names, what goes with what, transfer, reliability."""

from spacex.imputation.features import Cells
from spacex.imputation.matching import find_requested_genes, match_genes, shared_genes, shares_name
from spacex.imputation.reference import Reference, fit_reference
from spacex.imputation.reliability import Calibration, calibrate
from spacex.imputation.transfer import RELIABILITY_FEATURES, Panel, Transfer, cell_components, max_cosine, transfer

__all__ = [
    "RELIABILITY_FEATURES",
    "Calibration",
    "Cells",
    "Panel",
    "Reference",
    "Transfer",
    "calibrate",
    "cell_components",
    "find_requested_genes",
    "fit_reference",
    "match_genes",
    "max_cosine",
    "shared_genes",
    "shares_name",
    "transfer",
]
