"""Whether a gene varies over the tissue: kernels on its map, their null distributions, the evidence joined."""

from spacex.svg.result import Evidence
from spacex.svg.spatial_test import assess

__all__ = ["Evidence", "assess"]
