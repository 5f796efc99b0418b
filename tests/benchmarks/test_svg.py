"""The benchmark of spatially variable genes: what it draws, what it measures, and the SPARK-X in it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from benchmarks.quality.redrawn import half_redrawn
from benchmarks.quality.svg import drawn, measure, methods, sparkx
from benchmarks.quality.svg.__main__ import draws
from benchmarks.speed import growth
from scipy import stats

from spacex.datasets import simulate_section


@pytest.fixture(scope="module")
def section() -> AnnData:
    return simulate_section(n_genes=300, n_spots=400, n_modules=4, depth=0.8, seed=0)


# --- SPARK-X ----------------------------------------------------------------------------------------------


def test_a_kernel_of_spark_x_is_a_regression_on_its_columns(section: AnnData) -> None:
    """n R² of the regression of counts on two columns, against chi-squared with two degrees of freedom."""
    counts, xy = sp.csc_matrix(section.X, dtype=float), section.obsm["spatial"]
    columns = xy - xy.mean(axis=0)
    found = sparkx.kernel_log_p(counts, columns)
    y = counts[:, [3]].toarray().ravel()
    fitted = np.column_stack([columns, np.ones(400)]) @ np.linalg.lstsq(np.column_stack([columns, np.ones(400)]), y)[0]
    r_squared = 1 - np.square(y - fitted).sum() / np.square(y - y.mean()).sum()
    assert found[3] == pytest.approx(stats.chi2.logsf(400 * r_squared, 2), rel=1e-6)


def test_spark_x_has_eleven_kernels_and_a_uniform_null() -> None:
    rng = np.random.default_rng(0)
    xy = rng.random((900, 2))
    assert len(sparkx.transforms(xy)) == 11
    counts = sp.csc_matrix(rng.poisson(0.5, (900, 1500)).astype(float))
    p = np.exp(sparkx.log_p(counts, xy))
    assert 0.035 < np.mean(p < 0.05) < 0.07
    np.testing.assert_allclose(sparkx.log_p(counts, 7 * xy + 3), np.log(p), rtol=1e-6, atol=1e-9)


def test_spark_x_finds_a_gradient() -> None:
    rng = np.random.default_rng(0)
    xy = rng.random((900, 2))
    counts = sp.csc_matrix(rng.poisson(np.exp(xy[:, :1]) * np.ones(20)).astype(float))
    assert (sparkx.log_p(counts, xy) < np.log(1e-3)).mean() > 0.9


# --- simulated sections ----------------------------------------------------------------------------------------


def test_half_of_the_genes_are_redrawn_with_their_own_moments(section: AnnData) -> None:
    made = half_redrawn(section, 0, 10)
    null = made.var["null"].to_numpy()
    assert null.mean() == pytest.approx(0.5, abs=0.01)
    original = section[:, made.var_names]
    same = np.asarray((made.X != original.X).sum(axis=0)).ravel() == 0
    assert same[~null].all()
    assert not same[null].any()
    before, after = (np.asarray(x.X.sum(axis=0)).ravel()[null] for x in (original, made))
    assert np.corrcoef(np.log(before), np.log(after))[0, 1] > 0.99


def test_panels_are_drawn_until_their_rates_tell_something() -> None:
    assert list(draws(12_000, seed=2)) == [2]
    assert list(draws(400, seed=0)) == [0, 1, 2]
    assert len(draws(33, seed=0)) == 20
    assert not set(draws(33, seed=0)) & set(draws(33, seed=1))


def test_permuted_coordinates_keep_every_spot(section: AnnData) -> None:
    made = drawn.permuted(section, 0, 10)
    assert made.var["null"].all()
    np.testing.assert_array_equal(np.sort(made.obsm["spatial"], axis=0), np.sort(section.obsm["spatial"], axis=0))
    assert not np.array_equal(made.obsm["spatial"], section.obsm["spatial"])


def test_a_mixture_goes_from_no_pattern_to_the_gene_s_own(section: AnnData) -> None:
    made = drawn.mixed(section, 0)
    mix, base = made.var["mix"].to_numpy(), made.var["base"].to_numpy()
    assert set(np.bincount(base[base >= 0])) == {drawn.MIX_STEPS}
    score, _ = methods.simple_pipeline(made)
    assert measure.mixing_tau(score, mix, base) > 0.3
    assert measure.mixing_tau(mix, mix, base) == pytest.approx(1)
    assert abs(measure.mixing_tau(np.random.default_rng(0).random(len(mix)), mix, base)) < 0.2


def test_planted_patterns_are_of_all_kinds_and_differ_between_genes() -> None:
    xy = np.argwhere(np.ones((50, 50))).astype(float) - 25
    rng = np.random.default_rng(0)
    for kind in drawn.KINDS:
        first, second = (drawn.pattern(kind, xy, rng) for _ in range(2))
        assert first.min() >= 0
        assert first.std() > 0.05
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.99


# --- metrics -------------------------------------------------------------------------------------


def test_auroc_is_within_deciles_of_expression() -> None:
    rng = np.random.default_rng(0)
    total = rng.lognormal(0, 2, 3000)
    real = rng.random(3000) < 0.05 + measure.deciles(total) / 10  # expressed genes are real more often
    assert stats.mannwhitneyu(total[real], total[~real]).statistic / (real.sum() * (~real).sum()) > 0.8
    assert measure.auroc(total, real, total) == pytest.approx(0.5, abs=0.04)
    assert measure.auroc(real + 0.0, real, total) == 1
    lost = np.where(real, np.nan, rng.random(3000))
    assert measure.auroc(lost, real, total) == 0, "a gene without a score ranks last"


def test_null_rates_count_null_genes_only() -> None:
    log_p = np.log(np.array([1e-9, 0.04, 0.5, 0.5, np.nan, 0.0005]))
    null = np.array([False, True, True, True, True, True])
    rates = measure.null_rates(log_p, null, np.arange(1.0, 7.0))
    assert rates["p<0.05"] == pytest.approx(2 / 4)
    assert rates["p<0.001"] == pytest.approx(1 / 4)


def test_power_is_at_the_method_s_own_threshold() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat(["none", "domain", "stripes"], [2000, 200, 200])
    score = 1000 * (rng.standard_normal(2400) + np.where(kind == "domain", 3.29, 0))  # whatever the scale
    found = measure.power(score, kind)
    assert found["power domain"] == pytest.approx(0.95, abs=0.04)
    assert found["power stripes"] == pytest.approx(0.05, abs=0.04)


def test_markers_are_compared_with_genes_of_like_expression() -> None:
    total = np.repeat([1.0, 100.0], 30)
    score = np.r_[np.zeros(30), np.ones(30)]
    score[0] = 0.5
    assert measure.matched_auroc(score, np.array([0]), np.arange(1, 60), total) == 1
    assert measure.matched_auroc(score, np.array([5]), np.delete(np.arange(60), 5), total) == pytest.approx(0.475)


# --- cost --------------------------------------------------------------------------------------------------


def test_growth_is_measured_on_sections_of_the_requested_size() -> None:
    made = growth.section(700, 150)
    assert made.shape == (150, 700)
    assert sp.issparse(made.X)
    assert 0.15 < made.X.mean() < 0.6
    genes, spots, seconds, peak = growth.timed((120, 150))
    assert (genes, spots) == (120, 150)
    assert seconds > 0
    assert peak > 50
