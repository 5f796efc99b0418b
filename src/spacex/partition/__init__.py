"""Tissue domains from the maps of genes: features of pixels, a consensus of mixtures, labels beside neighbours."""

from .consensus import Consensus, agree
from .features import components, strongest
from .labels import by_size, outvote

__all__ = ["Consensus", "agree", "by_size", "components", "outvote", "strongest"]
