"""Simulated sections for the tests of imaging."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from spacex import pp
from spacex.imaging.aggregate import SpotToPixel
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout


def gene_images(
    matrix: object, library: np.ndarray, pixels: list[np.ndarray], grids: list[Grid], section: np.ndarray,
    **settings: object,
) -> GeneImages:  # fmt: skip
    """Return images of counts (S, G) from library sizes, pixels and sections of the spots."""
    spot_to_pixel = SpotToPixel.from_pixels(pixels, grids, section)
    return spot_to_pixel.gene_images(spot_to_pixel.sum(matrix), library, **settings)


def square(height: int, width: int) -> Grid:
    return Grid((height, width), "square", 1.0, 1.0)


def layout_of(
    *kinds: str, shape: tuple[int, int] = (9, 7), n_pixels: int = 45, pitch: float = 10.0, seed: int = 0
) -> SectionLayout:
    """One section for each kind of grid: `n_pixels` random pixels of a grid of that kind and shape."""
    rng = np.random.default_rng(seed)
    aspect = {"hex": np.sqrt(0.75), "square": 1.0, "bins": 1.3}
    grids = tuple(Grid(shape, kind, aspect[kind], pitch) for kind in kinds)
    chosen = [np.sort(rng.permutation(shape[0] * shape[1])[:n_pixels]) for _ in kinds]
    pixel = np.concatenate([np.column_stack(np.divmod(flat, shape[1])) for flat in chosen])
    return SectionLayout(grids, np.repeat(np.arange(len(kinds)), n_pixels), pixel)


def poisson_section(
    rng: np.random.Generator,
    *,
    n_spots: int = 400,
    n_genes: int = 30,
    mean: float = 1.0,
    shape: tuple[int, int] = (12, 14),
) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Counts (S, G) with mean library size x gene total, the pixel (S, 2) of each spot, and the grid."""
    library = rng.lognormal(0, 0.5, n_spots)
    gene = rng.lognormal(0, 1, n_genes)
    counts = rng.poisson(mean * np.outer(library / library.mean(), gene / gene.mean()))
    return counts, np.column_stack([rng.integers(0, side, n_spots) for side in shape]), square(*shape)


def one_section(counts: np.ndarray, pixel: np.ndarray, grid: Grid, **settings: object) -> GeneImages:
    section = np.zeros(len(counts), dtype=int)
    return gene_images(sp.csr_array(counts.astype(np.float32)), counts.sum(1), [pixel], [grid], section, **settings)


def white_noise_genes(n_genes: int, effect: float, *, every: int = 3) -> GeneImages:
    """Poisson counts on 20 x 20 spots; one gene in `every` follows a shared map of white noise, times `effect`."""
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal(400)
    rate = np.exp(np.where(np.arange(n_genes) % every == 0, effect, 0.0)[None] * pattern[:, None])
    counts = rng.poisson(1.5 * rate).astype(np.float32)
    return pp.gene_images(AnnData(counts, obsm={"spatial": np.argwhere(np.ones((20, 20))).astype(float)}))


def dense_pixels(values: np.ndarray, pixel: np.ndarray, grid: Grid) -> np.ndarray:
    """Sums (H, W, ...) of the values of spots in the pixels of a grid."""
    out = np.zeros((*grid.shape, *values.shape[1:]))
    np.add.at(out, tuple(pixel.T), values)
    return out


def two_sections(rng: np.random.Generator, **settings: object) -> tuple[GeneImages, list[GeneImages]]:
    """Two sections of different size and depth with mixed order of spots, and each section alone."""
    first, second = poisson_section(rng, n_spots=300), poisson_section(rng, n_spots=200, mean=4.0, shape=(17, 6))
    order = rng.permutation(500)
    section = np.repeat([0, 1], [300, 200])[order]
    counts = np.vstack([first[0], second[0]])[order].astype(np.float32)
    pixels = [(p[1])[order[section == s] - 300 * s] for s, p in enumerate((first, second))]
    grids = [first[2], second[2]]
    both = gene_images(sp.csr_array(counts), counts.sum(1), pixels, grids, section, **settings)
    return both, [one_section(*first), one_section(*second)]
