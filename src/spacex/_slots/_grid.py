"""The grid of an AnnData, and the images of its genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from .._check import InputError
from .._config import Config
from .._memory import check_memory
from ..grid import Grid
from ..pixels import Pixels
from ..raster import GeneImages
from ._input import FEWEST_PIXELS, check_names, read_covariates, read_sections
from ._matrix import read_sums
from ._notes import KEY, note

PIXEL = "spacex_pixel"


def write_grid(
    adata: AnnData,
    grids: Sequence[Grid],
    pixel: np.ndarray,
    names: list[str],
    *,
    spatial_key: str,
    library_key: str | None,
) -> None:
    """Write ``obsm["spacex_pixel"]`` and ``uns["spacex"]["grid"]``."""
    adata.obsm[PIXEL] = pixel.astype(np.int64)
    note(
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
        },
    )


def has_grid(adata: AnnData) -> bool:
    """Whether `write_grid` was called on this AnnData."""
    return PIXEL in adata.obsm and "grid" in adata.uns.get(KEY, {})


def read_grid(adata: AnnData) -> tuple[list[Grid], np.ndarray, np.ndarray]:
    """Grids, pixel (S, 2) and section (S,) of every spot, as `write_grid` left them."""
    if not has_grid(adata):
        raise InputError('the spots have no pixels yet: obsm["spacex_pixel"] is missing; call sx.pp.rasterize(adata)')
    g = adata.uns[KEY]["grid"]
    columns = (g[name] for name in ("height", "width", "kind", "aspect", "pitch"))
    grids = [
        Grid((int(h), int(w)), str(kind), float(aspect), float(pitch))  # type: ignore[arg-type]
        for h, w, kind, aspect, pitch in zip(*map(np.atleast_1d, columns), strict=True)
    ]
    codes, names = read_sections(adata, g["library_key"] or None)
    order = {str(name): i for i, name in enumerate(np.atleast_1d(g["section"]))}
    missing = [name for name in names if name not in order]
    if missing:
        raise InputError(f"section(s) {', '.join(missing)} have no grid; call sx.pp.rasterize(adata) again")
    section = np.array([order[name] for name in names])[codes]
    used = np.unique(section)
    return [grids[i] for i in used], np.asarray(adata.obsm[PIXEL]), np.searchsorted(used, section)


def read_images(adata: AnnData, *, layer: str | None, config: Config) -> GeneImages:
    """Images of all genes, from the grid that `write_grid` left."""
    check_names(adata)
    grids, pixel, section = read_grid(adata)
    where = Pixels.of([pixel[section == s] for s in range(len(grids))], grids, section)
    sums, is_count = read_sums(adata, layer, where)
    images = where.images(sums.pixels, sums.library, is_count=is_count, theta=config.theta)
    if images.n_pixels < FEWEST_PIXELS:
        raise InputError(
            f"only {images.n_pixels} pixel(s) hold counts; SpaCEX needs at least {FEWEST_PIXELS}: check the counts, "
            "or pass a finer grid to sx.pp.rasterize"
        )
    return images


def check_working_memory(images: GeneImages, what: str) -> None:
    """Raise `InputError` where work on images would not fit in memory."""
    check_memory(
        images.working_bytes,
        what=f"{what} of {images.n_genes} genes on {images.n_pixels} pixels",
        mend="pass a coarser grid (sx.pp.rasterize(adata, grid=...)) or fewer genes, or run it where there is more",
    )


def read_pixel_of_spot(adata: AnnData, images: GeneImages) -> np.ndarray:
    """Tissue pixel (S,) of every spot as a number in the order of `images`; -1 where its pixel holds no counts."""
    _, pixel, section = read_grid(adata)
    canvas = images.canvas
    number = np.full(canvas.shape[0] * canvas.shape[1], -1, dtype=np.int64)
    number[canvas.flat] = np.arange(images.n_pixels)
    return number[pixel[:, 0] * canvas.shape[1] + pixel[:, 1] + canvas.offsets[section]]


def read_pixel_covariates(adata: AnnData, names: Sequence[str], images: GeneImages) -> np.ndarray:
    """Columns of ``obs`` as values (P, c) of tissue pixels: the mean over a pixel's spots."""
    values, pixel = read_covariates(adata, names), read_pixel_of_spot(adata, images)
    return np.stack([mean_by_pixel(column, pixel, images.n_pixels) for column in values.T], axis=1)


def mean_by_pixel(values: np.ndarray, pixel: np.ndarray, n_pixels: int) -> np.ndarray:
    """Mean (P,) of spots' values (S,) in every tissue pixel, from the pixel (S,) of each spot."""
    inside = pixel >= 0
    spots = np.bincount(pixel[inside], minlength=n_pixels)
    return np.bincount(pixel[inside], values[inside], n_pixels) / np.maximum(spots, 1)
