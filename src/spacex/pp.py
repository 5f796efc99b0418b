"""Preprocessing: assignment of spots to pixels, and gene images."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._config import MAX_SIDE, Config
from spacex._infra.errors import InputError
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_int
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
    """Assign every spot to a pixel.

    Spots on a lattice get one pixel each. Visium lattices are read from ``obs["array_row"]`` and ``["array_col"]``,
    others are detected from the coordinates, at any rotation. Free positions (cells, beads) and lattices with more than
    160 spots per side are binned. Pixels contain two spots on average at the median density (`Config.spots_per_pixel`);
    they are larger if a side would have more than 96 pixels (`Config.max_side`).

    Spots with ``obs["in_tissue"] == 0`` (as number, boolean or text) are excluded from this and all later steps; their
    number is logged. If sections overlap, the error names the column of ``obs`` that separates them, if any.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates in ``obsm[spatial_key]``.
    grid
        ``"auto"``; the number of pixels on the longer side; or (rows, columns). With numbers, positions are binned.
    spatial_key
        Key of the coordinates (S, 2) in ``obsm``, in any unit, with the same unit on both axes; or two columns of
        ``obs``, such as ``"x,y"``. If ``obsm["spatial"]`` is missing and there is exactly one other usual key or pair
        of columns, it is used and logged.
    library_key
        Column of ``obs`` with the section of each spot, for several sections. Each section gets its own grid.
    config
        Settings of the method.

    Raises
    ------
    InputError
        If coordinates are missing, not finite, one-dimensional or all equal, if sections overlap, or if `grid` is not
        allowed.

    Notes
    -----
    Writes ``obsm["spacex_pixel"]`` (S, 2), the row and column of each spot's pixel in the grid of its section, (-1, -1)
    for spots off the tissue; and ``uns["spacex"]["grid"]``.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=40, n_spots=300, n_modules=2)
    >>> sx.pp.rasterize(adata)
    >>> adata.obsm["spacex_pixel"].shape
    (300, 2)
    """
    _adata.prepare_adata(adata, writes=True)
    config = resolve_settings(config, Config, name="config")
    size = _check_size(grid)
    spatial_key, xy = _adata.choose_positions(adata, spatial_key)
    _adata.check_n_spots(adata)
    section, names = _adata.read_sections(adata, library_key)
    array = _adata.read_array_positions(adata)
    _adata.check_overlapping_sections(adata, xy, section, array, library_key=library_key)
    pixel, grids = np.full(xy.shape, -1, dtype=np.int64), []
    for s in range(len(names)):
        spots = section == s
        section_grid, pixel[spots] = assign_pixels(
            xy[spots],
            array=array[spots] if array is not None else None,
            size=size,
            max_side=config.max_side,
            spots_per_pixel=config.spots_per_pixel,
        )
        grids.append(section_grid)
    _adata.log_off_tissue(section >= 0)
    _adata.write_grid(adata, grids, pixel, names, spatial_key=spatial_key, library_key=library_key, size=size)


def require_grid(adata: AnnData, *, config: Config, library_key: str | None = None) -> None:
    """Rasterize if there is no grid, or one for another `library_key`, with the arguments of the previous call.

    An existing grid is reused after a check for overlapping sections, because objects may have been concatenated since.
    """
    arguments = _adata.rasterize_arguments(adata)
    if not _adata.has_grid(adata) or library_key not in (None, arguments["library_key"]):
        changed = {} if library_key is None else {"library_key": library_key}
        rasterize(adata, config=config, **{**arguments, **changed})
        return
    spatial_key, library_key = arguments["spatial_key"], arguments["library_key"]
    if _adata.has_positions(adata, spatial_key):
        section, _ = _adata.read_sections(adata, library_key)
        xy, array = _adata.read_positions(adata, spatial_key), _adata.read_array_positions(adata)
        _adata.check_overlapping_sections(adata, xy, section, array, library_key=library_key, quiet=True)


def _check_size(grid: GridSize) -> GridSize:
    if isinstance(grid, tuple) and len(grid) == 2:
        rows, columns = (check_int(grid[i], name=f"grid[{i}]", low=1, high=MAX_SIDE) for i in (0, 1))
        return rows, columns
    if isinstance(grid, tuple) or (isinstance(grid, str) and grid != "auto"):
        raise InputError(f"grid={grid!r} is not allowed; pass 'auto', a number of pixels or (rows, columns)")
    return "auto" if isinstance(grid, str) else check_int(grid, name="grid", low=2, high=MAX_SIDE)


def gene_images(adata: AnnData, *, layer: str | None = None, config: Config | None = None) -> GeneImages:
    """Images of all genes, as used by the model. The section is rasterized if necessary.

    Parameters
    ----------
    adata
        Spots × genes with coordinates.
    layer
        Layer with raw counts; by default that of the embedding, otherwise chosen as in `spacex.tl.embed`.
    config
        Settings of the method.

    Returns
    -------
    `GeneImages`: sparse counts per pixel; ``images.images(genes)`` computes residual images (B, H, W).

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
    config = resolve_settings(config, Config, name="config")
    _adata.check_genes_and_spots(adata)
    with _adata.restore_on_error(adata):
        require_grid(adata, config=config)
        images, _ = _adata.choose_images(adata, layer, config=config)
    return images
