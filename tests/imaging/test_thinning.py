"""Thinning: sums, independence, and random draws that follow genes."""

from __future__ import annotations

import numpy as np
import pytest
from tests.imaging.data import gene_images, one_section, poisson_section, square

from spacex.imaging.aggregate import SpotToPixel


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_parts_sum_to_counts(rng: np.random.Generator, fraction: float) -> None:
    counts, pixel, grid = poisson_section(rng, n_spots=2000, n_genes=100)
    images = one_section(counts, pixel, grid)
    first, second = images.thin(fraction, np.random.default_rng(3))
    np.testing.assert_array_equal((first.counts + second.counts).toarray(), images.counts.toarray())
    np.testing.assert_allclose(first.library + second.library, images.library)
    np.testing.assert_allclose(first.library, fraction * images.library)
    for half in (first, second):
        assert (half.counts.data > 0).all()
        assert (half.counts.data == np.rint(half.counts.data)).all()
        assert half.counts.dtype == images.counts.dtype
        np.testing.assert_array_equal(half.layout.flat, images.layout.flat)
        assert half.theta == images.theta
    total = images.counts.sum()
    spread = float(np.sqrt(fraction * (1 - fraction) / total))
    assert first.counts.sum() / total == pytest.approx(fraction, abs=5 * spread)


def test_thinning_is_reproducible_and_has_no_side_effects(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    before = images.counts.toarray()
    one, again, other = (images.thin(0.5, np.random.default_rng(s))[0].counts.toarray() for s in (1, 1, 2))
    np.testing.assert_array_equal(images.counts.toarray(), before)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_parts_are_independent(fraction: float) -> None:
    """The parts are uncorrelated, although they sum to the counts."""
    rng = np.random.default_rng(8)
    counts, pixel, grid = poisson_section(rng, n_spots=4000, n_genes=150, mean=2.0, shape=(60, 60))
    images = one_section(counts, pixel, grid, theta=1e9)
    first, second = (half.residuals() for half in images.thin(fraction, np.random.default_rng(0)))
    correlation = np.mean(first * second) / np.sqrt(np.mean(first**2) * np.mean(second**2))
    assert abs(correlation) < 4 / np.sqrt(first.size)
    assert np.corrcoef(first.ravel(), images.residuals().ravel())[0, 1] > 0.5  # each is correlated with the whole
    assert first.var() == pytest.approx(1, abs=0.05)
    assert second.var() == pytest.approx(1, abs=0.05)


def test_parts_share_the_pattern(rng: np.random.Generator) -> None:
    xy = np.mgrid[:30, :30].reshape(2, -1).T
    pattern = np.where(xy[:, 0] < 15, 1.5, 0.5)
    counts = np.column_stack([rng.poisson(4 * pattern), *(rng.poisson(4.0, 900) for _ in range(20))])
    halves = [half.residuals()[0] for half in one_section(counts, xy, square(30, 30)).thin(0.5, rng)]
    assert np.corrcoef(*halves)[0, 1] > 0.15


def test_parts_of_intensities_split_the_noise() -> None:
    rng = np.random.default_rng(2)
    xy = np.mgrid[:40, :40].reshape(2, -1).T
    signal = 10 + np.sin(xy[:, 0] / 8)[:, None] + np.zeros((1, 60))
    values = (signal + rng.normal(scale=0.5, size=(1600, 60))).astype(np.float32)
    images = gene_images(values, values.sum(1), [xy], [square(40, 40)], np.zeros(1600, dtype=int), is_count=False)
    fraction = 0.3
    first, second = images.thin(fraction, np.random.default_rng(0))
    np.testing.assert_allclose((first.counts + second.counts).toarray(), values, rtol=1e-5)
    noise = [half.counts.toarray() - part * signal for half, part in ((first, fraction), (second, 1 - fraction))]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03
    assert noise[0].var() == pytest.approx(fraction * 0.25, rel=0.1)
    assert noise[1].var() == pytest.approx((1 - fraction) * 0.25, rel=0.1)


def test_noise_variance_is_estimated_per_gene() -> None:
    """Noise is estimated from neighbors in a row, so that a gradient over rows has no effect."""
    rng = np.random.default_rng(4)
    xy = np.mgrid[:40, :40].reshape(2, -1).T
    order = rng.permutation(1600)  # pixels of unsorted spots
    scale = np.array([0.1, 1.0, 4.0])
    values = (100.0 + 50.0 * xy[:, :1] + rng.normal(size=(1600, 3)) * scale)[order].astype(np.float32)
    spot_to_pixel = SpotToPixel.from_pixels([xy[order]], [square(40, 40)], np.zeros(1600, dtype=int))
    images = spot_to_pixel.gene_images(spot_to_pixel.sum(values), values.sum(1), is_count=False)
    first, second = images.thin(0.5, np.random.default_rng(0))
    for half in (first, second):
        assert half.counts.dtype == images.counts.dtype
        assert half.counts.format == "csc"
    split = first.counts.toarray() - 0.5 * images.counts.toarray()
    # 39 of 40 differences are between neighbors in a row; row ends add the step to the next row.
    steps = (50.0**2 / 40) / 2
    np.testing.assert_allclose(split.std(axis=0), 0.5 * np.sqrt(scale**2 + steps), rtol=0.1)


def test_draws_follow_genes(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    order = rng.permutation(30)
    keys, permuted_keys = (some.draw_keys(np.random.default_rng(3)) for some in (images, images.take(order)))
    np.testing.assert_array_equal(permuted_keys, keys[order])
    assert keys.dtype == np.int64
    assert (keys >= 0).all()
    assert (keys < 2**31).all()
    assert len(np.unique(keys)) == 30
    assert (keys != images.draw_keys(np.random.default_rng(4))).any()
    first, permuted = (
        some.thin(0.5, np.random.default_rng(3))[0].counts.toarray() for some in (images, images.take(order))
    )
    np.testing.assert_array_equal(permuted, first[:, order])


def test_equal_genes_have_equal_draws(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 1] = counts[:, 0]
    images = one_section(counts, pixel, grid)
    halves = [images.thin(0.5, np.random.default_rng(seed))[0].counts.toarray() for seed in (0, 1)]
    np.testing.assert_array_equal(halves[0][:, 0], halves[0][:, 1])  # same counts, same draws
    assert (halves[0][:, 0] != halves[1][:, 0]).any()
