"""Spatially variable genes: SpaCEX, its parts, a simple pipeline and published tests; see `__main__`."""
