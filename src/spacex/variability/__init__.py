"""Whether a gene varies over the tissue: kernels on its map, their null distributions, the evidence joined."""

from .assessment import assess
from .evidence import Evidence

__all__ = ["Evidence", "assess"]
