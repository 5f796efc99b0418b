"""Views derived from an analyzed AnnData."""

from spacex.get._genes_as_obs import genes_as_obs

__all__ = ["genes_as_obs"]
