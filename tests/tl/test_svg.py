"""`tl.svg`: calibration, power, invariances and validation of arguments."""

from __future__ import annotations

import logging

import anndata as ad
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


def run_svg(adata: AnnData, **arguments) -> pd.DataFrame:
    """Run the test on a copy of the section."""
    adata = adata.copy()
    svg(adata, **arguments)
    return adata.var[COLUMNS]


# --- null --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("technology", ["visium", "st", "cells"])
def test_null_pvalues_are_uniform(technology: str) -> None:
    adata = simulate_section(2500, 900, 0, technology=technology, depth=0.3, seed=5)
    p = run_svg(adata)["spacex_svg_pvalue"].to_numpy()
    assert 0.03 < np.mean(p < 0.05) < 0.065
    assert np.mean(p < 0.001) <= 0.0035
    assert stats.kstest(p[np.isfinite(p)], "uniform").statistic < 0.07
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    for part in (total <= np.median(total), total > np.median(total)):
        assert 0.025 < np.mean(p[part] < 0.05) < 0.075


def test_library_size_gradient_is_no_pattern() -> None:
    """With a steep gradient of the library size, every gene would be spatial on raw counts."""
    rng = np.random.default_rng(0)
    adata = simulate_section(400, 800, 0, seed=0)
    x = adata.obsm["spatial"][:, 0]
    library = np.exp(3 * (x - x.min()) / np.ptp(x))
    share = rng.lognormal(0, 1, 400) / 3
    adata.X = sp.csr_matrix(rng.poisson(np.outer(library / library.mean(), share)).astype(np.float32))
    p = run_svg(adata)["spacex_svg_pvalue"]
    assert 0.02 < (p < 0.05).mean() < 0.085


@pytest.mark.filterwarnings("ignore")
def test_null_pvalues_of_intensities_are_uniform(caplog: pytest.LogCaptureFixture) -> None:
    adata = simulate_section(600, 700, 0, seed=1)
    values = np.random.default_rng(0).lognormal(0, 0.7, adata.shape)
    west = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    values[west, :20] *= 1.6
    adata.X = values.astype(np.float32)
    with caplog.at_level(logging.WARNING, logger="spacex"):
        p = run_svg(adata)["spacex_svg_pvalue"]
    assert "intensities" in caplog.text
    assert (p[:20] < 1e-4).all()
    assert 0.025 < (p[20:] < 0.05).mean() < 0.075


# --- power and invariance ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def section() -> AnnData:
    return simulate_section(n_genes=400, n_spots=900, n_modules=8, n_domains=4, depth=0.5, seed=7)


def test_planted_genes_are_detected(section: AnnData) -> None:
    result, truth = run_svg(section), section.var["spatially_variable"]
    total = np.asarray(section.X.sum(axis=0)).ravel()
    expressed = truth & (total > np.median(total))
    assert (result["spacex_svg_qvalue"] < 0.05)[expressed].mean() > 0.8
    significant = result["spacex_svg_qvalue"] < 0.05
    assert (significant & ~truth).sum() <= 0.1 * significant.sum()
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


def test_scores_do_not_depend_on_rotation_scale_and_gene_order(section: AnnData) -> None:
    plain = section.copy()
    plain.obs = plain.obs.drop(columns=["array_row", "array_col"])
    expected = run_svg(plain)["spacex_svg_score"]
    xy = plain.obsm["spatial"]
    for transformed in (np.column_stack([-xy[:, 1], xy[:, 0]]), 0.013 * xy + 5.0):
        other = plain.copy()
        other.obsm["spatial"] = transformed
        result = run_svg(other)["spacex_svg_score"]
        np.testing.assert_allclose(result, expected, rtol=0.02, atol=0.02)
    order = np.random.default_rng(0).permutation(section.n_vars)
    shuffled = run_svg(plain[:, order])["spacex_svg_score"].reindex(plain.var_names)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-3, atol=1e-3)


def test_equal_seeds_give_equal_scores(section: AnnData) -> None:
    first, second, other = (run_svg(section, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    np.testing.assert_allclose(first["spacex_svg_score"], other["spacex_svg_score"], rtol=0.02, atol=0.01)


def test_permuted_coordinates_give_null_pvalues(section: AnnData) -> None:
    shuffled = section.copy()
    shuffled.obs = shuffled.obs.drop(columns=["array_row", "array_col"])
    shuffled.obsm["spatial"] = np.random.default_rng(3).permutation(shuffled.obsm["spatial"])
    p = run_svg(shuffled)["spacex_svg_pvalue"]
    assert (p < 0.05).mean() < 0.085
    assert (p < 0.001).mean() < 0.01


def test_sections_increase_power(section: AnnData) -> None:
    twice = ad.concat({"a": section, "b": section}, label="sample", index_unique="-", merge="same")
    pp.rasterize(twice, library_key="sample")
    one, two = run_svg(section)["spacex_svg_score"], run_svg(twice)["spacex_svg_score"]
    strong = one > 5
    assert strong.sum() > 50
    assert (two > one)[strong].mean() > 0.95  # shared patterns differ


def test_gene_absent_in_one_section_is_tested_on_the_other(section: AnnData) -> None:
    without_gene = section.copy()
    strong = int(np.nanargmax(run_svg(section)["spacex_svg_score"]))
    counts = without_gene.X.toarray()
    counts[:, strong] = 0
    without_gene.X = sp.csr_matrix(counts)
    both = ad.concat({"a": section, "b": without_gene}, label="sample", index_unique="-")
    pp.rasterize(both, library_key="sample")
    assert run_svg(both)["spacex_svg_qvalue"].iloc[strong] < 1e-6


# --- untestable genes, strong signals, invalid input -----------------------------------------------


def test_untestable_genes_are_nan(section: AnnData) -> None:
    adata = section[:, :30].copy()
    counts = adata.X.toarray()
    counts[:, 0] = 0
    counts[:, 1] = 2
    counts[:, 2] = 0
    counts[5, 2] = 50
    counts[:, 3] = 0
    counts[:2, 3] = 1
    adata.X = sp.csr_matrix(counts)
    result = run_svg(adata)
    assert result.iloc[:4].isna().all(axis=None)
    assert np.isfinite(result.iloc[4:]).all(axis=None)


def test_section_without_testable_genes() -> None:
    adata = simulate_section(10, 100, 0, seed=0)
    counts = np.zeros(adata.shape, dtype=np.float32)
    counts[np.arange(20), np.arange(20) % 10] = 1
    adata.X = sp.csr_matrix(counts)
    assert run_svg(adata).isna().all(axis=None)


def test_strongest_signals_are_finite_and_ranked() -> None:
    rng = np.random.default_rng(0)
    adata = simulate_section(30, 3000, 0, seed=0)
    west = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    rate = np.full(adata.shape, 20.0)
    rate[west, 0], rate[west, 1] = 60.0, 30.0
    adata.X = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    images = pp.gene_images(adata)
    log_p = spatial_variability_test(images).log_p
    result = run_svg(adata)
    assert np.isfinite(log_p).all()
    assert log_p[0] < log_p[1] < -100
    assert (result["spacex_svg_pvalue"] > 0).all()
    assert result["spacex_svg_score"].idxmax() == adata.var_names[0]


def test_shared_patterns_are_optional(section: AnnData) -> None:
    both, alone = section.copy(), section.copy()
    svg(both)
    svg(alone, shared=False)
    assert both.var["spacex_svg_shared"].notna().any()
    assert alone.var["spacex_svg_shared"].isna().all()
    assert (alone.var["spacex_svg_scale"] == both.var["spacex_svg_scale"]).all()
    assert alone.var["spacex_svg_score"].corr(both.var["spacex_svg_score"], method="spearman") > 0.8


def test_invalid_arguments_raise(section: AnnData) -> None:
    with pytest.raises(InputError, match="layer='nothing'"):
        svg(section.copy(), layer="nothing")
    with pytest.raises(InputError, match="seed"):
        svg(section.copy(), seed=-1)


# --- unusual coordinates, covariates, several sections, permutations ------------------------------------------------


@pytest.mark.parametrize("kind", ["duplicate position", "every spot twice", "spots far away", "one line"])
def test_unusual_coordinates_give_valid_pvalues(kind: str) -> None:
    adata = simulate_section(n_genes=40, n_spots=300, n_modules=2, technology="cells", seed=0)
    xy = adata.obsm["spatial"]
    if kind == "duplicate position":
        xy[1] = xy[0]
    elif kind == "every spot twice":
        xy[:150] = xy[150:]
    elif kind == "spots far away":
        xy[:2] += [[1e6, 0.0], [0.0, -1e5]]
    else:
        xy[:, 1] = 0.0
    p = run_svg(adata)["spacex_svg_pvalue"]
    tested = np.asarray(adata.X.sum(axis=0)).ravel() >= 10
    assert ((p > 0) & (p <= 1))[tested].all()


def test_covariates_remove_variation_between_domains() -> None:
    """Genes that differ between two halves, and genes with a gradient within one half."""
    rng = np.random.default_rng(0)
    adata = simulate_section(n_genes=300, n_spots=900, n_modules=0, seed=0)
    x = adata.obsm["spatial"][:, 0]
    west = x < np.median(x)
    adata.obs["half"] = np.where(west, "west", "east")
    rate = np.ones(adata.shape)
    rate[west, :40] *= 2.0
    slope = np.where(west, 1.5 * (x - x[west].mean()) / np.ptp(x[west]), 0.0)
    rate[:, 40:80] *= np.exp(slope[:, None] * np.where(np.arange(40) % 2, 1.0, -1.0))  # library sizes stay constant
    adata.X = sp.csr_matrix(rng.poisson(rate * rng.lognormal(0, 0.3, (900, 1))).astype(np.float32))
    result = {key: run_svg(adata, covariates=key)["spacex_svg_pvalue"] < 0.05 for key in ((), ("half",))}
    assert result[()][:40].mean() > 0.9
    assert result["half",][:40].mean() < 0.15
    assert result["half",][40:80].mean() > 0.7
    assert result["half",][80:].mean() < 0.09
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
def test_invalid_covariates_and_permutations_raise(section: AnnData, arguments: dict, message: str) -> None:
    adata = section.copy()
    adata.obs["holes"] = np.where(np.arange(adata.n_obs) < 3, np.nan, 1.0)
    adata.obs["names"] = adata.obs_names
    with pytest.raises(InputError, match=message):
        svg(adata, **arguments)
    assert not [column for column in adata.var if column.startswith("spacex_svg")]


def test_scores_and_heterogeneity_of_sections(section: AnnData) -> None:
    permuted = section.copy()
    strong = run_svg(section)["spacex_svg_score"].to_numpy().argsort()[-3:]
    counts, rng = permuted.X.toarray(), np.random.default_rng(0)
    counts[:, strong] = rng.permuted(counts[:, strong], axis=0)
    permuted.X = sp.csr_matrix(counts)
    both = ad.concat({"a": section, "b": permuted}, label="sample", index_unique="-")
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


def test_permutations_change_only_small_pvalues(section: AnnData) -> None:
    plain, fitted = run_svg(section), run_svg(section, n_permutations=60, progress=False)
    large = plain["spacex_svg_pvalue"] >= 0.05
    np.testing.assert_array_equal(plain["spacex_svg_pvalue"][large], fitted["spacex_svg_pvalue"][large])
    assert np.corrcoef(plain["spacex_svg_score"], fitted["spacex_svg_score"])[0, 1] > 0.9


@pytest.mark.parametrize(("pattern", "low", "high"), [("gradient", 2.5, 10.0), ("stripes", 0.6, 1.2)])
def test_scale_follows_pattern_size(pattern: str, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((40, 40))).astype(float)
    fold = np.exp(xy[:, 0] / 40) if pattern == "gradient" else np.where(xy[:, 0] // 3 % 2, 2.0, 1.0)
    rate = np.ones((1600, 60))
    rate[:, :5] *= fold[:, None]
    adata = AnnData(rng.poisson(rate).astype(np.float32), obsm={"spatial": xy})
    svg(adata)
    assert adata.var["spacex_svg_scale"][:5].between(low, high).all()
