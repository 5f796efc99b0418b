"""Pixel grid of an AnnData, and images of its genes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.labels import read_covariates, read_sections
from spacex._adata.matrix import MatrixReading, PixelSums, choose, read_pixel_sums
from spacex._adata.uns import read_uns, read_uns_entry, write_uns
from spacex._adata.validation import MIN_PIXELS, check_genes_and_spots
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.memory import check_memory
from spacex.imaging.aggregate import SpotToPixel
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid, GridSize
from spacex.stats import group_mean

GRID_FIELDS = ("section", "kind", "height", "width", "aspect", "pitch")


def write_grid(
    adata: AnnData,
    grids: Sequence[Grid],
    pixel: np.ndarray,
    names: list[str],
    *,
    spatial_key: str,
    library_key: str | None,
    size: GridSize = "auto",
) -> None:
    """Write ``obsm["spacex_pixel"]``, (-1, -1) for spots off the tissue, and ``uns["spacex"]["grid"]``."""
    write_uns(
        adata,
        grid={
            "section": np.array(names, dtype=object),
            "kind": np.array([g.kind for g in grids], dtype=object),
            "height": np.array([g.shape[0] for g in grids]),
            "width": np.array([g.shape[1] for g in grids]),
            "aspect": np.array([g.aspect for g in grids]),
            "pitch": np.array([g.pitch for g in grids]),
            "spatial_key": spatial_key,
            "library_key": library_key or "",
            "size": size,
        },
    )
    adata.obsm[keys.PIXEL] = pixel.astype(np.int64)


def has_grid(adata: AnnData) -> bool:
    """Whether the AnnData has the slots that `write_grid` writes."""
    return "grid" in read_uns(adata) and keys.PIXEL in adata.obsm


def rasterize_arguments(adata: AnnData) -> dict[str, Any]:
    """Arguments of `spacex.pp.rasterize` that produced the grid; empty without a grid."""
    if "grid" not in read_uns(adata):
        return {}
    entry = read_uns_entry(adata, "grid", "spatial_key", "library_key")
    for name in ("spatial_key", "library_key"):
        if not isinstance(entry[name], (str, int)):
            raise _invalid_grid(f'uns["spacex"]["grid"]["{name}"]={entry[name]!r}')
    size = np.asarray(entry.get("size", "auto")).tolist()
    return {
        "spatial_key": entry["spatial_key"], "library_key": entry["library_key"] or None,
        "grid": tuple(size) if isinstance(size, list) else size,
    }  # fmt: skip


def read_grid(adata: AnnData) -> tuple[list[Grid], np.ndarray, np.ndarray]:
    """Read the grid that `write_grid` wrote.

    Returns
    -------
    The grid of each section, and the pixel (S, 2) and section (S,) of each spot, -1 for spots off the tissue.

    Raises
    ------
    InputError
        If there is no grid, it is damaged, or it lacks a section.
    """
    if not has_grid(adata):
        slot = f'obsm["{keys.PIXEL}"]' if keys.PIXEL not in adata.obsm else 'uns["spacex"]["grid"]'
        raise InputError(f"the spots have no pixels yet: {slot} is missing; call sx.pp.rasterize(adata)")
    gridded, grids = _stored_grids(adata)
    codes, names = read_sections(adata, rasterize_arguments(adata)["library_key"])
    missing = [name for name in names if name not in gridded]
    if missing:
        raise InputError(f"section(s) {', '.join(missing[:5])} have no grid; call sx.pp.rasterize(adata) again")
    used, number = np.unique([gridded.index(name) for name in names], return_inverse=True)
    section = np.append(number, -1)[codes].astype(np.int64)  # code -1 (off the tissue) selects the last element
    grids = [grids[i] for i in used]
    return grids, _stored_pixels(adata, grids, section), section


def _stored_grids(adata: AnnData) -> tuple[list[str], list[Grid]]:
    """Names and grids of the sections; raises `InputError` if they are damaged."""
    entry = read_uns_entry(adata, "grid", *GRID_FIELDS)
    try:
        names, *columns = (np.atleast_1d(entry[name]).tolist() for name in GRID_FIELDS)
        grids = [
            Grid((int(height), int(width)), kind, float(aspect), float(pitch))
            for kind, height, width, aspect, pitch in zip(*columns, strict=True)
        ]
        is_valid = len(names) == len(grids) and all(grid.is_valid for grid in grids)
    except (TypeError, ValueError, OverflowError):
        is_valid = False
    if not is_valid:
        raise _invalid_grid('uns["spacex"]["grid"]')
    return [str(name) for name in names], grids


def _stored_pixels(adata: AnnData, grids: list[Grid], section: np.ndarray) -> np.ndarray:
    """``obsm["spacex_pixel"]`` (S, 2); raises `InputError` if one is outside the grid of its section (S,)."""
    pixel = np.asarray(adata.obsm[keys.PIXEL])
    if pixel.shape != (adata.n_obs, 2) or pixel.dtype.kind not in "iu":
        raise _invalid_grid(f'obsm["{keys.PIXEL}"] of shape {pixel.shape} and type {pixel.dtype}')
    limit = np.array([grid.shape for grid in grids])[section]
    outside = ((pixel < 0) | (pixel >= limit)).any(axis=1) & (section >= 0)
    if outside.any():
        raise _invalid_grid(f'obsm["{keys.PIXEL}"] has {int(outside.sum())} spot(s) outside the grid and')
    return np.where((section >= 0)[:, None], pixel.astype(np.int64, copy=False), -1)


def _invalid_grid(slot: str) -> InputError:
    return InputError(f"{slot} is not what sx.pp.rasterize wrote; call sx.pp.rasterize(adata)")


def choose_images(adata: AnnData, layer: str | None, *, config: Config, fresh: bool = False) -> tuple[GeneImages, str]:
    """Read the images that a user's call works on, and the layer they come from; see `spacex._adata.matrix.choose`."""
    pixels = _spot_to_pixel(adata)
    reading = choose(adata, layer, lambda adata, layer: read_pixel_sums(adata, layer, pixels), fresh=fresh)
    return _to_images(reading, pixels, config), reading.source.layer


def read_images(adata: AnnData, *, layer: str | None, config: Config) -> GeneImages:
    """Images of all genes on the grid that `write_grid` wrote."""
    pixels = _spot_to_pixel(adata)
    return _to_images(read_pixel_sums(adata, layer, pixels), pixels, config)


def _spot_to_pixel(adata: AnnData) -> SpotToPixel:
    check_genes_and_spots(adata)
    grids, pixel, section = read_grid(adata)
    return SpotToPixel.from_pixels([pixel[section == s] for s in range(len(grids))], grids, section)


def _to_images(reading: MatrixReading[PixelSums], pixels: SpotToPixel, config: Config) -> GeneImages:
    library, summed = reading.value
    images = pixels.gene_images(summed, library, is_count=reading.is_count, theta=config.theta)
    if images.n_pixels < MIN_PIXELS:
        raise InputError(
            f"only {images.n_pixels} pixel(s) hold counts; SpaCEX needs at least {MIN_PIXELS}: check the counts, "
            "or pass a finer grid to sx.pp.rasterize"
        )
    return images


def check_working_memory(images: GeneImages, what: str) -> None:
    """Raise `InputError` if a computation on the images would not fit in memory."""
    check_memory(
        images.working_bytes,
        what=f"{what} of {images.n_genes} genes on {images.n_pixels} pixels",
        hint="pass a coarser grid (sx.pp.rasterize(adata, grid=...)) or fewer genes, or use a machine with more memory",
    )


def read_pixel_of_spot(adata: AnnData, images: GeneImages) -> np.ndarray:
    """Index (S,) of the pixel of `images` that each spot is in; -1 off the tissue or without counts."""
    _, pixel, section = read_grid(adata)
    layout, inside = images.layout, section >= 0
    index = np.full(layout.shape[0] * layout.shape[1], -1, dtype=np.int64)
    index[layout.flat] = np.arange(images.n_pixels)
    pixel_of_spot = np.full(len(section), -1, dtype=np.int64)
    row, column = pixel[inside].T
    pixel_of_spot[inside] = index[row * layout.shape[1] + column + layout.offsets[section[inside]]]
    return pixel_of_spot


def read_pixel_covariates(adata: AnnData, names: Sequence[str], images: GeneImages) -> np.ndarray:
    """Columns of ``obs``, averaged over the spots of each tissue pixel: (P, n_columns)."""
    values, pixel = read_covariates(adata, names), read_pixel_of_spot(adata, images)
    return np.ascontiguousarray(group_mean(values.T, pixel, images.n_pixels).T)


def values_at_spots(values: np.ndarray, pixel_of_spot: np.ndarray, missing: float = np.nan) -> np.ndarray:
    """Values (S, ...) of the spots, from those of the tissue pixels (P, ...) and the pixel (S,) of each spot.

    Spots outside the pixels (-1) get `missing`.
    """
    at_spots = np.full((len(pixel_of_spot), *values.shape[1:]), missing, dtype=values.dtype)
    inside = pixel_of_spot >= 0
    at_spots[inside] = values[pixel_of_spot[inside]]
    return at_spots
