"""What the maps show: values of genes and of modules at the spots, and how they are named in a colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.colors import Normalize

from spacex import _adata
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.validation import check_choice, check_key, check_number
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.stats import group_mean

Value = Literal["lognorm", "counts", "residual"]


def gene_values(
    adata: AnnData,
    genes: Sequence[int],
    *,
    value: Value = "lognorm",
    smooth: float = 0.0,
    layer: str | None = None,
) -> tuple[np.ndarray, str]:
    """Values (B, S) of genes, given by number, at the spots, and the words that say what they are.

    ``"lognorm"``: log1p of counts scaled to the median library; ``"counts"``: as they are; ``"residual"``: analytic
    Pearson residuals of the pixels. `smooth` is the width of a Gaussian in spot pitches, applied to pixels.
    """
    check_choice(value, name="value", allowed=("lognorm", "counts", "residual"))
    smooth = check_number(smooth, name="smooth", at_least=0.0)
    check_key(layer, name="layer")
    layer = _adata.embedded_layer(adata) if layer is None else layer
    if value == "residual":
        images = _images(adata, layer)
        maps, label = images.residuals(np.asarray(genes)), "Pearson residual" if images.is_count else "z-score"
        if smooth:
            maps, label = Smoother(images.layout, smooth).apply(maps), f"{label}, smoothed σ = {smooth:g}"
        return at_spots(adata, images, maps), label
    columns, library, is_count = _adata.read_columns(adata, layer, genes)
    values = columns.astype(np.float64)
    label = "counts" if is_count else "intensity"
    if value == "lognorm" and is_count:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log1p(values / library * np.median(library[library > 0]))
        label = "log1p normalised counts"
    if smooth:
        images = _images(adata, layer)
        pixel = _adata.read_pixel_of_spot(adata, images)
        means = group_mean(np.nan_to_num(values), pixel, images.n_pixels)
        pixels = Smoother(images.layout, smooth).apply(means.astype(np.float32))
        values, label = at_spots(adata, images, pixels), f"{label}, smoothed σ = {smooth:g}"
    return values, label


def _images(adata: AnnData, layer: str | None) -> GeneImages:
    return _adata.read_images(adata, layer=layer, config=Config())


def at_spots(adata: AnnData, images: GeneImages, maps: np.ndarray) -> np.ndarray:
    """Values (B, S) of the spots from maps (B, P) of the pixels; NaN for spots whose pixel is empty."""
    pixel = _adata.read_pixel_of_spot(adata, images)
    return np.where(pixel >= 0, maps[:, np.maximum(pixel, 0)], np.nan)


def mean_expression(adata: AnnData) -> np.ndarray:
    """Mean count (G,), or intensity, of every gene over the spots."""
    return _adata.read_totals(adata, _adata.embedded_layer(adata)) / adata.n_obs


def robust_norm(
    values: np.ndarray, *, zero: bool = False, vmin: float | None = None, vmax: float | None = None
) -> Normalize:
    """Colour limits at the 1st and 99th percentile, from zero where `zero`, so that single spots do not rule."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1.0, 99.0]) if finite.size else (0.0, 1.0)
    if high <= low:
        high = finite.max(initial=low + 1e-9)
    low = vmin if vmin is not None else 0.0 if zero and (not finite.size or finite.min() >= 0) else float(low)
    high = vmax if vmax is not None else float(high)
    return Normalize(low, max(high, low + 1e-9), clip=True)


# -- modules ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModuleMaps:
    """Maps of one module: smoothed residuals with a standard deviation of one.

    Attributes
    ----------
    name
        The module.
    genes
        Numbers of its genes, the strongest first.
    labels
        What the genes of `maps` are called.
    mean
        (S,) mean map of up to `N_MEAN` genes.
    maps
        (B, S) maps of the first genes.
    """

    name: str
    genes: np.ndarray
    labels: list[str]
    mean: np.ndarray
    maps: np.ndarray


N_MEAN = 50
MEAN_LABEL = "mean z-score of smoothed residuals"
MAP_LABEL = "z-score of smoothed residuals"


def module_sizes(adata: AnnData) -> pd.Series:
    """Number of genes in each module, the largest first; genes without a module are not counted."""
    column = _adata.read_modules(adata).astype(str)
    embedded = np.isfinite(_adata.read_embedding(adata)[:, 0])
    sizes = column[embedded & (column != _adata.UNASSIGNED).to_numpy()].value_counts()
    return sizes.loc[sorted(sizes.index, key=lambda name: (-sizes[name], len(name), name))]


def ranked_members(adata: AnnData, module: str) -> np.ndarray:
    """Numbers of a module's genes by probability times strength of signal, the largest first."""
    member = np.flatnonzero(_adata.read_modules(adata).astype(str).to_numpy() == module)
    strength = np.linalg.norm(_adata.read_embedding(adata)[member].astype(np.float64), axis=1)
    weight = strength * _adata.read_module_probability(adata)[member]
    return member[np.argsort(-np.nan_to_num(weight, nan=-1.0), kind="stable")]


def module_maps(adata: AnnData, modules: Sequence[str], *, n_genes: int, sigma: float = 1.0) -> list[ModuleMaps]:
    """Mean map of each module and maps of its `n_genes` strongest genes."""
    known = set(module_sizes(adata).index)
    unknown = [str(name) for name in modules if str(name) not in known]
    if unknown:
        listed = ", ".join(sorted(known, key=lambda name: (len(name), name)))
        raise InputError(f"there is no module {', '.join(unknown)}; known are {listed}")
    images = _images(adata, _adata.embedded_layer(adata))
    smoother = Smoother(images.layout, sigma)
    labels = _adata.read_gene_names(adata).labels
    made = []
    for name in map(str, modules):
        members = ranked_members(adata, name)
        maps = smoother.apply(images.residuals(members[:N_MEAN]))
        maps -= maps.mean(axis=1, keepdims=True)
        maps /= np.maximum(maps.std(axis=1, keepdims=True), 1e-12)
        spots = at_spots(adata, images, np.vstack([maps.mean(axis=0), maps[:n_genes]]))
        made.append(ModuleMaps(name, members, list(labels[members[:n_genes]]), spots[0], spots[1:]))
    return made
