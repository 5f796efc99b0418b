"""Tools: the method, and the questions it answers."""

from ._compare import compare
from ._domains import domains
from ._embed import embed
from ._enrich import enrich, read_gene_sets
from ._impute import impute
from ._interactions import interactions, score_pairs
from ._markers import markers
from ._modules import modules
from ._pattern import pattern
from ._similar import similar_genes
from ._svg import svg

__all__ = [
    "compare",
    "domains",
    "embed",
    "enrich",
    "impute",
    "interactions",
    "markers",
    "modules",
    "pattern",
    "read_gene_sets",
    "score_pairs",
    "similar_genes",
    "svg",
]
