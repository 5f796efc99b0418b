"""Smoothing equals the matrix it stands for on every grid; the smooth basis is that of the exact SVD."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from spacex import pp
from spacex.datasets import simulate_section
from spacex.imaging.components import fine_basis, randomized_eigh, smooth_basis
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import NeighborMean, Smoother

SIGMAS = (0.3, 1.0, 2.7, 40.0)


def layout_of(*kinds: str, seed: int = 0) -> SectionLayout:
    """One section of 9 x 7 pixels with holes for each kind of grid."""
    rng = np.random.default_rng(seed)
    aspect = {"hex": np.sqrt(0.75), "square": 1.0, "bins": 1.3}
    grids = tuple(Grid((9, 7), kind, aspect[kind], 10.0) for kind in kinds)
    chosen = [np.sort(rng.permutation(63)[:45]) for _ in kinds]
    pixel = np.concatenate([np.column_stack(np.divmod(flat, 7)) for flat in chosen])
    return SectionLayout(grids, np.repeat(np.arange(len(kinds)), 45), pixel)


def brute_force(layout: SectionLayout, sigma: float) -> np.ndarray:
    """W (P, P) from the distances between pixels."""
    weight = np.zeros((len(layout.section),) * 2)
    for s, grid in enumerate(layout.grids):
        here = np.flatnonzero(layout.section == s)
        at = grid.positions(layout.pixel[here])
        weight[np.ix_(here, here)] = np.exp(-0.5 * np.square(at[:, None] - at[None]).sum(-1) / sigma**2)
    return weight / weight.sum(axis=1, keepdims=True)


CANVASES = [("hex",), ("square",), ("bins",), ("hex", "bins")]


@pytest.mark.parametrize("kinds", CANVASES, ids="+".join)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_smoothing_is_the_gaussian_weight_matrix(kinds: tuple[str, ...], sigma: float) -> None:
    layout = layout_of(*kinds)
    maps = np.random.default_rng(1).standard_normal((5, len(layout.section))).astype(np.float32)
    smoother, weight = Smoother(layout, sigma), brute_force(layout, sigma)
    np.testing.assert_allclose(smoother.apply(maps), maps @ weight.T, atol=2e-5)
    assert {smoother.apply(maps).dtype, smoother.weight.dtype, smoother.variance.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(smoother.apply_transposed(maps), maps @ weight, atol=2e-5)
    np.testing.assert_allclose(smoother.variance, np.square(weight).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("kinds", CANVASES, ids="+".join)
def test_the_transpose_is_the_adjoint(kinds: tuple[str, ...]) -> None:
    layout = layout_of(*kinds)
    a, b = np.random.default_rng(2).standard_normal((2, 1, len(layout.section))).astype(np.float32)
    smoother = Smoother(layout, 1.5)
    assert (smoother.apply(a) @ b.T).item() == pytest.approx((a @ smoother.apply_transposed(b).T).item(), abs=1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_constants_stay_constant_in_each_section(sigma: float) -> None:
    layout = layout_of("hex", "square")
    constant = np.where(layout.section == 0, 3.0, -1.0).astype(np.float32)[None]
    np.testing.assert_allclose(Smoother(layout, sigma).apply(constant), constant, rtol=1e-5)


@pytest.mark.parametrize("kinds", CANVASES, ids="+".join)
@pytest.mark.parametrize("sigma", SIGMAS[1:])
def test_a_hollow_mean_leaves_the_pixel_out(kinds: tuple[str, ...], sigma: float) -> None:
    layout = layout_of(*kinds)
    maps = np.random.default_rng(1).standard_normal((5, len(layout.section))).astype(np.float32)
    weight = brute_force(layout, sigma)
    weight = weight / np.diag(weight)[:, None]  # one for the pixel itself
    np.fill_diagonal(weight, 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    hollow = NeighborMean(layout, sigma)
    np.testing.assert_allclose(hollow.apply(maps), maps @ weight.T, atol=1e-4)
    np.testing.assert_allclose(hollow.apply_transposed(maps), maps @ weight, atol=1e-4)


def test_a_pixel_without_neighbours_keeps_zero() -> None:
    layout = SectionLayout(
        (Grid((50, 50), "square", 1.0, 1.0),), np.zeros(3, dtype=int), np.array([[0, 0], [0, 1], [49, 49]])
    )
    maps = np.array([[2.0, 4.0, 8.0]], dtype=np.float32)
    np.testing.assert_allclose(NeighborMean(layout, 1.0).apply(maps), [[4.0, 2.0, 0.0]], atol=1e-5)
    np.testing.assert_allclose(Smoother(layout, 1.0).apply(maps)[0, 2], 8.0, rtol=1e-6)


@pytest.mark.parametrize("width", [5, 12, 40])
def test_the_subspace_is_that_of_the_exact_eigenvectors(width: int) -> None:
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    spectrum = 10.0 ** -np.arange(12)
    vectors, values = randomized_eigh(lambda basis: (turned * spectrum) @ (turned.T @ basis), 12, width, seed=0)
    kept = min(width, 12)
    assert (vectors.shape, vectors.dtype, values.shape) == ((12, kept), np.float32, (kept,))
    np.testing.assert_allclose(values[:4], spectrum[:4], rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(vectors[:, :4] * turned[:, :4], axis=0)), 1.0, atol=1e-5)
    assert (np.diff(values) <= 0).all()


@pytest.fixture(scope="module")
def images() -> GeneImages:
    adata = simulate_section(n_genes=80, n_spots=250, n_modules=4, n_domains=3, seed=2)
    return pp.gene_images(adata)


def test_basis_is_orthonormal_and_spans_that_of_the_exact_decomposition(images: GeneImages) -> None:
    basis, values = smooth_basis(images, sigma=1.0, n_components=6, seed=0)
    assert basis.shape == (images.n_pixels, 6)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    maps = images.residuals() @ brute_force(images.layout, 1.0).T
    _, singular, right = np.linalg.svd(maps, full_matrices=False)
    exact = right[:6].T
    cosines = np.linalg.svd(basis.T @ exact, compute_uv=False)
    assert cosines[:4].min() > 0.9999
    assert cosines.min() > 0.98
    np.testing.assert_allclose(values, singular[:6] ** 2, rtol=0.01)
    np.testing.assert_allclose(np.linalg.norm(maps @ basis), np.linalg.norm(maps @ exact), rtol=1e-3)


def test_components_come_largest_first_with_a_fixed_sign(images: GeneImages) -> None:
    basis, values = smooth_basis(images, sigma=1.0, n_components=6, seed=0)
    assert (np.diff(values) <= 0).all()
    assert (basis[np.abs(basis).argmax(axis=0), np.arange(6)] > 0).all()


def test_same_seed_same_bytes(images: GeneImages) -> None:
    first, second, other = (smooth_basis(images, sigma=1.0, n_components=5, seed=seed)[0] for seed in (0, 0, 1))
    assert first.tobytes() == second.tobytes()
    np.testing.assert_allclose(first[:, :3], other[:, :3], atol=0.02)


def test_further_maps_take_part_like_genes(images: GeneImages) -> None:
    whole, values = smooth_basis(images, sigma=1.0, n_components=4, seed=0)
    rest = images.residuals(slice(30, None)).astype(np.float64)
    parts, same = smooth_basis(images.take(np.arange(30)), sigma=1.0, n_components=4, seed=0, extra_maps=rest)
    np.testing.assert_allclose(same, values, rtol=1e-4)
    np.testing.assert_allclose(parts, whole, atol=1e-3)


def test_more_components_than_the_section_has_are_not_invented() -> None:
    few = pp.gene_images(simulate_section(n_genes=8, n_spots=60, n_modules=2, n_domains=2, seed=0))
    assert smooth_basis(few, sigma=1.0, n_components=48, seed=0)[0].shape == (few.n_pixels, 8)


def speckled(n_genes: int, shared: float, seed: int = 0) -> GeneImages:
    """Poisson counts on 20 x 20 spots; every third gene follows one map without any smoothness, times `shared`."""
    rng = np.random.default_rng(seed)
    speckle = rng.standard_normal(400)
    rate = np.exp(np.where(np.arange(n_genes) % 3 == 0, shared, 0.0)[None] * speckle[:, None])
    counts = rng.poisson(1.5 * rate).astype(np.float32)
    adata = AnnData(counts, obsm={"spatial": np.argwhere(np.ones((20, 20))).astype(float)})
    return pp.gene_images(adata)


def test_fine_components_are_those_of_the_unit_maps_outside_the_coarse_span() -> None:
    images = speckled(300, 0.5)
    coarse = smooth_basis(images, sigma=1.0, n_components=4, seed=0)[0]
    fine = fine_basis(images, coarse, n_components=5, seed=0)
    np.testing.assert_allclose(fine.T @ fine, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(coarse.T @ fine, 0, atol=1e-5)
    maps = images.residuals()
    maps /= np.linalg.norm(maps, axis=1, keepdims=True)
    exact = np.linalg.svd(maps - (maps @ coarse) @ coarse.T, full_matrices=False)[2][0]
    assert abs(exact @ fine[:, 0]) > 0.999


def test_fine_components_do_not_follow_the_strongest_gene() -> None:
    """Maps count alike whatever their norm: what many genes share comes before what one gene has alone."""
    images = speckled(90, 0.5)
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
    # They are as many as asked, or as there are directions left.
    assert fine_basis(images, coarse, n_components=1, seed=0).shape == (400, 1)


def test_components_are_fewer_than_pixels() -> None:
    """Maps are centred: of P pixels P - 1 directions are left, less those that are taken."""
    rng = np.random.default_rng(0)
    layout = SectionLayout((Grid((3, 4), "square", 1.0, 1.0),), np.zeros(12, dtype=int), np.argwhere(np.ones((3, 4))))
    counts = rng.poisson(3.0, (12, 40)).astype(np.float32)
    few = GeneImages(sp.csc_array(counts), counts.sum(1).astype(float), layout)
    coarse = smooth_basis(few, sigma=0.5, n_components=30, seed=0)[0]
    assert coarse.shape == (12, 11)
    nothing = fine_basis(few, coarse, n_components=5, seed=0)
    assert (nothing.shape, nothing.dtype) == ((12, 0), np.float32)
    assert fine_basis(few, coarse[:, :10], n_components=5, seed=0).shape == (12, 1)
    assert fine_basis(few, coarse[:, :4], n_components=30, seed=0).shape == (12, 7)
    assert fine_basis(few, coarse[:, :4], n_components=3, seed=0).dtype == np.float32


def test_no_fine_components_where_none_are_left() -> None:
    few = pp.gene_images(simulate_section(n_genes=8, n_spots=60, n_modules=2, n_domains=2, seed=0))
    coarse = smooth_basis(few, sigma=1.0, n_components=48, seed=0)[0]
    assert fine_basis(few, coarse, n_components=0, seed=0).shape == (few.n_pixels, 0)
    assert fine_basis(few, coarse, n_components=16, seed=0).shape[1] <= 8
