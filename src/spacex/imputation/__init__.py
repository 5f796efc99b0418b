"""Genes that a panel lacks, from a reference that measures them: names, what goes with what, transfer, reliability."""

from spacex.imputation.features import Cells
from spacex.imputation.matching import find, match_genes, shared, shares_name
from spacex.imputation.reference import Reference, learn
from spacex.imputation.reliability import Calibration, calibrate
from spacex.imputation.transfer import TRAITS, Panel, Transfer, cell_components, nearness, transfer

__all__ = [
    "TRAITS",
    "Calibration",
    "Cells",
    "Panel",
    "Reference",
    "Transfer",
    "calibrate",
    "cell_components",
    "find",
    "learn",
    "match_genes",
    "nearness",
    "shared",
    "shares_name",
    "transfer",
]
