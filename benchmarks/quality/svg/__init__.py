"""Spatially variable genes: SpaCEX beside the floor, its parts, and published tests; see `__main__`."""
