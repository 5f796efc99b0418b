"""Preparation: spots to pixels, and the images of genes."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.validation import check_instance, check_int
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import GridSize, assign_pixels

__all__ = ["gene_images", "rasterize"]


def rasterize(
    adata: AnnData,
    *,
    grid: GridSize = "auto",
    spatial_key: str = "spatial",
    library_key: str | None = None,
    config: Config | None = None,
) -> None:
    """Give every spot a pixel.

    Arrays keep one spot a pixel: Visium's from ``obs["array_row"]`` and ``["array_col"]``, others recognised from
    their coordinates alone, at any rotation. Free positions (cells, beads) and lattices of more than 160 spots a
    side are binned: the pixel is as large as needed to hold two spots at the tissue's median density, and so large
    that no side has more than 96 pixels (`Config.spots_per_pixel`, `Config.max_side`).

    Spots with ``obs["in_tissue"] == 0`` (numbers, booleans or their text) are left out, here and by everything that
    follows, and one line says how many. Sections that lie on top of each other are refused: the error names the column
    that tells them apart, where there is one.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates in ``obsm[spatial_key]``.
    grid
        ``"auto"``; the number of pixels on the longer side; or (rows, columns). Numbers bin the positions.
    spatial_key
        Key of the coordinates (S, 2) in ``obsm``, in any unit, the same on both axes; or two columns of ``obs``, such
        as ``"x,y"``. Where ``obsm["spatial"]`` is missing, the only other usual key or pair of columns is used, and one
        line says which.
    library_key
        Column of ``obs`` that names the section of each spot, where there are several. Each gets a grid of its own.
    config
        Settings of the method.

    Raises
    ------
    InputError
        If coordinates are missing, not finite, in one column or all in one place, sections lie on top of each other, or
        `grid` is not allowed.

    Notes
    -----
    Writes ``obsm["spacex_pixel"]`` (S, 2): row and column of the pixel in its section's grid, (-1, -1) for spots off
    the tissue; and ``uns["spacex"]["grid"]``.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=300, n_modules=2)
    >>> sx.pp.rasterize(adata)
    >>> adata.obsm["spacex_pixel"].shape
    (300, 2)
    """
    _adata.prepare_adata(adata, writes=True)
    config = config if config is not None else Config()
    check_instance(config, Config, name="config")
    size = _check_size(grid)
    spatial_key, xy = _adata.choose_positions(adata, spatial_key)
    _adata.check_n_spots(adata)
    section, names = _adata.read_sections(adata, library_key)
    array = _adata.read_array_positions(adata)
    _adata.check_overlapping_sections(adata, xy, section, array, library_key=library_key)
    pixel, grids = np.full(xy.shape, -1, dtype=np.int64), []
    for s in range(len(names)):
        here = section == s
        found, pixel[here] = assign_pixels(
            xy[here],
            array=array[here] if array is not None else None,
            size=size,
            max_side=config.max_side,
            spots_per_pixel=config.spots_per_pixel,
        )
        grids.append(found)
    _adata.log_off_tissue(section >= 0)
    _adata.write_grid(adata, grids, pixel, names, spatial_key=spatial_key, library_key=library_key, size=size)


def require_grid(adata: AnnData, *, config: Config, library_key: str | None = None) -> None:
    """Rasterize if that was not done, or for another `library_key`, with the coordinates and grid of before.

    A grid from an earlier call serves again; that of objects that were joined since may lie under several sections.
    """
    made = _adata.rasterize_arguments(adata)
    if not _adata.has_grid(adata) or library_key not in (None, made["library_key"]):
        named = {} if library_key is None else {"library_key": library_key}
        rasterize(adata, config=config, **{**made, **named})
        return
    key = made["spatial_key"]
    if _adata.has_positions(adata, key):
        section, _ = _adata.read_sections(adata, made["library_key"])
        xy, array = _adata.read_positions(adata, key), _adata.read_array_positions(adata)
        _adata.check_overlapping_sections(adata, xy, section, array, library_key=made["library_key"], quiet=True)


def _check_size(grid: GridSize) -> GridSize:
    if isinstance(grid, str):
        if grid != "auto":
            raise InputError(f"grid={grid!r} is not allowed; pass 'auto', a number of pixels or (rows, columns)")
        return "auto"
    if isinstance(grid, tuple):
        if len(grid) != 2:
            raise InputError(f"grid={grid!r} is not allowed; pass 'auto', a number of pixels or (rows, columns)")
        return check_int(grid[0], name="grid[0]", low=1, high=2048), check_int(
            grid[1], name="grid[1]", low=1, high=2048
        )
    return check_int(grid, name="grid", low=2, high=2048)


def gene_images(adata: AnnData, *, layer: str | None = None, config: Config | None = None) -> GeneImages:
    """Images of all genes, as the model sees them; rasterizes if that was not done.

    Parameters
    ----------
    adata
        Spots × genes with coordinates.
    layer
        Layer with raw counts; by default that of the embedding, else as `spacex.tl.embed` chooses it.
    config
        Settings of the method.

    Returns
    -------
    `GeneImages`: sparse counts per pixel, from which ``images.images(genes)`` makes residual images (B, H, W).

    Raises
    ------
    InputError
        If the counts or the coordinates cannot be used.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=300, n_modules=2)
    >>> images = sx.pp.gene_images(adata)
    >>> images.images(slice(0, 5)).shape == (5, *images.shape)
    True
    """
    _adata.prepare_adata(adata)
    config = config if config is not None else Config()
    check_instance(config, Config, name="config")
    _adata.check_genes_and_spots(adata)
    with _adata.restore_on_error(adata):
        require_grid(adata, config=config)
        images, _ = _adata.choose_images(adata, layer, config=config)
    return images
