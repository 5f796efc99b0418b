"""Tools: the method, and the questions it answers."""

from ._embed import embed
from ._modules import modules
from ._similar import similar_genes

__all__ = ["embed", "modules", "similar_genes"]
