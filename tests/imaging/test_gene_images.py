"""Counts are summed into pixels without loss; residuals are the textbook's; thinned halves are independent."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spacex.imaging.aggregate import SpotToPixel
from spacex.imaging.gene_images import BLOCK_GENES, GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout, section_means
from spacex.imaging.residuals import log_normalize


def gene_images(
    matrix: object, library: np.ndarray, pixels: list[np.ndarray], grids: list[Grid], section: np.ndarray,
    **settings_: object,
) -> GeneImages:  # fmt: skip
    """Images of a matrix (S, G) whose spots have known library sizes, pixels and sections."""
    where = SpotToPixel.from_pixels(pixels, grids, section)
    return where.gene_images(where.sum(matrix), library, **settings_)


def square(height: int, width: int) -> Grid:
    return Grid((height, width), "square", 1.0, 1.0)


def poisson_section(
    rng: np.random.Generator,
    *,
    n_spots: int = 400,
    n_genes: int = 30,
    mean: float = 1.0,
    shape: tuple[int, int] = (12, 14),
) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Counts (S, G) whose mean is library size x gene total and nothing else, and the pixel (S, 2) of every spot."""
    library = rng.lognormal(0, 0.5, n_spots)
    gene = rng.lognormal(0, 1, n_genes)
    counts = rng.poisson(mean * np.outer(library / library.mean(), gene / gene.mean()))
    return counts, np.column_stack([rng.integers(0, side, n_spots) for side in shape]), square(*shape)


def one_section(counts: np.ndarray, pixel: np.ndarray, grid: Grid, **settings_: object) -> GeneImages:
    section = np.zeros(len(counts), dtype=int)
    return gene_images(sp.csr_array(counts.astype(np.float32)), counts.sum(1), [pixel], [grid], section, **settings_)


def dense_pixels(values: np.ndarray, pixel: np.ndarray, grid: Grid) -> np.ndarray:
    """Sums (H, W, ...) of the values of spots in the pixels of a grid, the plain way."""
    out = np.zeros((*grid.shape, *values.shape[1:]))
    np.add.at(out, tuple(pixel.T), values)
    return out


def naive_residuals(counts: np.ndarray, library: np.ndarray, theta: float) -> np.ndarray:
    """Centred Pearson residuals (G, P) of counts (P, G) of one section, in double precision."""
    mean = np.outer(library / library.sum(), counts.sum(0))
    residual = (counts - mean) / np.sqrt(np.maximum(mean + mean**2 / theta, 1e-12))
    limit = np.sqrt(len(counts))
    residual = np.clip(residual, -limit, limit)
    return (residual - residual.mean(0)).T


# -- sums --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999), n_spots=st.integers(10, 120), shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dense=st.booleans(),
)  # fmt: skip
def test_nothing_is_lost_in_the_pixels(seed: int, n_spots: int, shape: tuple[int, int], dense: bool) -> None:
    rng = np.random.default_rng(seed)
    counts, pixel, grid = poisson_section(rng, n_spots=n_spots, n_genes=7, shape=shape)
    counts[0] = 1  # not all zero
    library = counts.sum(1) + rng.integers(0, 3, n_spots)  # genes that are not imaged have counts too
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


def test_intensities_are_averaged_and_empty_spots_stay(rng: np.random.Generator) -> None:
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


# -- residuals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", [1.0, 100.0, 1e6])
@pytest.mark.parametrize("mean", [0.02, 1.0, 30.0])
def test_residuals_are_the_textbook_s(rng: np.random.Generator, theta: float, mean: float) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=BLOCK_GENES + 5, mean=mean)
    images = one_section(counts, pixel, grid, theta=theta)
    expected = naive_residuals(images.counts.toarray().astype(float), images.library, theta)
    found = images.residuals()
    assert found.dtype == np.float32
    assert found.shape == (BLOCK_GENES + 5, images.n_pixels)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=2e-4)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)


def test_residuals_are_clipped_before_they_are_centred(rng: np.random.Generator) -> None:
    counts = rng.poisson(0.5, (100, 4))
    counts[7, 0] = 100_000  # one pixel holds nearly all of the gene
    counts[:, 1] = 0
    counts[50, 1] = 3
    counts[:, 3] += 100_000  # so that the library hardly follows the outlier
    pixel = np.column_stack([np.arange(100) // 10, np.arange(100) % 10])
    images = one_section(counts, pixel, square(10, 10))
    expected = naive_residuals(counts.astype(float), counts.sum(1).astype(float), 100.0)
    np.testing.assert_allclose(images.residuals(), expected, atol=1e-3, rtol=1e-3)
    raw = images.residuals() - images.residuals().min(axis=1, keepdims=True)
    assert raw[1].max() < 10 + 1.5  # the square root of 100 pixels, above a small negative floor


def test_a_gene_that_is_absent_has_an_empty_map(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0
    maps = one_section(counts, pixel, grid).residuals()
    np.testing.assert_array_equal(maps[4], 0)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("mean", [0.2, 2.0, 10.0])
def test_noise_has_variance_one_and_follows_no_library(mean: float) -> None:
    rng = np.random.default_rng(5)
    counts, pixel, grid = poisson_section(rng, n_spots=3000, n_genes=200, mean=mean, shape=(30, 30))
    images = one_section(counts, pixel, grid, theta=1e9)
    expressed = counts.sum(0) > 300
    maps = images.residuals()[expressed]
    assert maps.var() == pytest.approx(1.0, abs=0.03)
    assert np.quantile(maps.var(axis=1), [0.05, 0.95]) == pytest.approx([1.0, 1.0], abs=0.2)
    library = images.library - images.library.mean()
    slope = maps @ library / np.linalg.norm(library)
    assert np.mean(slope**2) == pytest.approx(1.0, abs=0.35)  # as of noise: a gene that followed it would have hundreds


def test_overdispersed_noise_has_variance_one_at_its_own_theta(rng: np.random.Generator) -> None:
    library = rng.lognormal(0, 0.4, 4000)
    mean = 5.0 * np.outer(library, np.ones(20))
    counts = rng.poisson(mean * rng.gamma(10.0, 0.1, mean.shape))
    pixel = np.column_stack([np.arange(4000) // 80, np.arange(4000) % 80])
    images = gene_images(
        counts.astype(np.float32), 1000 * library, [pixel], [square(50, 80)], np.zeros(4000, dtype=int), theta=10.0
    )
    assert images.residuals().var() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("is_count", [True, False])
def test_a_batch_does_not_depend_on_the_batch(rng: np.random.Generator, is_count: bool) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=2 * BLOCK_GENES + 11)
    images = one_section(counts, pixel, grid, is_count=is_count)
    whole = images.residuals()
    for size in (1, 7, BLOCK_GENES, 1000):
        parts = list(images.batches(size))
        np.testing.assert_array_equal(np.concatenate([maps for _, maps in parts]), whole)
        assert [genes.start for genes, _ in parts] == list(range(0, images.n_genes, size))
        assert max(len(maps) for _, maps in parts) <= size
    some = rng.permutation(images.n_genes)[:20]
    np.testing.assert_array_equal(images.residuals(some), whole[some])
    np.testing.assert_array_equal(images.residuals(slice(5, 60, 3)), whole[5:60:3])


def test_images_never_lie_in_memory_whole(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=60)
    images = one_section(counts, pixel, grid)
    stored = sum(v.nbytes for v in vars(images).values() if isinstance(v, np.ndarray))
    assert stored < 40 * images.n_pixels + 40 * images.n_genes
    assert sp.issparse(images.counts)
    assert images.counts.format == "csc"


def test_take_keeps_the_libraries_of_all_genes(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    images = one_section(counts, pixel, grid)
    some = np.array([9, 2, 25])
    few = images.take(some)
    assert len(few) == few.n_genes == 3
    np.testing.assert_array_equal(few.library, images.library)
    np.testing.assert_array_equal(few.residuals(), images.residuals(some))
    np.testing.assert_array_equal(few.take(np.array([1])).residuals(), images.residuals(some[1:2]))
    assert images.n_genes == 30


def test_intensities_become_z_scores(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=(200, 5)).astype(np.float32)
    values[:, 4] = 3.0  # constant: no pattern, and no division by zero
    pixel = np.column_stack([np.arange(200) // 20, np.arange(200) % 20])
    images = gene_images(values, values.sum(1), [pixel], [square(10, 20)], np.zeros(200, dtype=int), is_count=False)
    maps = images.residuals()
    varied = values[:, :4]
    expected = ((varied - varied.mean(0)) / varied.std(0)).T
    np.testing.assert_allclose(maps[:4], expected, atol=1e-4)
    np.testing.assert_array_equal(maps[4], 0)


def test_intensities_are_z_scores_in_each_section(rng: np.random.Generator) -> None:
    both, _ = two_sections(rng, is_count=False)
    maps, plain = both.residuals(), both.counts.toarray().T
    for s in range(2):
        here = both.layout.section == s
        want = plain[:, here] - plain[:, here].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(maps[:, here], want / plain[:, here].std(axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_array_equal(both.lognorm(np.array([4, 1])), both.residuals(np.array([4, 1])))


# -- products that stream ----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [False, True])
def test_products_are_those_of_the_maps(rng: np.random.Generator, unit: bool) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0  # a map of zeros has no direction
    images = one_section(counts, pixel, grid)
    maps = images.residuals().astype(np.float64)
    basis = rng.normal(size=(images.n_pixels, 3))
    scaled = maps / np.maximum(np.linalg.norm(maps, axis=1, keepdims=True), 1e-6) if unit else maps
    found = images.gram(basis, [slice(0, 7), slice(7, 30)], unit=unit)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, scaled.T @ scaled @ basis, rtol=1e-6, atol=1e-6)
    part = images.gram(basis, [slice(3, 9)], unit=unit)
    np.testing.assert_allclose(part, scaled[3:9].T @ scaled[3:9] @ basis, rtol=1e-6, atol=1e-6)


def test_scores_are_of_maps_of_mean_square_one(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0
    images = one_section(counts, pixel, grid)
    maps, components = images.residuals(), rng.normal(size=(images.n_pixels, 3)).astype(np.float32)
    found = images.scores(components, slice(2, 9))
    scale = np.sqrt(np.mean(maps[2:9].astype(np.float64) ** 2, axis=1, keepdims=True))
    scale[2] = 1.0
    np.testing.assert_allclose(found, maps[2:9] @ components / scale, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found[2], 0)
    assert found.dtype == np.float64


def test_batches_shrink_where_there_are_many_pixels(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    images = one_section(*poisson_section(rng))
    assert images.batch_size(512) == 512
    monkeypatch.setattr("spacex.imaging.gene_images.MAX_BATCH_VALUES", 5 * images.n_pixels + 1)
    assert [images.batch_size(most) for most in (3, 5, 512)] == [3, 5, 5]
    assert [genes for genes, _ in images.batches(512)] == [slice(i, i + 5) for i in range(0, 30, 5)]
    monkeypatch.setattr("spacex.imaging.gene_images.MAX_BATCH_VALUES", 1)
    assert images.batch_size(512) == 1


def test_work_needs_memory_for_every_count_and_pixel(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    half = images.take(np.arange(15))
    for_counts = (images.working_bytes - half.working_bytes) / (images.counts.nnz - half.counts.nnz)
    assert 12 < for_counts < 200  # a value and its place, and a few copies
    assert 1000 < (images.working_bytes - for_counts * images.counts.nnz) / images.n_pixels < 50_000


# -- log-normalised values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [False, True])
def test_log_normalised_values_are_at_the_median_library(rng: np.random.Generator, given: bool) -> None:
    counts = rng.poisson(0.3, (9, 6)).astype(np.float64)
    counts[2] = 0
    counts[5] = [0.25, 0, 0, 0.5, 0, 0]  # a library below one
    matrix = sp.csr_matrix(counts)
    library = counts.sum(axis=1) + (rng.random(9) if given else 0.0)
    found = log_normalize(matrix, library if given else None)
    assert (found.dtype, found.format, found.nnz) == (np.float32, "csr", matrix.nnz)
    median = np.median(library[library > 0])
    want = np.log1p(counts * median / np.where(library > 0, library, 1.0)[:, None])
    np.testing.assert_allclose(found.toarray(), want, rtol=1e-6)
    np.testing.assert_array_equal(matrix.toarray(), counts)
    single = matrix.astype(np.float32)
    log_normalize(single)
    np.testing.assert_array_equal(single.toarray(), counts.astype(np.float32))  # the caller's is left alone


# -- layout ------------------------------------------------------------------------------------------------


def test_lognorm_is_log1p_of_counts_at_the_median_library_centred(rng: np.random.Generator) -> None:
    images, parts = two_sections(rng)
    counts, library = images.counts.toarray().T, images.library
    want = np.log1p(counts / library * np.median(library))
    for s in range(len(parts)):
        here = images.layout.section == s
        want[:, here] -= want[:, here].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(images.lognorm(), want, atol=1e-5)
    np.testing.assert_allclose(images.lognorm(np.array([2, 0])), want[[2, 0]], atol=1e-5)


def two_sections(rng: np.random.Generator, **settings_: object) -> tuple[GeneImages, list[GeneImages]]:
    """Two sections of unlike size and depth, mixed in order, and each of them alone."""
    first, second = poisson_section(rng, n_spots=300), poisson_section(rng, n_spots=200, mean=4.0, shape=(17, 6))
    order = rng.permutation(500)
    section = np.repeat([0, 1], [300, 200])[order]
    counts = np.vstack([first[0], second[0]])[order].astype(np.float32)
    pixels = [(p[1])[order[section == s] - 300 * s] for s, p in enumerate((first, second))]
    grids = [first[2], second[2]]
    both = gene_images(sp.csr_array(counts), counts.sum(1), pixels, grids, section, **settings_)
    return both, [one_section(*first), one_section(*second)]


def test_sections_do_not_see_each_other(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    maps = both.residuals()
    for s, single in enumerate(alone):
        here = both.layout.section == s
        np.testing.assert_array_equal(both.layout.pixel[here], single.layout.pixel)
        np.testing.assert_allclose(maps[:, here], single.residuals(), atol=1e-5)


def test_three_sections_have_pixels_of_their_own(rng: np.random.Generator) -> None:
    section = rng.permutation(np.repeat([0, 1, 2], [7, 5, 9]))
    pixels = [np.column_stack([np.zeros(n, dtype=int), np.arange(n)]) for n in (7, 5, 9)]
    where = SpotToPixel.from_pixels(pixels, [square(1, 9)] * 3, section)
    assert sorted(where.pixel_of_spot) == list(range(21))
    np.testing.assert_array_equal(where.layout.section[where.pixel_of_spot], section)
    for s in range(3):
        np.testing.assert_array_equal(where.layout.pixel[where.pixel_of_spot[section == s]], pixels[s])


def test_clipping_follows_the_section_too(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    single = alone[0]
    counts = single.counts.toarray()
    counts[5, 3] = 500  # far beyond the square root of the number of pixels
    alone_maps = GeneImages(sp.csc_array(counts), single.library, single.layout).residuals()
    here = both.layout.section == 0
    joint = both.counts.toarray()
    joint[here] = counts
    maps = GeneImages(sp.csc_array(joint), both.library, both.layout).residuals()
    np.testing.assert_allclose(maps[:, here], alone_maps, atol=1e-5)


def test_sections_stand_side_by_side(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    assert both.shape == (17, 14 + 1 + 6)
    assert both.layout.offsets.tolist() == [0, 15]
    np.testing.assert_array_equal(both.mask[:12, :14], alone[0].mask)
    np.testing.assert_array_equal(both.mask[:, 15:], alone[1].mask)
    assert not both.mask[:, 14].any()
    assert not both.mask[12:, :14].any()
    images = both.images(slice(0, 3))
    np.testing.assert_allclose(images[:, :12, :14], alone[0].images(slice(0, 3)), atol=1e-5)
    np.testing.assert_allclose(images[:, :, 15:], alone[1].images(slice(0, 3)), atol=1e-5)


def test_paint_mask_and_pixels_agree(rng: np.random.Generator) -> None:
    both, _ = two_sections(rng)
    values = 1 + rng.random((4, both.n_pixels))
    painted = both.layout.to_images(values)
    assert painted.dtype == values.dtype
    np.testing.assert_array_equal(painted != 0, np.broadcast_to(both.mask, painted.shape))
    np.testing.assert_array_equal(painted.reshape(4, -1)[:, both.layout.flat], values)
    assert len(np.unique(both.layout.flat)) == both.n_pixels
    images = both.images(np.array([3, 1]))
    np.testing.assert_array_equal(images.reshape(2, -1)[:, both.layout.flat], both.residuals(np.array([3, 1])))
    assert images.dtype == np.float32
    assert not images[:, ~both.mask].any()


def test_means_of_sections(rng: np.random.Generator) -> None:
    values, section = rng.random((3, 50)), rng.integers(0, 3, 50)
    expected = np.column_stack([values[:, section == s].mean(1) for s in range(3)])
    np.testing.assert_allclose(section_means(values, section, 3), expected)
    np.testing.assert_allclose(section_means(values, np.zeros(50, dtype=int), 1), values.mean(1, keepdims=True))


def test_means_of_sections_in_order_and_of_none(rng: np.random.Generator) -> None:
    values, section = rng.random((3, 50)), np.sort(rng.choice([0, 2, 3], 50))  # as pixels stand; there is no 1
    expected = np.column_stack([values[:, section == s].mean(1) if s != 1 else np.zeros(3) for s in range(5 - 1)])
    np.testing.assert_allclose(section_means(values, section, 4), expected)
    np.testing.assert_allclose(section_means(values, section[::-1], 4)[:, 1], 0)
    assert section_means(values, section, 6).shape == (3, 6)
    alone = np.array([0, 0, 1])  # a section of one pixel
    np.testing.assert_allclose(section_means(values[:, :3], alone, 2)[:, 1], values[:, 2])


def test_one_layout_of_one_pixel() -> None:
    layout = SectionLayout((square(1, 1),), np.array([0]), np.array([[0, 0]]))
    assert layout.shape == (1, 1)
    assert layout.mask.all()
    np.testing.assert_array_equal(layout.to_images(np.array([[2.0]])), [[[2.0]]])


# -- thinning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_thinned_halves_sum_to_the_whole(rng: np.random.Generator, fraction: float) -> None:
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


def test_thinning_leaves_the_whole_alone_and_follows_its_generator(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    before = images.counts.toarray()
    one, again, other = (images.thin(0.5, np.random.default_rng(s))[0].counts.toarray() for s in (1, 1, 2))
    np.testing.assert_array_equal(images.counts.toarray(), before)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_thinned_halves_are_independent(fraction: float) -> None:
    """Noise of the one says nothing of the noise of the other, although both together make the whole."""
    rng = np.random.default_rng(8)
    counts, pixel, grid = poisson_section(rng, n_spots=4000, n_genes=150, mean=2.0, shape=(60, 60))
    images = one_section(counts, pixel, grid, theta=1e9)
    first, second = (half.residuals() for half in images.thin(fraction, np.random.default_rng(0)))
    correlation = np.mean(first * second) / np.sqrt(np.mean(first**2) * np.mean(second**2))
    assert abs(correlation) < 4 / np.sqrt(first.size)
    assert np.corrcoef(first.ravel(), images.residuals().ravel())[0, 1] > 0.5  # but each is like the whole
    assert first.var() == pytest.approx(1, abs=0.05)
    assert second.var() == pytest.approx(1, abs=0.05)


def test_thinned_halves_share_the_pattern(rng: np.random.Generator) -> None:
    xy = np.mgrid[:30, :30].reshape(2, -1).T
    pattern = np.where(xy[:, 0] < 15, 1.5, 0.5)
    counts = np.column_stack([rng.poisson(4 * pattern), *(rng.poisson(4.0, 900) for _ in range(20))])
    halves = [half.residuals()[0] for half in one_section(counts, xy, square(30, 30)).thin(0.5, rng)]
    assert np.corrcoef(*halves)[0, 1] > 0.15


def test_thinned_intensities_sum_to_the_whole_and_split_the_noise() -> None:
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


def test_the_noise_of_intensities_is_each_gene_s_own() -> None:
    """It is taken from neighbours in a row, so that a gradient down the rows counts for nothing."""
    rng = np.random.default_rng(4)
    xy = np.mgrid[:40, :40].reshape(2, -1).T
    order = rng.permutation(1600)  # pixels of unsorted spots
    scale = np.array([0.1, 1.0, 4.0])
    values = (100.0 + 50.0 * xy[:, :1] + rng.normal(size=(1600, 3)) * scale)[order].astype(np.float32)
    where = SpotToPixel.from_pixels([xy[order]], [square(40, 40)], np.zeros(1600, dtype=int))
    images = where.gene_images(where.sum(values), values.sum(1), is_count=False)
    first, second = images.thin(0.5, np.random.default_rng(0))
    for half in (first, second):
        assert half.counts.dtype == images.counts.dtype
        assert half.counts.format == "csc"
    split = first.counts.toarray() - 0.5 * images.counts.toarray()
    # 39 of 40 differences are of neighbours in a row; the ends of rows add the step to the next one.
    steps = (50.0**2 / 40) / 2
    np.testing.assert_allclose(split.std(axis=0), 0.5 * np.sqrt(scale**2 + steps), rtol=0.1)


def test_draws_stay_with_their_gene(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    order = rng.permutation(30)
    keys, moved = (some.draw_keys(np.random.default_rng(3)) for some in (images, images.take(order)))
    np.testing.assert_array_equal(moved, keys[order])
    assert keys.dtype == np.int64
    assert (keys >= 0).all()
    assert (keys < 2**31).all()
    assert len(np.unique(keys)) == 30
    assert (keys != images.draw_keys(np.random.default_rng(4))).any()
    first, turned = (
        some.thin(0.5, np.random.default_rng(3))[0].counts.toarray() for some in (images, images.take(order))
    )
    np.testing.assert_array_equal(turned, first[:, order])


def test_two_genes_of_the_same_counts_and_another_seed(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 1] = counts[:, 0]
    images = one_section(counts, pixel, grid)
    halves = [images.thin(0.5, np.random.default_rng(seed))[0].counts.toarray() for seed in (0, 1)]
    np.testing.assert_array_equal(halves[0][:, 0], halves[0][:, 1])  # the same counts, the same draws
    assert (halves[0][:, 0] != halves[1][:, 0]).any()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
