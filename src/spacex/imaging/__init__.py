"""Gene images: grids, aggregation of spots, residuals, thinning, smoothing and components."""
