"""Figures of an analyzed AnnData. Values come from `spacex.get`; the functions only draw, and return the Axes.

Conventions follow scanpy and squidpy: `palette` for categories, `cmap` for numbers, `library_key` for several sections,
which are drawn in rows and columns of one map. ``ax=`` takes one Axes, which is split into the panels of the figure, or
one Axes for each panel; ``save=`` writes the figure to a file; ``show=True`` opens its window.
"""

from spacex.pl._domains import domains
from spacex.pl._embedding import embedding
from spacex.pl._gene_images import gene_images
from spacex.pl._imputed import imputed
from spacex.pl._interactions import interactions
from spacex.pl._modules import modules
from spacex.pl._pattern import pattern
from spacex.pl._svg import svg
from spacex.pl._training import training

__all__ = ["domains", "embedding", "gene_images", "imputed", "interactions", "modules", "pattern", "svg", "training"]
