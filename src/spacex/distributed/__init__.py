"""Processes that share the genes of one computation."""
