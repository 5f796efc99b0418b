"""The units that the report displays: spots, or pixels if the section has too many spots."""

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
"""Maximum number of units times genes, which the browser holds in memory, one byte each."""

RESOLUTION = 640
"""Resolution of the tissue plot; see `spacex.get.spot_map`."""

N_NEIGHBORS = 6
NEIGHBOR_RADIUS = 1.6
"""Maximum distance of neighbors, relative to the spacing of the units."""

MAX_COLUMNS, MAX_CATEGORIES = 6, 40


@dataclass(frozen=True)
class DisplayUnits:
    """Spots or pixels with their counts and positions.

    Attributes
    ----------
    kind
        ``"spot"`` or ``"pixel"``.
    names
        (N,) names of the units.
    matrix
        (N, G) counts or intensities.
    library_size
        (N,) library sizes.
    pixel
        (N,) pixel of the gene images that contains each unit, -1 without counts.
    picture
        (H, W) unit at each point of the picture, -1 off the tissue.
    xy
        (N, 2) column and row of each unit in the picture.
    unit_of_spot
        (S,) unit of each spot, -1 for none.
    section_names
        Names of the sections; empty for a single section.
    """

    kind: str
    names: np.ndarray
    matrix: sp.csc_matrix | sp.csc_array
    library_size: np.ndarray
    pixel: np.ndarray
    picture: np.ndarray
    xy: np.ndarray
    unit_of_spot: np.ndarray
    section_names: list[SectionName]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def aspect(self) -> float:
        """Width of the picture divided by its height."""
        return self.picture.shape[1] / self.picture.shape[0]

    @property
    def spacing(self) -> float:
        """Median distance to the nearest other unit, in points of the picture."""
        return float(np.median(cKDTree(self.xy).query(self.xy, k=2)[0][:, 1])) if len(self) > 1 else 1.0


def display_units(adata: AnnData, images: GeneImages) -> DisplayUnits:
    """Return the spots of a section, or its pixels if spots × genes exceeds `MAX_VALUES`."""
    tissue = spot_map(adata, resolution=RESOLUTION)
    pixel_of_spot = _adata.read_pixel_of_spot(adata, images)
    if adata.n_obs * adata.n_vars <= MAX_VALUES:
        return _spots(adata, tissue, pixel_of_spot)
    return _pixels(images, tissue, pixel_of_spot)


def _spots(adata: AnnData, tissue: SpotMap, pixel_of_spot: np.ndarray) -> DisplayUnits:
    matrix, _ = _adata.read_matrix(adata, _adata.read_embedded_layer(adata))
    return DisplayUnits(
        kind="spot",
        names=adata.obs_names.to_numpy().astype(str),
        matrix=matrix.tocsc(),
        library_size=np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel(),
        pixel=pixel_of_spot,
        picture=tissue.index,
        xy=tissue.position,
        unit_of_spot=np.arange(adata.n_obs),
        section_names=tissue.labels,
    )


def _pixels(images: GeneImages, tissue: SpotMap, pixel_of_spot: np.ndarray) -> DisplayUnits:
    layout = images.layout
    indices = zip(layout.section, *layout.pixel.T, strict=True)
    return DisplayUnits(
        kind="pixel",
        names=np.array([f"section {section} row {row} column {column}" for section, row, column in indices]),
        matrix=images.counts,
        library_size=images.library,
        pixel=np.arange(images.n_pixels),
        picture=np.where(tissue.index >= 0, pixel_of_spot[np.maximum(tissue.index, 0)], -1),
        xy=np.ascontiguousarray(group_mean(tissue.position.T, pixel_of_spot, images.n_pixels).T),
        unit_of_spot=pixel_of_spot,
        section_names=tissue.labels,
    )


def neighbor_units(units: DisplayUnits) -> np.ndarray:
    """Return the adjacent units (N, 6) that smoothed maps average over, -1 for none."""
    k = min(N_NEIGHBORS + 1, len(units))
    distance, unit = cKDTree(units.xy).query(units.xy, k=k)
    distance, unit = distance.reshape(len(units), k)[:, 1:], unit.reshape(len(units), k)[:, 1:]
    neighbors = np.full((len(units), N_NEIGHBORS), -1)
    neighbors[:, : k - 1] = np.where(distance <= NEIGHBOR_RADIUS * units.spacing, unit, -1)
    return neighbors


@dataclass(frozen=True)
class Annotation:
    """A categorical column of ``obs``.

    Attributes
    ----------
    title
        Name on the report.
    colors
        Color of each category.
    codes
        (N,) category of each unit, -1 for none.
    """

    title: str
    colors: dict[str, str]
    codes: np.ndarray


def unit_annotations(adata: AnnData, units: DisplayUnits) -> list[Annotation]:
    """Return the domains and other categorical columns of ``obs``, up to `MAX_COLUMNS`."""
    columns = [_adata.keys.DOMAIN] if _adata.keys.DOMAIN in adata.obs else []
    columns += [name for name in adata.obs if name != _adata.keys.DOMAIN and _is_categorical(adata.obs[name])]
    annotations = []
    for column in columns[:MAX_COLUMNS]:
        labels = spot_categories(adata, column)
        title = "SpaCEX domain" if column == _adata.keys.DOMAIN else str(column)
        codes = _most_frequent(units, np.asarray(labels.codes), len(labels.categories))
        annotations.append(Annotation(title, category_colors(list(labels.categories)), codes))
    return annotations


def _is_categorical(column: pd.Series) -> bool:
    is_text = isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object
    return is_text and 2 <= column.nunique() <= MAX_CATEGORIES


def _most_frequent(units: DisplayUnits, codes: np.ndarray, n_categories: int) -> np.ndarray:
    """Return the most frequent category (N,) among the spots of each unit, -1 for none."""
    is_labeled = (units.unit_of_spot >= 0) & (codes >= 0)
    n_spots = np.zeros((len(units), n_categories), dtype=np.int64)
    np.add.at(n_spots, (units.unit_of_spot[is_labeled], codes[is_labeled]), 1)
    return np.where(n_spots.any(axis=1), n_spots.argmax(axis=1), -1)
