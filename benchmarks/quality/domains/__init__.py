"""Tissue domains against annotated layers and regions, and against planted ones."""
