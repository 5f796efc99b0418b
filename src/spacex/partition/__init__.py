"""Tissue domains from the maps of genes: features of pixels, a consensus of mixtures, borders by a random field."""

from .consensus import Consensus, agree
from .features import components, independent, strongest
from .labels import by_size, neighbours
from .mixture import field

__all__ = ["Consensus", "agree", "by_size", "components", "field", "independent", "neighbours", "strongest"]
