"""Tissue domains from the maps of genes: features of pixels, a consensus of mixtures, borders by a random field."""

from spacex.domains.consensus import Consensus, consensus_clustering
from spacex.domains.features import components, effective_sample_size, select_genes
from spacex.domains.labels import pixel_neighbors, relabel_by_size
from spacex.domains.mixture import hmrf_mean_field

__all__ = [
    "Consensus",
    "components",
    "consensus_clustering",
    "effective_sample_size",
    "hmrf_mean_field",
    "pixel_neighbors",
    "relabel_by_size",
    "select_genes",
]
