"""Genes that a panel lacks, from a reference that measures them: names, what goes with what, transfer, reliability."""

from .cells import Cells
from .names import find, match_genes, shared, shares_name
from .reference import Reference, learn
from .reliability import Calibration, calibrate
from .transfer import TRAITS, Panel, Transfer, cell_components, nearness, transfer

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
