"""Whether a gene varies over the tissue: kernels on its map, their null distributions, the evidence joined."""

from spacex.svg.result import SVGResult
from spacex.svg.spatial_test import spatial_variability_test

__all__ = ["SVGResult", "spatial_variability_test"]
