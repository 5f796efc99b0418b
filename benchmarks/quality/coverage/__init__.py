"""Genes that a panel lacks, against what was measured of them."""
