"""Figures: every function draws slots that `tl` wrote, on given axes or on new ones, and returns what it drew on.

Conventions are those of scanpy and squidpy: `palette` for categories, `cmap` for numbers, `library_key` for several
sections, which stand in rows and columns of one map. ``ax=`` takes one Axes (a figure of several panels then draws into
parts of it) or one Axes a panel; ``save=`` writes the figure to a file; ``show=True`` opens its window.
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
