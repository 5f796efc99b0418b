"""Residuals against their definitions, and their distribution under the null."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.imaging.data import gene_images, one_section, poisson_section, square, two_sections

from spacex.imaging.gene_images import BLOCK_GENES, GeneImages
from spacex.imaging.residuals import log_normalize


def naive_residuals(counts: np.ndarray, library: np.ndarray, theta: float) -> np.ndarray:
    """Centered Pearson residuals (G, P) of counts (P, G) of one section, in double precision."""
    mean = np.outer(library / library.sum(), counts.sum(0))
    residual = (counts - mean) / np.sqrt(np.maximum(mean + mean**2 / theta, 1e-12))
    limit = np.sqrt(len(counts))
    residual = np.clip(residual, -limit, limit)
    return (residual - residual.mean(0)).T


@pytest.mark.parametrize("theta", [1.0, 100.0, 1e6])
@pytest.mark.parametrize("mean", [0.02, 1.0, 30.0])
def test_pearson_residuals_equal_definition(rng: np.random.Generator, theta: float, mean: float) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=BLOCK_GENES + 5, mean=mean)
    images = one_section(counts, pixel, grid, theta=theta)
    expected = naive_residuals(images.counts.toarray().astype(float), images.library, theta)
    result = images.residuals()
    assert result.dtype == np.float32
    assert result.shape == (BLOCK_GENES + 5, images.n_pixels)
    np.testing.assert_allclose(result, expected, atol=2e-4, rtol=2e-4)
    np.testing.assert_allclose(result.mean(axis=1), 0, atol=1e-5)


def test_residuals_are_clipped_before_they_are_centered(rng: np.random.Generator) -> None:
    counts = rng.poisson(0.5, (100, 4))
    counts[7, 0] = 100_000  # nearly all counts of the gene are in one pixel
    counts[:, 1] = 0
    counts[50, 1] = 3
    counts[:, 3] += 100_000  # the library size hardly depends on the outlier
    pixel = np.column_stack([np.arange(100) // 10, np.arange(100) % 10])
    images = one_section(counts, pixel, square(10, 10))
    expected = naive_residuals(counts.astype(float), counts.sum(1).astype(float), 100.0)
    np.testing.assert_allclose(images.residuals(), expected, atol=1e-3, rtol=1e-3)
    raw = images.residuals() - images.residuals().min(axis=1, keepdims=True)
    assert raw[1].max() < 10 + 1.5  # the square root of 100 pixels, above a small negative minimum


def test_absent_gene_has_zero_map(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0
    maps = one_section(counts, pixel, grid).residuals()
    np.testing.assert_array_equal(maps[4], 0)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("mean", [0.2, 2.0, 10.0])
def test_noise_has_unit_variance_and_no_library_effect(mean: float) -> None:
    rng = np.random.default_rng(5)
    counts, pixel, grid = poisson_section(rng, n_spots=3000, n_genes=200, mean=mean, shape=(30, 30))
    images = one_section(counts, pixel, grid, theta=1e9)
    expressed = counts.sum(0) > 300
    maps = images.residuals()[expressed]
    assert maps.var() == pytest.approx(1.0, abs=0.03)
    assert np.quantile(maps.var(axis=1), [0.05, 0.95]) == pytest.approx([1.0, 1.0], abs=0.2)
    library = images.library - images.library.mean()
    slope = maps @ library / np.linalg.norm(library)
    assert np.mean(slope**2) == pytest.approx(1.0, abs=0.35)  # a gene that depends on library size would have hundreds


def test_overdispersed_noise_has_unit_variance_at_true_theta(rng: np.random.Generator) -> None:
    library = rng.lognormal(0, 0.4, 4000)
    mean = 5.0 * np.outer(library, np.ones(20))
    counts = rng.poisson(mean * rng.gamma(10.0, 0.1, mean.shape))
    pixel = np.column_stack([np.arange(4000) // 80, np.arange(4000) % 80])
    images = gene_images(
        counts.astype(np.float32), 1000 * library, [pixel], [square(50, 80)], np.zeros(4000, dtype=int), theta=10.0
    )
    assert images.residuals().var() == pytest.approx(1.0, abs=0.05)


def test_intensities_give_z_scores(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, size=(200, 5)).astype(np.float32)
    values[:, 4] = 3.0  # constant
    pixel = np.column_stack([np.arange(200) // 20, np.arange(200) % 20])
    images = gene_images(values, values.sum(1), [pixel], [square(10, 20)], np.zeros(200, dtype=int), is_count=False)
    maps = images.residuals()
    varied = values[:, :4]
    expected = ((varied - varied.mean(0)) / varied.std(0)).T
    np.testing.assert_allclose(maps[:4], expected, atol=1e-4)
    np.testing.assert_array_equal(maps[4], 0)


def test_z_scores_are_computed_within_sections(rng: np.random.Generator) -> None:
    both, _ = two_sections(rng, is_count=False)
    maps, plain = both.residuals(), both.counts.toarray().T
    for s in range(2):
        pixels = both.layout.section == s
        expected = plain[:, pixels] - plain[:, pixels].mean(axis=1, keepdims=True)
        np.testing.assert_allclose(maps[:, pixels], expected / plain[:, pixels].std(axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_array_equal(both.lognorm(np.array([4, 1])), both.residuals(np.array([4, 1])))


@pytest.mark.parametrize("with_library", [False, True])
def test_log_normalized_values_are_at_the_median_library(rng: np.random.Generator, with_library: bool) -> None:
    counts = rng.poisson(0.3, (9, 6)).astype(np.float64)
    counts[2] = 0
    counts[5] = [0.25, 0, 0, 0.5, 0, 0]  # a library below one
    matrix = sp.csr_matrix(counts)
    library = counts.sum(axis=1) + (rng.random(9) if with_library else 0.0)
    result = log_normalize(matrix, library if with_library else None)
    assert (result.dtype, result.format, result.nnz) == (np.float32, "csr", matrix.nnz)
    median = np.median(library[library > 0])
    expected = np.log1p(counts * median / np.where(library > 0, library, 1.0)[:, None])
    np.testing.assert_allclose(result.toarray(), expected, rtol=1e-6)
    np.testing.assert_array_equal(matrix.toarray(), counts)
    single = matrix.astype(np.float32)
    log_normalize(single)
    np.testing.assert_array_equal(single.toarray(), counts.astype(np.float32))  # the argument is not changed


def test_lognorm_is_log1p_of_counts_at_the_median_library_centered(rng: np.random.Generator) -> None:
    images, parts = two_sections(rng)
    counts, library = images.counts.toarray().T, images.library
    expected = np.log1p(counts / library * np.median(library))
    for s in range(len(parts)):
        pixels = images.layout.section == s
        expected[:, pixels] -= expected[:, pixels].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(images.lognorm(), expected, atol=1e-5)
    np.testing.assert_allclose(images.lognorm(np.array([2, 0])), expected[[2, 0]], atol=1e-5)


def test_residuals_of_sections_are_independent(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    maps = both.residuals()
    for s, single in enumerate(alone):
        pixels = both.layout.section == s
        np.testing.assert_array_equal(both.layout.pixel[pixels], single.layout.pixel)
        np.testing.assert_allclose(maps[:, pixels], single.residuals(), atol=1e-5)


def test_clipping_limit_follows_section(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    single = alone[0]
    counts = single.counts.toarray()
    counts[5, 3] = 500  # far above the limit
    alone_maps = GeneImages(sp.csc_array(counts), single.library, single.layout).residuals()
    pixels = both.layout.section == 0
    joint = both.counts.toarray()
    joint[pixels] = counts
    maps = GeneImages(sp.csc_array(joint), both.library, both.layout).residuals()
    np.testing.assert_allclose(maps[:, pixels], alone_maps, atol=1e-5)
