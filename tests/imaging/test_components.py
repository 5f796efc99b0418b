"""Components of residual maps against exact decompositions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.imaging.data import white_noise_genes

from spacex import pp
from spacex.datasets import simulate_section
from spacex.imaging.components import fine_basis, randomized_eigh, smooth_basis
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import Smoother


def smoother_matrix(layout: SectionLayout, sigma: float) -> np.ndarray:
    """Smoother W (P, P), computed from unit vectors."""
    return Smoother(layout, sigma).apply(np.eye(len(layout.section), dtype=np.float32)).T


@pytest.mark.parametrize("n_vectors", [5, 12, 40])
def test_randomized_eigh_equals_exact_eigenvectors(n_vectors: int) -> None:
    rng = np.random.default_rng(0)
    exact = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    spectrum = 10.0 ** -np.arange(12)
    vectors, values = randomized_eigh(lambda basis: (exact * spectrum) @ (exact.T @ basis), 12, n_vectors, seed=0)
    n_vectors = min(n_vectors, 12)
    assert (vectors.shape, vectors.dtype, values.shape) == ((12, n_vectors), np.float32, (n_vectors,))
    np.testing.assert_allclose(values[:4], spectrum[:4], rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(vectors[:, :4] * exact[:, :4], axis=0)), 1.0, atol=1e-5)
    assert (np.diff(values) <= 0).all()


@pytest.fixture(scope="module")
def images() -> GeneImages:
    adata = simulate_section(n_genes=80, n_spots=250, n_modules=4, n_domains=3, seed=2)
    return pp.gene_images(adata)


def test_smooth_basis_equals_exact_svd(images: GeneImages) -> None:
    basis, values = smooth_basis(images, sigma=1.0, n_components=6, seed=0)
    assert basis.shape == (images.n_pixels, 6)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    maps = images.residuals() @ smoother_matrix(images.layout, 1.0).T
    _, singular, right = np.linalg.svd(maps, full_matrices=False)
    exact = right[:6].T
    cosines = np.linalg.svd(basis.T @ exact, compute_uv=False)
    assert cosines[:4].min() > 0.9999
    assert cosines.min() > 0.98
    np.testing.assert_allclose(values, singular[:6] ** 2, rtol=0.01)
    np.testing.assert_allclose(np.linalg.norm(maps @ basis), np.linalg.norm(maps @ exact), rtol=1e-3)


def test_components_are_sorted_with_fixed_signs(images: GeneImages) -> None:
    basis, values = smooth_basis(images, sigma=1.0, n_components=6, seed=0)
    assert (np.diff(values) <= 0).all()
    assert (basis[np.abs(basis).argmax(axis=0), np.arange(6)] > 0).all()


def test_equal_seeds_give_equal_bytes(images: GeneImages) -> None:
    first, second, other = (smooth_basis(images, sigma=1.0, n_components=5, seed=seed)[0] for seed in (0, 0, 1))
    assert first.tobytes() == second.tobytes()
    np.testing.assert_allclose(first[:, :3], other[:, :3], atol=0.02)


def test_appended_genes_count_like_genes(images: GeneImages) -> None:
    joint, values = smooth_basis(images, sigma=1.0, n_components=4, seed=0)
    parts = images.take(np.arange(30)).append(images.counts[:, 30:])
    appended, same = smooth_basis(parts, sigma=1.0, n_components=4, seed=0)
    np.testing.assert_allclose(same, values, rtol=1e-4)
    np.testing.assert_allclose(appended, joint, atol=1e-3)


def test_number_of_components_is_bounded_by_genes() -> None:
    few = pp.gene_images(simulate_section(n_genes=8, n_spots=60, n_modules=2, n_domains=2, seed=0))
    assert smooth_basis(few, sigma=1.0, n_components=48, seed=0)[0].shape == (few.n_pixels, 8)


def test_fine_basis_equals_exact_svd_outside_coarse_span() -> None:
    images = white_noise_genes(300, 0.5)
    coarse = smooth_basis(images, sigma=1.0, n_components=4, seed=0)[0]
    fine = fine_basis(images, coarse, n_components=5, seed=0)
    np.testing.assert_allclose(fine.T @ fine, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(coarse.T @ fine, 0, atol=1e-5)
    maps = images.residuals()
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    exact = np.linalg.svd(maps - (maps @ coarse) @ coarse.T, full_matrices=False)[2][0]
    assert abs(exact @ fine[:, 0]) > 0.999


def test_fine_basis_weights_genes_equally() -> None:
    """A pattern of many genes precedes a stronger pattern of one gene, because maps have unit norm."""
    images = white_noise_genes(90, 0.5)
    counts = images.counts.toarray()
    counts[:, 1] = np.random.default_rng(1).poisson(1.5 * np.exp(1.5 * np.random.default_rng(2).standard_normal(400)))
    images = GeneImages(sp.csc_array(counts), images.library, images.layout)
    maps = images.residuals()
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    assert np.square(images.residuals()[1]).sum() > 2 * np.square(images.residuals()[2]).sum()
    coarse = np.zeros((images.n_pixels, 0), dtype=np.float32)
    fine = fine_basis(images, coarse, n_components=4, seed=0)
    exact = np.linalg.svd(maps, full_matrices=False)[2][0]
    assert abs(exact @ fine[:, 0]) > 0.999
    np.testing.assert_array_equal(fine, fine_basis(images, coarse, n_components=4, seed=0))
    assert (fine != fine_basis(images, coarse, n_components=4, seed=1)).any()
    assert (fine[np.abs(fine).argmax(axis=0), np.arange(4)] > 0).all()
    assert fine_basis(images, coarse, n_components=1, seed=0).shape == (400, 1)


def test_number_of_components_is_bounded_by_pixels() -> None:
    """Maps are centered: P - 1 directions, minus those of the coarse basis."""
    rng = np.random.default_rng(0)
    layout = SectionLayout((Grid((3, 4), "square", 1.0, 1.0),), np.zeros(12, dtype=int), np.argwhere(np.ones((3, 4))))
    counts = rng.poisson(3.0, (12, 40)).astype(np.float32)
    few = GeneImages(sp.csc_array(counts), counts.sum(1).astype(float), layout)
    coarse = smooth_basis(few, sigma=0.5, n_components=30, seed=0)[0]
    assert coarse.shape == (12, 11)
    empty = fine_basis(few, coarse, n_components=5, seed=0)
    assert (empty.shape, empty.dtype) == ((12, 0), np.float32)
    assert fine_basis(few, coarse[:, :10], n_components=5, seed=0).shape == (12, 1)
    assert fine_basis(few, coarse[:, :4], n_components=30, seed=0).shape == (12, 7)
    assert fine_basis(few, coarse[:, :4], n_components=3, seed=0).dtype == np.float32


def test_fine_basis_may_be_empty() -> None:
    few = pp.gene_images(simulate_section(n_genes=8, n_spots=60, n_modules=2, n_domains=2, seed=0))
    coarse = smooth_basis(few, sigma=1.0, n_components=48, seed=0)[0]
    assert fine_basis(few, coarse, n_components=0, seed=0).shape == (few.n_pixels, 0)
    assert fine_basis(few, coarse, n_components=16, seed=0).shape[1] <= 8
