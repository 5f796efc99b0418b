"""Nuisance effects: Poisson regressions against scikit-learn, and projections."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import PoissonRegressor

from spacex import pp
from spacex.svg.design import Design, poisson_means
from spacex.svg.params import DEFAULT_PARAMS


def test_means_are_those_of_a_poisson_regression() -> None:
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 0.4, 400)
    share /= share.sum()
    effects = rng.standard_normal((400, 2))
    counts = rng.poisson(2000 * share * np.exp(0.5 * effects[:, 0])[None] * rng.uniform(0.1, 2, (6, 1)))
    fitted = poisson_means(counts.astype(np.float32), share, effects)
    for row, mean in zip(counts, fitted, strict=True):
        # The same penalized likelihood: scikit-learn weights by exposure and halves the penalty on means.
        model = PoissonRegressor(alpha=DEFAULT_PARAMS.covariate_ridge / share.sum(), tol=1e-8, max_iter=1000)
        model.fit(effects, row / share, sample_weight=share)
        np.testing.assert_allclose(mean, share * model.predict(effects), rtol=2e-3)
    np.testing.assert_allclose(fitted.sum(axis=1), counts.sum(axis=1), rtol=1e-3)


def test_absent_gene_in_domain_keeps_finite_mean() -> None:
    domain = np.repeat([0.0, 1.0], 100)[:, None]
    counts = np.zeros((2, 200), dtype=np.float32)
    counts[0, :100] = 3
    means = poisson_means(counts, np.full(200, 1 / 200), (domain - 0.5) * 2)
    assert np.isfinite(means).all()
    np.testing.assert_allclose(means[0, :100], 3, rtol=0.02)
    assert means[0, 100:].max() < 0.1
    assert means[1].max() < 0.01


def test_basis_is_orthonormal_and_without_redundant_columns() -> None:
    section = np.repeat([0, 1], [30, 50])
    rng = np.random.default_rng(0)
    one = rng.standard_normal(80)
    design = Design.from_covariates(section, np.column_stack([one, 2 * one + 1, np.ones(80), section]))
    assert design.basis.shape == (80, 4)
    np.testing.assert_allclose(design.basis.T @ design.basis, np.eye(4), atol=1e-5)
    np.testing.assert_array_equal(design.rank(section), [2, 2])
    centered = design.center(np.stack([one, np.ones(80)]).astype(np.float32))
    np.testing.assert_allclose(centered, 0, atol=1e-4)
    assert design.has_covariates
    assert not Design.from_covariates(section).has_covariates


@pytest.mark.parametrize("is_count", [True, False])
def test_residuals_do_not_follow_the_covariate(is_count: bool) -> None:
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((20, 20))).astype(float)
    slope = np.exp(xy[:, :1] / 10)
    values = rng.poisson(slope * np.ones(5)) if is_count else slope + rng.random((400, 5))
    adata = AnnData(sp.csr_matrix(values.astype(np.float32)), obsm={"spatial": xy})
    images = pp.gene_images(adata)
    images = images if not is_count else type(images)(images.counts, np.ones(400), images.layout)
    covariate = images.layout.pixel[:, 1:].astype(float)  # columns follow x
    plain, fitted = (
        Design.from_covariates(images.layout.section, c).residuals(images, slice(None)) for c in (None, covariate)
    )
    correlation = [abs(np.corrcoef(maps.mean(axis=0), covariate[:, 0])[0, 1]) for maps in (plain, fitted)]
    assert correlation[0] > 0.5 > 0.05 > correlation[1]
