"""Gene images from the layer and with the settings of the embedding."""

from __future__ import annotations

from anndata import AnnData

from spacex import _adata
from spacex.imaging.gene_images import GeneImages


def embedded_images(adata: AnnData, *, layer: str | None = None) -> GeneImages:
    """Return the gene images that the embedding was computed from.

    The settings are those in ``uns["spacex"]["parameters"]``, so that residuals are those that the model uses.
    Settings that are not stored have their defaults.

    Parameters
    ----------
    adata
        Spots × genes, after `spacex.tl.embed` or `spacex.pp.rasterize`.
    layer
        Layer to read; by default the embedded layer, else ``X``.

    Returns
    -------
    `GeneImages` of all genes: sparse counts (P, G) of the pixels and the layout of the sections.

    Raises
    ------
    InputError
        If the spots have no pixels, or the matrix or the stored settings are invalid.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> sx.pp.rasterize(adata)
    >>> images = sx.get.embedded_images(adata)
    >>> images.residuals(slice(0, 5)).shape == (5, images.n_pixels)
    True
    """
    _adata.prepare_adata(adata)
    layer = _adata.read_embedded_layer(adata) if layer is None else layer
    return _adata.read_images(adata, layer=layer, config=_adata.read_config(adata))
