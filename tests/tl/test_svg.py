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
from spacex._infra.errors import InputError
from spacex.datasets import simulate_section
from spacex.svg import spatial_variability_test
from spacex.tl._svg import svg

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
    log_p = spatial_variability_test(images).log_p
    result = result_of(adata)
    assert np.isfinite(log_p).all()
    assert log_p[0] < log_p[1] < -100
    assert (result["spacex_svg_pvalue"] > 0).all()
    assert result["spacex_svg_score"].idxmax() == adata.var_names[0]


def test_shared_patterns_can_be_left_out(section: AnnData) -> None:
    both, alone = section.copy(), section.copy()
    svg(both)
    svg(alone, shared=False)
    assert both.var["spacex_svg_shared"].notna().any()
    assert alone.var["spacex_svg_shared"].isna().all()
    assert (alone.var["spacex_svg_scale"] == both.var["spacex_svg_scale"]).all()  # widths are as they were
    assert alone.var["spacex_svg_score"].corr(both.var["spacex_svg_score"], method="spearman") > 0.8


def test_bad_arguments_are_refused(section: AnnData) -> None:
    with pytest.raises(InputError, match="layer='nothing'"):
        svg(section.copy(), layer="nothing")
    with pytest.raises(InputError, match="seed"):
        svg(section.copy(), seed=-1)


# --- odd places, covariates, several sections, permutations ------------------------------------------------


@pytest.mark.parametrize("odd", ["two spots in one place", "every spot twice", "spots far away", "one line"])
def test_odd_coordinates_get_a_defined_answer(odd: str) -> None:
    adata = simulate_section(n_genes=40, n_spots=300, n_modules=2, technology="cells", seed=0)
    xy = adata.obsm["spatial"]
    if odd == "two spots in one place":
        xy[1] = xy[0]
    elif odd == "every spot twice":
        xy[:150] = xy[150:]
    elif odd == "spots far away":
        xy[:2] += [[1e6, 0.0], [0.0, -1e5]]
    else:
        xy[:, 1] = 0.0
    p = result_of(adata)["spacex_svg_pvalue"]
    tested = np.asarray(adata.X.sum(axis=0)).ravel() >= 10
    assert ((p > 0) & (p <= 1))[tested].all()


def test_variation_within_domains_is_what_is_left_of_it() -> None:
    """Genes that differ between two halves only, and genes with a gradient inside one of them."""
    rng = np.random.default_rng(0)
    adata = simulate_section(n_genes=300, n_spots=900, n_modules=0, seed=0)
    x = adata.obsm["spatial"][:, 0]
    west = x < np.median(x)
    adata.obs["half"] = np.where(west, "west", "east")
    rate = np.ones(adata.shape)
    rate[west, :40] *= 2.0
    slope = np.where(west, 1.5 * (x - x[west].mean()) / np.ptp(x[west]), 0.0)
    rate[:, 40:80] *= np.exp(slope[:, None] * np.where(np.arange(40) % 2, 1.0, -1.0))  # library sizes stay level
    adata.X = sp.csr_matrix(rng.poisson(rate * rng.lognormal(0, 0.3, (900, 1))).astype(np.float32))
    found = {key: result_of(adata, covariates=key)["spacex_svg_pvalue"] < 0.05 for key in ((), ("half",))}
    assert found[()][:40].mean() > 0.9
    assert found["half",][:40].mean() < 0.15
    assert found["half",][40:80].mean() > 0.7
    assert found["half",][80:].mean() < 0.09
    other = adata.copy()
    svg(other, covariates="half")
    assert list(other.uns["spacex"]["svg"]["covariates"]) == ["half"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariates": ["nowhere"]}, "not a column"),
        ({"covariates": ["holes"]}, "missing for 3 spot"),
        ({"covariates": ["names"]}, "a covariate needs"),
        ({"n_permutations": 7}, "too few to fit a tail"),
    ],
)
def test_bad_covariates_and_permutations_are_refused(section: AnnData, arguments: dict, message: str) -> None:
    adata = section.copy()
    adata.obs["holes"] = np.where(np.arange(adata.n_obs) < 3, np.nan, 1.0)
    adata.obs["names"] = adata.obs_names
    with pytest.raises(InputError, match=message):
        svg(adata, **arguments)
    assert not [column for column in adata.var if column.startswith("spacex_svg")]


def test_sections_are_reported_apart_and_their_difference_too(section: AnnData) -> None:
    import anndata as ad

    gone = section.copy()
    strong = result_of(section)["spacex_svg_score"].to_numpy().argsort()[-3:]
    counts, rng = gone.X.toarray(), np.random.default_rng(0)
    counts[:, strong] = rng.permuted(counts[:, strong], axis=0)
    gone.X = sp.csr_matrix(counts)
    both = ad.concat({"a": section, "b": gone}, label="sample", index_unique="-")
    pp.rasterize(both, library_key="sample")
    svg(both)
    score, difference = both.varm["spacex_svg_sections"], both.var["spacex_svg_heterogeneity"].to_numpy()
    assert score.shape == (section.n_vars, 2)
    assert (score[strong, 0] > score[strong, 1] + 3).all()
    others = np.setdiff1d(np.flatnonzero(np.isfinite(difference)), strong)
    assert difference[strong].min() > 0.9 > 0.3 > np.median(difference[others])
    svg(section_only := section.copy())
    assert "spacex_svg_sections" not in section_only.varm
    assert "spacex_svg_heterogeneity" not in section_only.var


def test_permutations_change_small_p_values_only(section: AnnData) -> None:
    plain, fitted = result_of(section), result_of(section, n_permutations=60, progress=False)
    large = plain["spacex_svg_pvalue"] >= 0.05
    np.testing.assert_array_equal(plain["spacex_svg_pvalue"][large], fitted["spacex_svg_pvalue"][large])
    assert np.corrcoef(plain["spacex_svg_score"], fitted["spacex_svg_score"])[0, 1] > 0.9


@pytest.mark.parametrize(("pattern", "least", "most"), [("gradient", 2.5, 10.0), ("stripes", 0.6, 1.2)])
def test_scale_tells_fine_patterns_from_broad_ones(pattern: str, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((40, 40))).astype(float)
    fold = np.exp(xy[:, 0] / 40) if pattern == "gradient" else np.where(xy[:, 0] // 3 % 2, 2.0, 1.0)
    rate = np.ones((1600, 60))
    rate[:, :5] *= fold[:, None]
    adata = AnnData(rng.poisson(rate).astype(np.float32), obsm={"spatial": xy})
    svg(adata)
    assert adata.var["spacex_svg_scale"][:5].between(least, most).all()
