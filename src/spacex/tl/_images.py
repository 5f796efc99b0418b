"""The images that the embedding was made from."""

from __future__ import annotations

from anndata import AnnData

from spacex import _adata, pp
from spacex._config import Config
from spacex.imaging.gene_images import GeneImages


def embedded_images(adata: AnnData) -> GeneImages:
    """Images of all genes, from the layer and by the settings of the embedding."""
    config = Config.from_dict(_adata.read_uns_entry(adata, "parameters"))
    return pp.gene_images(adata, layer=_adata.read_embedded_layer(adata), config=config)
