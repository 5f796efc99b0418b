"""Batches, products, scores and selections of gene images."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.imaging.data import one_section, poisson_section

from spacex.imaging.gene_images import BLOCK_GENES


@pytest.mark.parametrize("is_count", [True, False])
def test_maps_do_not_depend_on_batches(rng: np.random.Generator, is_count: bool) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=2 * BLOCK_GENES + 11)
    images = one_section(counts, pixel, grid, is_count=is_count)
    maps_of_all = images.residuals()
    for size in (1, 7, BLOCK_GENES, 1000):
        parts = list(images.batches(size))
        np.testing.assert_array_equal(np.concatenate([maps for _, maps in parts]), maps_of_all)
        assert [genes.start for genes, _ in parts] == list(range(0, images.n_genes, size))
        assert max(len(maps) for _, maps in parts) <= size
    some = rng.permutation(images.n_genes)[:20]
    np.testing.assert_array_equal(images.residuals(some), maps_of_all[some])
    np.testing.assert_array_equal(images.residuals(slice(5, 60, 3)), maps_of_all[5:60:3])


def test_only_sparse_counts_are_stored(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng, n_genes=60)
    images = one_section(counts, pixel, grid)
    stored = sum(v.nbytes for v in vars(images).values() if isinstance(v, np.ndarray))
    assert stored < 40 * images.n_pixels + 40 * images.n_genes
    assert sp.issparse(images.counts)
    assert images.counts.format == "csc"


def test_take_keeps_library_sizes(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    images = one_section(counts, pixel, grid)
    some = np.array([9, 2, 25])
    few = images.take(some)
    assert len(few) == few.n_genes == 3
    np.testing.assert_array_equal(few.library, images.library)
    np.testing.assert_array_equal(few.residuals(), images.residuals(some))
    np.testing.assert_array_equal(few.take(np.array([1])).residuals(), images.residuals(some[1:2]))
    assert images.n_genes == 30


@pytest.mark.parametrize("is_count", [True, False])
def test_append_keeps_library_sizes_and_maps(rng: np.random.Generator, is_count: bool) -> None:
    images = one_section(*poisson_section(rng), is_count=is_count)
    further = sp.csc_array(rng.poisson(0.5, (images.n_pixels, 7)).astype(np.float32))
    both = images.append(further)
    assert both.n_genes == 37
    assert both.is_count == is_count
    assert both.counts.format == "csc"
    np.testing.assert_array_equal(both.library, images.library)
    np.testing.assert_array_equal(both.totals[:, 30:], further.sum(axis=0)[None])
    np.testing.assert_array_equal(both.residuals(slice(30)), images.residuals())
    np.testing.assert_array_equal(both.take(np.arange(30)).counts.toarray(), images.counts.toarray())
    assert images.n_genes == 30


@pytest.mark.parametrize("unit", [False, True])
def test_gram_equals_product_of_maps(rng: np.random.Generator, unit: bool) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0  # a map of zeros
    images = one_section(counts, pixel, grid)
    maps = images.residuals().astype(np.float64)
    basis = rng.normal(size=(images.n_pixels, 3))
    scaled = maps / np.maximum(np.linalg.norm(maps, axis=1, keepdims=True), 1e-6) if unit else maps
    result = images.gram(basis, [slice(0, 7), slice(7, 30)], unit=unit)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, scaled.T @ scaled @ basis, rtol=1e-6, atol=1e-6)
    part = images.gram(basis, [slice(3, 9)], unit=unit)
    np.testing.assert_allclose(part, scaled[3:9].T @ scaled[3:9] @ basis, rtol=1e-6, atol=1e-6)


def test_scores_use_maps_of_mean_square_one(rng: np.random.Generator) -> None:
    counts, pixel, grid = poisson_section(rng)
    counts[:, 4] = 0
    images = one_section(counts, pixel, grid)
    maps, components = images.residuals(), rng.normal(size=(images.n_pixels, 3)).astype(np.float32)
    result = images.scores(components, slice(2, 9))
    scale = np.sqrt(np.mean(maps[2:9].astype(np.float64) ** 2, axis=1, keepdims=True))
    scale[2] = 1.0
    np.testing.assert_allclose(result, maps[2:9] @ components / scale, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(result[2], 0)
    assert result.dtype == np.float64


def test_batch_size_is_bounded_by_values(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    images = one_section(*poisson_section(rng))
    assert images.batch_size(512) == 512
    monkeypatch.setattr("spacex.imaging.gene_images.MAX_BATCH_VALUES", 5 * images.n_pixels + 1)
    assert [images.batch_size(n) for n in (3, 5, 512)] == [3, 5, 5]
    assert [genes for genes, _ in images.batches(512)] == [slice(i, i + 5) for i in range(0, 30, 5)]
    monkeypatch.setattr("spacex.imaging.gene_images.MAX_BATCH_VALUES", 1)
    assert images.batch_size(512) == 1


def test_working_bytes_scale_with_counts_and_pixels(rng: np.random.Generator) -> None:
    images = one_section(*poisson_section(rng))
    half = images.take(np.arange(15))
    for_counts = (images.working_bytes - half.working_bytes) / (images.counts.nnz - half.counts.nnz)
    assert 12 < for_counts < 200  # value, index, and a few copies
    assert 1000 < (images.working_bytes - for_counts * images.counts.nnz) / images.n_pixels < 50_000
