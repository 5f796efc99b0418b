"""Moments of counts against those of the simulated distribution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from spacex import pp
from spacex.datasets import simulate_section
from spacex.svg.moments import count_skewness, dispersion, relative_library, variance_slope


def test_dispersion_and_skewness_follow_the_counts() -> None:
    rng = np.random.default_rng(0)
    adata = simulate_section(n_genes=60, n_spots=2000, n_modules=0, seed=0)
    library = adata.obs["true_library"].to_numpy()
    mean = np.outer(library / library.mean(), np.full(60, 3.0))
    adata.X = sp.csr_matrix(rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape)).astype(np.float32))
    images = pp.gene_images(adata)
    assert np.median(dispersion(images)) == pytest.approx(0.5, abs=0.08)
    expected = images.totals.T * images.share
    np.testing.assert_allclose(
        count_skewness(images, slice(0, 60), np.zeros(60))[:, 0], (expected**-0.5).mean(axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("phi", [0.0, 1.0])
def test_slope_is_that_of_squared_residuals_on_library_size(phi: float) -> None:
    rng = np.random.default_rng(0)
    library = rng.lognormal(0, 0.6, 900)
    mean = np.outer(library / library.mean(), np.full(300, 2.0))
    counts = rng.poisson(mean * rng.gamma(1 / phi, phi, mean.shape) if phi else mean)
    images = pp.gene_images(
        AnnData(counts.astype(np.float32), obsm={"spatial": np.argwhere(np.ones((30, 30))).astype(float)})
    )
    d = relative_library(images)
    squares = images.residuals() ** 2
    squares /= squares.mean(axis=1, keepdims=True)
    measured = np.median(((squares - 1) @ d) / (d @ d))
    assert np.median(variance_slope(images, slice(None), dispersion(images))) == pytest.approx(measured, abs=0.12)
    assert abs(d.mean()) < 1e-9
