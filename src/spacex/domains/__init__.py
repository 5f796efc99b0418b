"""Tissue domains: features of pixels, clustering methods, and refinement of borders by a random field."""

from spacex.domains.consensus import Consensus, agreement_by_number, consensus_clustering
from spacex.domains.features import effective_sample_size, select_genes, smooth_components
from spacex.domains.labels import pixel_neighbors, relabel_by_size
from spacex.domains.methods import METHODS, DomainLabels, DomainMethod, run_method
from spacex.domains.mixture import hmrf_mean_field
from spacex.domains.params import DomainParams

__all__ = [
    "METHODS",
    "Consensus",
    "DomainLabels",
    "DomainMethod",
    "DomainParams",
    "agreement_by_number",
    "consensus_clustering",
    "effective_sample_size",
    "hmrf_mean_field",
    "pixel_neighbors",
    "relabel_by_size",
    "run_method",
    "select_genes",
    "smooth_components",
]
