"""The images that the embedding was made from."""

from __future__ import annotations

from anndata import AnnData

from .. import _slots, pp
from .._config import Config
from ..raster import GeneImages


def embedded_images(adata: AnnData) -> GeneImages:
    """Images of all genes, from the layer and by the settings of the embedding."""
    config = Config.from_dict(_slots.noted(adata, "parameters"))
    return pp.gene_images(adata, layer=_slots.embedded_layer(adata), config=config)
