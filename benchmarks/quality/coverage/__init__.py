"""Imputed genes, compared with held-out measurements."""
