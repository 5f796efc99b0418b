"""Tissue domains from the maps of genes: features of pixels, a consensus of mixtures, borders by a random field."""

from spacex.domains.consensus import Consensus, agree
from spacex.domains.features import components, independent, strongest
from spacex.domains.labels import by_size, neighbours
from spacex.domains.mixture import field

__all__ = ["Consensus", "agree", "by_size", "components", "field", "independent", "neighbours", "strongest"]
