"""Test for spatially variable genes: kernels on gene maps, their null distributions, and combined p-values."""

from spacex.svg.params import SVGParams
from spacex.svg.result import SVGResult
from spacex.svg.spatial_test import spatial_variability_test

__all__ = ["SVGParams", "SVGResult", "spatial_variability_test"]
