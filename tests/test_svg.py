"""The test for spatial variation: its null, its power, and what must not change it."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats

from spacex import pp
from spacex._check import InputError
from spacex.datasets import simulate_section
from spacex.tl._svg import svg
from spacex.variability import assess

COLUMNS = ["spacex_svg_score", "spacex_svg_pvalue", "spacex_svg_qvalue"]


def result_of(adata: AnnData, **arguments) -> pd.DataFrame:
    """Result of the test on a copy."""
    adata = adata.copy()
    svg(adata, **arguments)
    return adata.var[COLUMNS]


# --- null --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
def test_null_pvalues_are_uniform_though_library_size_varies(technology: str) -> None:
    adata = simulate_section(2500, 900, 0, technology=technology, depth=0.3, seed=5)
    p = result_of(adata)["spacex_svg_pvalue"].to_numpy()
    assert 0.03 < np.mean(p < 0.05) < 0.065
    assert np.mean(p < 0.001) <= 0.0035
    assert stats.kstest(p[np.isfinite(p)], "uniform").statistic < 0.07
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    for part in (total <= np.median(total), total > np.median(total)):
        assert 0.025 < np.mean(p[part] < 0.05) < 0.075


def test_library_size_itself_is_no_pattern() -> None:
    """Counts follow a library size with a steep gradient; on raw counts every gene would be spatial."""
    rng = np.random.default_rng(0)
    adata = simulate_section(400, 800, 0, seed=0)
    x = adata.obsm["spatial"][:, 0]
    library = np.exp(3 * (x - x.min()) / np.ptp(x))
    share = rng.lognormal(0, 1, 400) / 3
    adata.X = sp.csr_matrix(rng.poisson(np.outer(library / library.mean(), share)).astype(np.float32))
    p = result_of(adata)["spacex_svg_pvalue"]
    assert 0.02 < (p < 0.05).mean() < 0.085


@pytest.mark.filterwarnings("ignore")
def test_intensities_have_a_null_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    adata = simulate_section(600, 700, 0, seed=1)
    values = np.random.default_rng(0).lognormal(0, 0.7, adata.shape)
    west = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    values[west, :20] *= 1.6
    adata.X = values.astype(np.float32)
    with caplog.at_level(logging.WARNING, logger="spacex"):
        p = result_of(adata)["spacex_svg_pvalue"]
    assert "intensities" in caplog.text
    assert (p[:20] < 1e-4).all()
    assert 0.025 < (p[20:] < 0.05).mean() < 0.075


# --- power and invariance ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def section() -> AnnData:
    return simulate_section(n_genes=400, n_spots=900, n_modules=8, n_domains=4, depth=0.5, seed=7)


def test_planted_genes_are_found(section: AnnData) -> None:
    result, truth = result_of(section), section.var["spatially_variable"]
    total = np.asarray(section.X.sum(axis=0)).ravel()
    expressed = truth & (total > np.median(total))
    assert (result["spacex_svg_qvalue"] < 0.05)[expressed].mean() > 0.8
    found = result["spacex_svg_qvalue"] < 0.05
    assert (found & ~truth).sum() <= 0.1 * found.sum()
    u = stats.mannwhitneyu(result["spacex_svg_score"][truth], result["spacex_svg_score"][~truth]).statistic
    assert u / (truth.sum() * (~truth).sum()) > 0.8


def test_columns_and_parameters_are_written(section: AnnData) -> None:
    adata = section.copy()
    svg(adata)
    assert set(COLUMNS) <= set(adata.var)
    assert "spacex_pixel" in adata.obsm
    assert adata.uns["spacex"]["svg"]["null"] == "negative binomial"
    score, p, q = (adata.var[column].to_numpy() for column in COLUMNS)
    np.testing.assert_allclose(score, -np.log10(p), rtol=1e-9)
    ok = np.isfinite(p)
    assert ((p > 0) & (p <= 1))[ok].all()
    np.testing.assert_allclose(q[ok], stats.false_discovery_control(p[ok]))


def test_rotation_scale_and_gene_order_do_not_matter(section: AnnData) -> None:
    plain = section.copy()
    plain.obs = plain.obs.drop(columns=["array_row", "array_col"])
    expected = result_of(plain)["spacex_svg_score"]
    xy = plain.obsm["spatial"]
    for moved in (np.column_stack([-xy[:, 1], xy[:, 0]]), 0.013 * xy + 5.0):
        other = plain.copy()
        other.obsm["spatial"] = moved
        found = result_of(other)["spacex_svg_score"]
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)
    order = np.random.default_rng(0).permutation(section.n_vars)
    shuffled = result_of(plain[:, order])["spacex_svg_score"].reindex(plain.var_names)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-3, atol=1e-3)


def test_same_seed_same_values_and_seeds_differ_little(section: AnnData) -> None:
    first, second, other = (result_of(section, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    np.testing.assert_allclose(first["spacex_svg_score"], other["spacex_svg_score"], rtol=0.02, atol=0.01)


def test_shuffled_coordinates_leave_nothing(section: AnnData) -> None:
    shuffled = section.copy()
    shuffled.obs = shuffled.obs.drop(columns=["array_row", "array_col"])
    shuffled.obsm["spatial"] = np.random.default_rng(3).permutation(shuffled.obsm["spatial"])
    p = result_of(shuffled)["spacex_svg_pvalue"]
    assert (p < 0.05).mean() < 0.085
    assert (p < 0.001).mean() < 0.01


def test_two_sections_add_their_evidence(section: AnnData) -> None:
    import anndata as ad

    twice = ad.concat({"a": section, "b": section}, label="sample", index_unique="-", merge="same")
    pp.rasterize(twice, library_key="sample")
    one, two = result_of(section)["spacex_svg_score"], result_of(twice)["spacex_svg_score"]
    strong = one > 5
    assert strong.sum() > 50
    assert (two > one)[strong].mean() > 0.95  # shared patterns are learnt anew


def test_a_gene_that_one_section_lacks_is_tested_on_the_other(section: AnnData) -> None:
    import anndata as ad

    lacking = section.copy()
    strong = int(np.nanargmax(result_of(section)["spacex_svg_score"]))
    counts = lacking.X.toarray()
    counts[:, strong] = 0
    lacking.X = sp.csr_matrix(counts)
    both = ad.concat({"a": section, "b": lacking}, label="sample", index_unique="-")
    pp.rasterize(both, library_key="sample")
    assert result_of(both)["spacex_svg_qvalue"].iloc[strong] < 1e-6


# --- genes that cannot be tested, strong signals, bad input -----------------------------------------------


def test_genes_without_variation_are_not_tested(section: AnnData) -> None:
    adata = section[:, :30].copy()
    counts = adata.X.toarray()
    counts[:, 0] = 0
    counts[:, 1] = 2
    counts[:, 2] = 0
    counts[5, 2] = 50
    counts[:, 3] = 0
    counts[:2, 3] = 1
    adata.X = sp.csr_matrix(counts)
    result = result_of(adata)
    assert result.iloc[:4].isna().all(axis=None)
    assert np.isfinite(result.iloc[4:]).all(axis=None)


def test_no_gene_testable() -> None:
    adata = simulate_section(10, 100, 0, seed=0)
    counts = np.zeros(adata.shape, dtype=np.float32)
    counts[np.arange(20), np.arange(20) % 10] = 1
    adata.X = sp.csr_matrix(counts)
    assert result_of(adata).isna().all(axis=None)


def test_the_strongest_signals_are_finite_and_still_ranked() -> None:
    rng = np.random.default_rng(0)
    adata = simulate_section(30, 3000, 0, seed=0)
    west = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    rate = np.full(adata.shape, 20.0)
    rate[west, 0], rate[west, 1] = 60.0, 30.0
    adata.X = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    images = pp.gene_images(adata)
    log_p = assess(images).log_p
    result = result_of(adata)
    assert np.isfinite(log_p).all()
    assert log_p[0] < log_p[1] < -100
    assert (result["spacex_svg_pvalue"] > 0).all()
    assert result["spacex_svg_score"].idxmax() == adata.var_names[0]


def test_bad_arguments_are_refused(section: AnnData) -> None:
    with pytest.raises(InputError, match="layer='nothing'"):
        svg(section.copy(), layer="nothing")
    with pytest.raises(InputError, match="seed"):
        svg(section.copy(), seed=-1)
