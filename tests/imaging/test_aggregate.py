"""Sums of spots over pixels."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.imaging.data import dense_pixels, gene_images, one_section, poisson_section, square

from spacex.imaging.aggregate import SpotToPixel


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999), n_spots=st.integers(10, 120), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dense=st.booleans(),
)  # fmt: skip
def test_sums_over_pixels_preserve_counts(seed: int, n_spots: int, shape: tuple[int, int], dense: bool) -> None:
    rng = np.random.default_rng(seed)
    counts, pixel, grid = poisson_section(rng, n_spots=n_spots, n_genes=7, shape=shape)
    counts[0] = 1  # not all zero
    library = counts.sum(1) + rng.integers(0, 3, n_spots)  # genes that are not imaged have counts
    matrix = counts.astype(np.float32)
    images = gene_images(
        matrix if dense else sp.csr_array(matrix), library, [pixel], [grid], np.zeros(n_spots, dtype=int)
    )
    np.testing.assert_array_equal(images.counts.sum(axis=0), counts.sum(0))
    assert images.library.sum() == library.sum()
    row, col = images.layout.pixel.T
    np.testing.assert_array_equal(images.counts.toarray(), dense_pixels(counts, pixel, grid)[row, col])
    np.testing.assert_array_equal(images.library, dense_pixels(library, pixel, grid)[row, col])
    assert (images.library > 0).all()
    np.testing.assert_array_equal(images.mask, dense_pixels(library, pixel, grid) > 0)


def test_empty_spots_are_not_tissue(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng, n_spots=100, shape=(5, 20))
    pixel = np.column_stack([np.arange(100) // 20, np.arange(100) % 20])
    counts[[3, 40]] = 0
    images = one_section(counts, pixel, grid)
    assert images.n_pixels == 98
    assert not images.mask[0, 3]
    assert not images.mask[2, 0]
    assert np.isfinite(images.residuals()).all()


def test_intensities_are_averaged(rng: np.random.Generator) -> None:
    values, pixel, grid = rng.random((300, 6)), rng.integers(0, 9, (300, 2)), square(9, 9)
    values[0] = 0
    images = gene_images(
        values.astype(np.float32), values.sum(1), [pixel], [grid], np.zeros(300, dtype=int), is_count=False
    )
    spots = dense_pixels(np.ones(300), pixel, grid)
    row, col = images.layout.pixel.T
    np.testing.assert_allclose(
        images.counts.toarray(),
        (dense_pixels(values, pixel, grid) / np.maximum(spots, 1)[..., None])[row, col],
        rtol=1e-5,
    )
    np.testing.assert_array_equal(images.mask, spots > 0)


def test_sections_do_not_share_pixels(rng: np.random.Generator) -> None:
    section = rng.permutation(np.repeat([0, 1, 2], [7, 5, 9]))
    pixels = [np.column_stack([np.zeros(n, dtype=int), np.arange(n)]) for n in (7, 5, 9)]
    spot_to_pixel = SpotToPixel.from_pixels(pixels, [square(1, 9)] * 3, section)
    assert sorted(spot_to_pixel.pixel_of_spot) == list(range(21))
    np.testing.assert_array_equal(spot_to_pixel.layout.section[spot_to_pixel.pixel_of_spot], section)
    for s in range(3):
        np.testing.assert_array_equal(spot_to_pixel.layout.pixel[spot_to_pixel.pixel_of_spot[section == s]], pixels[s])
