"""The places that the page shows: spots, or pixels where spots are too many, and what belongs to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.spatial import cKDTree

from spacex import _adata
from spacex.get import SectionName, SpotMap, spot_categories, spot_map
from spacex.imaging.gene_images import GeneImages
from spacex.pl.colors import category_colors
from spacex.stats import group_mean

MAX_VALUES = 150_000_000
"""Places times genes that a page can hold in memory, a byte each."""

RESOLUTION = 640
NEAR = 6
MAX_COLUMNS, MAX_CATEGORIES = 6, 40


@dataclass(frozen=True)
class DisplayUnits:
    """What the page shows of the tissue.

    Attributes
    ----------
    names
        (N,) names of the places.
    matrix
        (N, G) counts, or intensities, by columns.
    library
        (N,) library sizes.
    pixel
        (N,) pixel of the gene images that each place belongs to, -1 where it holds no counts.
    picture
        (H, W) place at every point of the picture, -1 off the tissue.
    xy
        (N, 2) column and row of each place in the picture.
    owner
        (S,) place of every spot, -1 for none.
    labels
        Names of the sections, where there are several.
    """

    names: np.ndarray
    matrix: sp.csc_matrix | sp.csc_array
    library: np.ndarray
    pixel: np.ndarray
    picture: np.ndarray
    xy: np.ndarray
    owner: np.ndarray
    labels: list[SectionName]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def aspect(self) -> float:
        """Width of the picture divided by its height."""
        return self.picture.shape[1] / self.picture.shape[0]

    @property
    def spacing(self) -> float:
        """Median distance from a place to the one nearest to it, in points of the picture."""
        return float(np.median(cKDTree(self.xy).query(self.xy, k=2)[0][:, 1])) if len(self) > 1 else 1.0


def display_units_of(adata: AnnData, images: GeneImages) -> DisplayUnits:
    """The spots of a section, or its pixels if every spot's counts would be too much for a page."""
    tissue = spot_map(adata, resolution=RESOLUTION)
    pixel = _adata.read_pixel_of_spot(adata, images)
    if adata.n_obs * adata.n_vars <= MAX_VALUES:
        return _spots(adata, tissue, pixel)
    return _pixels(images, tissue, pixel)


def _spots(adata: AnnData, tissue: SpotMap, pixel: np.ndarray) -> DisplayUnits:
    matrix, _ = _adata.read_matrix(adata, _adata.read_embedded_layer(adata))
    library = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    names = adata.obs_names.to_numpy().astype(str)
    owner = np.arange(adata.n_obs)
    return DisplayUnits(names, matrix.tocsc(), library, pixel, tissue.index, tissue.position, owner, tissue.labels)


def _pixels(images: GeneImages, tissue: SpotMap, pixel: np.ndarray) -> DisplayUnits:
    layout = images.layout
    at = zip(layout.section, *layout.pixel.T, strict=True)
    names = [f"section {s} row {row} column {column}" for s, row, column in at]
    xy = np.ascontiguousarray(group_mean(tissue.position.T, pixel, images.n_pixels).T)
    picture = np.where(tissue.index >= 0, pixel[np.maximum(tissue.index, 0)], -1)
    number = np.arange(images.n_pixels)
    return DisplayUnits(np.array(names), images.counts, images.library, number, picture, xy, pixel, tissue.labels)


def neighbor_units(places: DisplayUnits) -> np.ndarray:
    """(N, 6) nearest places, -1 where one is farther than places that touch: what a smoothed map is averaged over."""
    n = min(NEAR + 1, len(places))
    distance, near = cKDTree(places.xy).query(places.xy, k=n)
    distance, near = distance.reshape(len(places), n)[:, 1:], near.reshape(len(places), n)[:, 1:]
    reach = 1.6 * places.spacing
    found = np.full((len(places), NEAR), -1)
    found[:, : near.shape[1]] = np.where(distance <= reach, near, -1)
    return found


def shown_annotations(adata: AnnData, places: DisplayUnits) -> list[tuple[str, list[str], list[str], np.ndarray]]:
    """Title, categories, their colours and the category (N,) of every place: domains, then other columns of ``obs``."""
    columns = [_adata.keys.DOMAIN] if _adata.keys.DOMAIN in adata.obs else []
    others = [name for name in adata.obs if name != _adata.keys.DOMAIN and _is_shown(adata.obs[name])]
    found = []
    for column in [*columns, *others][:MAX_COLUMNS]:
        labels = spot_categories(adata, column)
        colors = category_colors(list(labels.categories))
        title = "SpaCEX domain" if column == _adata.keys.DOMAIN else str(column)
        codes = _most_frequent(places, np.asarray(labels.codes), len(labels.categories))
        found.append((title, list(colors), list(colors.values()), codes))
    return found


def _is_shown(column: pd.Series) -> bool:
    text = isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object
    return text and 2 <= column.nunique() <= MAX_CATEGORIES


def _most_frequent(places: DisplayUnits, codes: np.ndarray, n: int) -> np.ndarray:
    """Category (N,) that most spots of a place have, -1 where none has one."""
    kept = (places.owner >= 0) & (codes >= 0)
    table = np.zeros((len(places), n), dtype=np.int64)
    np.add.at(table, (places.owner[kept], codes[kept]), 1)
    return np.where(table.any(axis=1), table.argmax(axis=1), -1)
