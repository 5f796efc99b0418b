"""Errors of the library sizes of panels, and what they add to the statistics of genes without a pattern."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.smoothing import Smoother
from spacex.svg import SVGParams, spatial_variability_test
from spacex.svg.design import Design
from spacex.svg.gene_hash import gene_hash
from spacex.svg.kernels import PairKernel
from spacex.svg.library_error import MAX_GENES, N_SPLITS, LibraryError
from spacex.svg.maps import StandardizedMaps

SIDE = 24


def panel(seed: int, n_spatial: int = 15, n_null: int = 15, mean: float = 4.0) -> GeneImages:
    """Poisson counts; each spatial gene has a smooth pattern of its own, and cells differ in size."""
    rng = np.random.default_rng(seed)
    xy = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
    center = rng.uniform(0, SIDE, (n_spatial, 2))
    distance = np.linalg.norm(xy[:, None] - center, axis=2)
    size = rng.gamma(8, 1 / 8, len(xy))[:, None]
    rate = np.hstack([4 * np.exp(-0.5 * (distance / 5) ** 2) + 0.2, np.ones((len(xy), n_null))])
    adata = AnnData(sp.csr_matrix(rng.poisson(mean * size * rate).astype(np.float32)), obsm={"spatial": xy})
    adata.var_names = [f"gene{i}" for i in range(adata.n_vars)]
    return sx.pp.gene_images(adata)


def standardized(images: GeneImages) -> StandardizedMaps:
    return StandardizedMaps(images, Design.from_covariates(images.layout.section))


def test_null_genes_of_panels_are_calibrated() -> None:
    pvalues = [np.exp(spatial_variability_test(panel(seed)).log_p) for seed in range(15)]
    null = np.stack(pvalues)[:, 15:]
    assert 0.02 < np.mean(null < 0.05) < 0.08
    assert np.mean(np.stack(pvalues)[:, :15] < 1e-3) > 0.95


def test_the_error_of_independent_genes_is_that_of_their_sum() -> None:
    """Only noise: the smoothed relative library size has the variance of the smoothed Poisson sum."""
    images = panel(0, n_spatial=0, n_null=60)
    error = LibraryError.estimate(standardized(images), np.ones(60, dtype=bool))
    assert error.maps.shape == (N_SPLITS, images.n_pixels)
    noise = Smoother(images.layout, SVGParams().size_factor_scale).variance.mean() / images.library.mean()
    assert error.maps.var() == pytest.approx(noise, rel=0.3)


def test_more_genes_have_smaller_errors_and_many_none() -> None:
    kernels = None
    excess = []
    for n_null in (20, 200):
        images = panel(1, n_spatial=0, n_null=n_null)
        maps = standardized(images)
        kernels = kernels or [PairKernel(images.layout, 2.0)]
        excess.append(LibraryError.estimate(maps, np.ones(n_null, bool)).kernel_excess(kernels, maps)[0, 0])
    assert excess[1] < excess[0] / 4
    many = panel(1, n_spatial=0, n_null=MAX_GENES + 1, mean=0.1)
    error = LibraryError.estimate(standardized(many), np.ones(MAX_GENES + 1, bool))
    assert len(error.maps) == 0
    assert error.kernel_excess(kernels or [], standardized(many)).sum() == 0


def test_energies_along_patterns_are_those_of_the_error() -> None:
    images = panel(2)
    error = LibraryError.estimate(standardized(images), np.ones(30, dtype=bool))
    patterns, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(images.n_pixels, 3)))
    energy, diagonal = error.pattern_excess(patterns, np.array([0, 20]), images.layout.section)
    scaled = np.sqrt(error.influence[[0, 20], 0])[:, None, None] * error.maps
    np.testing.assert_allclose(energy, ((scaled @ patterns) ** 2).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(diagonal, (scaled**2 @ patterns**2).mean(axis=1), rtol=1e-4)


def test_hashes_follow_the_genes() -> None:
    images = panel(3)
    order = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(gene_hash(images.take(order)), gene_hash(images)[order])


def test_intensities_have_no_library_error() -> None:
    images = panel(4)
    intensities = GeneImages(images.counts, images.library, images.layout, is_count=False)
    assert len(LibraryError.estimate(standardized(intensities), np.ones(30, bool)).maps) == 0
