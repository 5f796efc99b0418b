"""Spots to gene images: grids, sums per pixel, residuals, smoothing."""
