"""Tools: the embedding, modules, and all analyses of an embedded section."""

from spacex.tl._compare import compare
from spacex.tl._domains import domains
from spacex.tl._embed import embed
from spacex.tl._enrich import enrich
from spacex.tl._gene_sets import read_gene_sets
from spacex.tl._impute import impute
from spacex.tl._interactions import interactions, score_pairs
from spacex.tl._markers import markers
from spacex.tl._module_stability import module_stability
from spacex.tl._modules import modules
from spacex.tl._pattern import pattern
from spacex.tl._similar import similar_genes
from spacex.tl._svg import svg

__all__ = [
    "compare",
    "domains",
    "embed",
    "enrich",
    "impute",
    "interactions",
    "markers",
    "module_stability",
    "modules",
    "pattern",
    "read_gene_sets",
    "score_pairs",
    "similar_genes",
    "svg",
]
