"""What many sections know about genes: a low-rank summary of the gene vectors of each group of sections."""

from spacex.reference.gene_knowledge import GeneKnowledge
from spacex.reference.reference import Reference

__all__ = ["GeneKnowledge", "Reference"]
