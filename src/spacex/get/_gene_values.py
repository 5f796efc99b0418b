"""Values of genes at the spots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.validation import check_choice, check_name, check_names, check_number
from spacex.get._embedded_images import embedded_images
from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean

Value = Literal["lognorm", "counts", "residual"]


class GeneValues(NamedTuple):
    """Values of genes at the spots.

    Attributes
    ----------
    values
        (B, S) values; NaN where a spot has none.
    label
        Name of the quantity, for a color bar.

    Examples
    --------
    >>> import numpy as np
    >>> import spacex as sx
    >>> sx.get.GeneValues(np.zeros((1, 3)), "counts").label
    'counts'
    """

    values: np.ndarray
    label: str


def gene_values(
    adata: AnnData,
    genes: str | Sequence[str] | Sequence[int] | np.ndarray,
    *,
    value: Value = "lognorm",
    smooth: float = 0.0,
    layer: str | None = None,
) -> GeneValues:
    """Return values of genes at the spots.

    Parameters
    ----------
    adata
        Spots × genes.
    genes
        One gene or several, by name, symbol or position in ``var``.
    value
        ``"lognorm"``: log1p of counts scaled to the median library size, or the intensities if the matrix does not hold
        counts; ``"counts"``: the values of the matrix; ``"residual"``: analytic Pearson residuals of the pixels with
        the settings of the embedding.
    smooth
        Standard deviation in pixel pitches of a Gaussian that smooths the maps of pixels; 0 turns it off.
        ``"residual"`` and smoothing need the pixels of `spacex.pp.rasterize`.
    layer
        Layer to read; by default the embedded layer, else ``X``.

    Returns
    -------
    `GeneValues`: values (B, S) and the name of the quantity.

    Raises
    ------
    InputError
        If a gene is unknown or ambiguous, an argument is invalid, or pixels are needed and missing.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> values, label = sx.get.gene_values(adata, ["gene0001", "gene0002"])
    >>> values.shape, label
    ((2, 300), 'log1p normalized counts')
    """
    _adata.prepare_adata(adata)
    check_choice(value, name="value", allowed=("lognorm", "counts", "residual"))
    smooth = check_number(smooth, name="smooth", at_least=0.0)
    check_name(layer, name="layer")
    index = _gene_positions(adata, genes)
    if value == "residual":
        return _residuals(adata, index, smooth, layer)
    layer = _adata.read_embedded_layer(adata) if layer is None else layer
    columns, library, is_count = _adata.read_gene_values(adata, layer, index)
    values, label = columns.astype(np.float64), "counts" if is_count else "intensity"
    if value == "lognorm" and is_count:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log1p(values / library * np.median(library[library > 0]))
        label = "log1p normalized counts"
    return GeneValues(values, label) if not smooth else _smoothed(adata, values, label, smooth, layer)


def _gene_positions(adata: AnnData, genes: str | Sequence[str] | Sequence[int] | np.ndarray) -> list[int]:
    """Positions of genes in ``var``, from names or from positions."""
    if not isinstance(genes, str) and all(isinstance(gene, (int, np.integer)) for gene in genes):
        return [int(gene) for gene in genes]
    gene_names = _adata.read_gene_names(adata)
    return [gene_names.index(name) for name in check_names(genes, name="genes")]


def _residuals(adata: AnnData, index: list[int], smooth: float, layer: str | None) -> GeneValues:
    images = embedded_images(adata, layer=layer)
    maps, label = images.residuals(np.asarray(index)), "Pearson residual" if images.is_count else "z-score"
    if smooth:
        maps, label = Smoother(images.layout, smooth).apply(maps), f"{label}, smoothed σ = {smooth:g}"
    return GeneValues(_adata.values_at_spots(maps.T, _adata.read_pixel_of_spot(adata, images)).T, label)


def _smoothed(adata: AnnData, values: np.ndarray, label: str, smooth: float, layer: str | None) -> GeneValues:
    """Average values (B, S) over the spots of each pixel and smooth the maps of the pixels."""
    images = embedded_images(adata, layer=layer)
    pixel = _adata.read_pixel_of_spot(adata, images)
    means = group_mean(np.nan_to_num(values), pixel, images.n_pixels)
    maps = Smoother(images.layout, smooth).apply(means.astype(np.float32))
    return GeneValues(_adata.values_at_spots(maps.T, pixel).T, f"{label}, smoothed σ = {smooth:g}")


def mean_expression(adata: AnnData) -> np.ndarray:
    """Return the mean of each gene over the spots, in the embedded layer, else in ``X``.

    Parameters
    ----------
    adata
        Spots × genes.

    Returns
    -------
    Mean counts (G,), or mean intensities, per spot.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.toy()
    >>> sx.get.mean_expression(adata).shape
    (120,)
    """
    _adata.prepare_adata(adata)
    return _adata.read_gene_totals(adata, _adata.read_embedded_layer(adata)) / adata.n_obs
