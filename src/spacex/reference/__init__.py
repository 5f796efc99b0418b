"""What many sections know about genes: a low-rank summary of the gene vectors of each group of sections."""
