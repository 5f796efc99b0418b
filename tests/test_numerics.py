"""Extreme values: no overflow, no unexpected NaN, and sufficient single precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

import spacex as sx
from spacex.embedding.student_t import Parameters, initial_parameters, log_posterior, squared_distance


def million(adata: AnnData, rng: np.random.Generator) -> None:
    """A million counts of one gene in one spot."""
    x = adata.X.tolil()
    x[17, 5] = 1_000_000
    adata.X = x.tocsr()


def five_orders(adata: AnnData, rng: np.random.Generator) -> None:
    """Library sizes from tens to millions."""
    factor = 10.0 ** rng.uniform(0, 5, adata.n_obs)
    adata.X = sp.csr_matrix(sp.diags(np.rint(factor)) @ adata.X).astype(np.float32)


def nearly_empty(adata: AnnData, rng: np.random.Generator) -> None:
    """One in a thousand entries is nonzero."""
    x = adata.X.tocoo()
    entries = rng.choice(x.nnz, adata.n_obs * adata.n_vars // 1000, replace=False)
    adata.X = sp.csr_matrix((np.ones(len(entries), np.float32), (x.row[entries], x.col[entries])), shape=x.shape)


def one_dominant_gene(adata: AnnData, rng: np.random.Generator) -> None:
    """One gene has nearly all counts."""
    x = adata.X.toarray()
    x[:, 0] = rng.poisson(1e5, adata.n_obs)
    adata.X = sp.csr_matrix(x)


EXTREMES: list[Callable[[AnnData, np.random.Generator], None]] = [million, five_orders, nearly_empty, one_dominant_gene]


@pytest.mark.parametrize("change", EXTREMES, ids=lambda change: change.__name__)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_all_tools_handle_extreme_counts(change: Callable[[AnnData, np.random.Generator], None]) -> None:
    adata = sx.datasets.simulate_section(300, 900, 4, 3, depth=1.0)
    change(adata, np.random.default_rng(0))
    panel, targets = adata[:, :200].copy(), list(adata.var_names[200:])
    sx.tl.embed(adata, n_modules=3, config=sx.Config(min_counts=2), progress=False)
    sx.tl.svg(adata)
    sx.tl.interactions(adata)
    sx.tl.domains(adata, n_domains=3)
    z = adata.varm["X_spacex"]
    missing = np.isnan(z)
    assert (missing.all(axis=1) == missing.any(axis=1)).all()  # rows of genes that are not embedded are NaN
    assert np.isfinite(z[~missing]).all()
    embedded = ~missing.any(axis=1)
    assert embedded.sum() > 50
    assert adata.var["spacex_module_prob"][embedded].between(0, 1).all()
    tested = adata.var["spacex_svg_pvalue"].notna()
    assert tested.sum() > 20
    assert adata.var["spacex_svg_pvalue"][tested].between(0, 1).all()
    assert np.isfinite(adata.var["spacex_svg_score"][tested]).all()
    assert np.isfinite(adata.varp["spacex_interactions"].data).all()
    assert adata.obs["spacex_domain_prob"].dropna().between(0, 1).all()
    imputed = sx.tl.impute(panel, adata, genes=targets, progress=False)
    assert np.isfinite(imputed.X).all()
    assert imputed.var["reliability"].between(0, 1).all()


@pytest.mark.parametrize("power", [-20, -45])
def test_tiny_intensities_give_the_same_results(power: int) -> None:
    """Z-scores have no unit; rescaled values also have the same random draws."""
    plain = sx.datasets.simulate_section(120, 300, 3, 3, depth=2.0)
    plain.X = sp.csr_matrix(np.log1p(plain.X.toarray().astype(np.float64)))
    tiny, smallest_rescaled = plain.copy(), plain.copy()
    tiny.X, smallest_rescaled.X = plain.X * 2.0**power, plain.X * 2.0**-15
    for adata in (plain, tiny, smallest_rescaled):
        sx.tl.svg(adata)
        sx.tl.embed(adata, n_modules=3, config=sx.Config(n_null_genes=50, em_starts=1), progress=False)
    np.testing.assert_array_equal(tiny.var["spacex_svg_score"], smallest_rescaled.var["spacex_svg_score"])
    np.testing.assert_array_equal(tiny.varm["X_spacex"], smallest_rescaled.varm["X_spacex"])
    # Values that are not rescaled have other random draws.
    assert np.corrcoef(tiny.var["spacex_svg_score"], plain.var["spacex_svg_score"])[0, 1] > 0.99
    strength = [np.linalg.norm(adata.varm["X_spacex"], axis=1) for adata in (tiny, plain)]
    assert np.corrcoef(*strength)[0, 1] > 0.98
    panel, targets = plain[:, :80].copy(), list(plain.var_names[80:])
    imputed = [sx.tl.impute(panel, adata, genes=targets, progress=False) for adata in (tiny, plain)]
    np.testing.assert_allclose(imputed[0].X, imputed[1].X * 2.0**power, rtol=1e-3, atol=1e-5 * 2.0**power)
    np.testing.assert_allclose(imputed[0].var["reliability"], imputed[1].var["reliability"], atol=1e-4)


def test_residuals_in_single_precision_equal_double() -> None:
    adata = sx.datasets.simulate_section(80, 700, 3, 3, depth=3.0)
    five_orders(adata, np.random.default_rng(1))
    images = sx.pp.gene_images(adata)
    counts, theta = images.counts.toarray().astype(np.float64), images.theta
    mean = np.outer(images.share, counts.sum(0))
    exact = (counts - mean) / np.sqrt(mean + mean**2 / theta)
    limit = np.sqrt(images.n_pixels)
    exact = np.clip(exact, -limit, limit)
    exact -= exact.mean(axis=0)
    np.testing.assert_allclose(images.residuals(), exact.T, atol=2e-4)


def test_mixture_needs_double_precision() -> None:
    """Single precision loses the distances of strong genes from the mean of their module."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((5, 20))
    signal, nu = torch.full((20,), 0.05, dtype=torch.float64), torch.full((1,), 500.0, dtype=torch.float64)
    first = initial_parameters(torch.from_numpy(centers), signal, nu, spread=1e-4)
    noise = rng.standard_normal((400, 20))

    def largest_error(strength: float) -> float:
        x = torch.from_numpy(strength * first.mean.numpy()[np.arange(400) % 5] + noise)
        single = Parameters(*(value.float() for value in first))
        distance = squared_distance(x, first, strength)
        return float((squared_distance(x.float(), single, strength) - distance).abs().max() / distance.min())

    assert largest_error(5.0) < 1e-4
    assert largest_error(5000.0) > 0.1


@pytest.mark.parametrize("strength", [0.0, 1e-300, 1e8, 1e150])
def test_posterior_of_extreme_points_is_a_distribution(strength: float) -> None:
    rng = np.random.default_rng(0)
    signal, nu = torch.full((6,), 1 / 6, dtype=torch.float64), torch.tensor([4.0, 2000.0], dtype=torch.float64)
    p = initial_parameters(torch.from_numpy(rng.normal(size=(3, 6))), signal, nu)
    x = torch.from_numpy(strength * rng.normal(size=(50, 6)))
    np.testing.assert_allclose(log_posterior(x, torch.arange(50) % 2, p).exp().sum(1), 1.0, atol=1e-9)
