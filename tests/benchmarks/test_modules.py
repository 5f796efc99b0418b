"""The benchmark of modules: its metrics, the Bayes classifier, and redrawn sections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from benchmarks.quality.modules import limit, measure, methods, redrawn_sections, simulated_sections, two_groups
from scipy import stats

import spacex as sx
from spacex.stats import calibration_error, match_labels

PLANTED = np.repeat([-1, 0, 1, 2], [40, 20, 20, 20])


@pytest.fixture(scope="module")
def section() -> AnnData:
    return sx.datasets.simulate_section(n_genes=400, n_spots=700, n_modules=5, depth=0.3, seed=0)


@pytest.fixture(scope="module")
def posterior(section: AnnData) -> np.ndarray:
    return limit.posterior(section)


# --- metrics -------------------------------------------------------------------------------------------------


def test_numbers_of_modules_do_not_matter() -> None:
    labels = np.array([-1, 2, 0, 1])[PLANTED + 1]
    np.testing.assert_array_equal(match_labels(labels, PLANTED), PLANTED)
    assert measure.is_right(labels, PLANTED).all()
    assert measure.recovery(labels, PLANTED) == {"ARI, all genes": 1, "ARI, spatial genes": 1, "modules": 3}
    assert measure.assignment(labels, PLANTED) == {"null in module": 0, "spatial in none": 0}


def test_a_surplus_module_is_matched_to_none() -> None:
    labels = PLANTED.copy()
    labels[:10] = 3  # null genes
    labels[-5:] = 4  # a quarter of the last module
    result = match_labels(labels, PLANTED)
    assert (result[:10] == -2).all()
    assert (result[-5:] == -2).all()
    np.testing.assert_array_equal(result[10:-5], PLANTED[10:-5])
    assert measure.is_right(labels, PLANTED).mean() == pytest.approx(0.85)
    assert measure.assignment(labels, PLANTED)["null in module"] == 0.25


def test_matching_is_one_to_one_and_by_the_total_in_common() -> None:
    labels = np.repeat([0, 1, 0, 1], [10, 9, 8, 0])
    planted = np.repeat([0, 0, 1, 1], [10, 9, 8, 0])  # 0 and 1 both have most genes in planted module 0
    np.testing.assert_array_equal(match_labels(labels, planted), np.repeat([1, 0, 1], [10, 9, 8]))


def test_no_modules_are_right_for_genes_without_a_pattern() -> None:
    labels = np.full(100, -1)
    np.testing.assert_array_equal(measure.is_right(labels, PLANTED), PLANTED == -1)
    assert measure.recovery(labels, PLANTED)["modules"] == 0
    assert measure.assignment(labels, PLANTED)["spatial in none"] == 1


def test_calibration_error_is_small_for_calibrated_probabilities_and_the_gap_otherwise() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(50_000)
    right = rng.random(50_000) < probability
    assert calibration_error(probability, right) < 0.01
    assert calibration_error(np.full(100, 0.9), np.arange(100) % 2 == 0, 1) == pytest.approx(0.4)
    assert calibration_error(1 - probability, right) == pytest.approx(0.5, abs=0.02)


def test_bins_have_equally_many_genes_and_leave_out_those_without_a_probability() -> None:
    probability = np.r_[np.linspace(0, 1, 95), np.full(5, np.nan)]
    table = measure.reliability(probability, probability > 0.5)
    assert table["genes"].tolist() == [10] * 5 + [9] * 5
    assert table["probability"].is_monotonic_increasing
    assert table["right"].iloc[[0, -1]].tolist() == [0, 1]


def test_a_gene_without_a_score_ranks_last() -> None:
    score = np.where(PLANTED >= 0, 1.0, np.nan)
    assert measure.auroc(score, PLANTED) == 1
    assert measure.auroc(np.where(PLANTED >= 0, np.nan, 1.0), PLANTED) == 0


# --- the limit -----------------------------------------------------------------------------------------------


def test_likelihood_is_negative_binomial(section: AnnData) -> None:
    share = limit.expected_shares(section)
    assert share.shape == (5 * limit.N_EFFECTS + 1, 700)
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    gene = int(np.argmax(section.X.sum(axis=0)))
    counts = section.X[:, [gene]].toarray().ravel()
    phi, spots = section.var["dispersion"].iloc[gene], np.flatnonzero(counts)
    mean = counts.sum() * share.astype(float)
    expected = stats.nbinom.logpmf(counts, 1 / phi, 1 / (1 + phi * mean)).sum(axis=1)
    result = limit.negative_binomial(counts[spots], spots, share, phi)
    np.testing.assert_allclose(result - result[0], expected - expected[0], atol=0.05)


def test_posterior_is_calibrated_and_right_for_most_genes(section: AnnData, posterior: np.ndarray) -> None:
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    planted = section.var["module"].to_numpy()
    labels, probability = methods.assign(posterior)
    assert (labels == planted).mean() > 0.85
    assert (labels == planted).mean() == pytest.approx(probability.mean(), abs=0.03)
    assert calibration_error(probability, labels == planted) < 0.05


def test_posterior_does_not_depend_on_the_order_of_genes(section: AnnData, posterior: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(400)[:50]
    part = section[:, order].copy()
    result = limit.log_likelihood(part)
    whole = limit.log_likelihood(section)[order]
    np.testing.assert_allclose(result, whole)


def test_a_gene_is_in_its_best_module_above_one_half() -> None:
    posterior = np.array([[0.6, 0.1, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    labels, probability = methods.assign(posterior)
    assert labels.tolist() == [0, -1, -1]
    assert probability.tolist() == [0.6, 0.2, 0.7]


# --- sections ------------------------------------------------------------------------------------------------


def test_all_methods_are_measured_and_none_exceeds_the_limit(section: AnnData) -> None:
    adata, planted = section.copy(), section.var["module"].to_numpy()
    result = {name: call(adata, 0) for name, call in methods.METHODS.items()}
    scores = {name: simulated_sections.figures(one, planted) for name, one in result.items()}
    assert scores["limit"]["ARI, all genes"] > scores["SpaCEX"]["ARI, all genes"] > scores["K-means"]["ARI, all genes"]
    assert scores["limit"]["SVG AUROC"] > scores["SpaCEX"]["SVG AUROC"] > 0.8
    assert scores["limit"]["ECE"] < 0.05
    assert "ECE" not in scores["K-means"]
    assert result["K-means"].labels.max() == 5
    genes = simulated_sections.gene_reliability(result["SpaCEX"], adata)
    assert genes["third"].value_counts().to_dict() == {"low": 134, "middle": 133, "high": 133}
    table = simulated_sections.reliability_table(genes.assign(section="small"))
    assert len(table.splitlines()) == 9


def test_distance_is_a_difference_within_a_seed() -> None:
    rows = [
        (section, method, seed, "ARI, all genes", seed + len(section) + (method == "limit") * (seed + 1))
        for section in ("a", "bb")
        for method in ("limit", "SpaCEX", "K-means")
        for seed in (0, 1)
    ]
    columns = ["section", "method", "seed", "metric", "value"]
    result = simulated_sections.distance(pd.DataFrame(rows, columns=columns))
    assert result["value"].tolist() == [-1, -2, -1, -2, -1, -2]
    assert result["section"].tolist() == ["a", "a", "bb", "bb", "all", "all"]


def test_two_groups_find_the_planted_share() -> None:
    rng = np.random.default_rng(0)
    null = np.repeat([True, False], [3000, 1000])
    strength = np.sqrt(np.where(null, rng.gamma(20, 1 / 20, 4000), rng.gamma(20, 4 / 20, 4000)))
    rate = two_groups.local_fdr(strength, 20)
    is_found = rate < redrawn_sections.MAX_LOCAL_FDR
    assert is_found[~null].mean() > 0.9
    assert null[is_found].mean() == pytest.approx(rate[is_found].mean(), abs=0.03)
    assert (np.diff(rate[np.argsort(strength)]) <= 1e-12).all()
    assert two_groups.local_fdr(np.r_[strength, np.nan], 20)[-1] == 1


def test_two_groups_find_nothing_among_null_genes() -> None:
    strength = np.sqrt(np.random.default_rng(0).gamma(20, 1 / 20, 4000))
    assert np.mean(two_groups.local_fdr(strength, 20) < redrawn_sections.MAX_LOCAL_FDR) < 0.005


def test_redrawn_genes_are_rarely_in_modules(section: AnnData) -> None:
    result = redrawn_sections.score_section(section, 0)
    assert set(result) == {"SpaCEX", "norm alone"}
    for scores in result.values():
        assert scores["redrawn in module"] < scores["real in module"]
        assert 0 <= scores["predicted"] < 0.5
        assert 0 <= scores["redrawn share"] < 0.5
    errors = redrawn_sections.errors(np.array([True, False]), np.array([False, False]), np.array([1.0, 1.0]))
    assert errors["real in module"] == 0
    assert np.isnan(errors["predicted"])


def test_small_files_and_files_without_coordinates_are_skipped(section: AnnData, tmp_path) -> None:
    large = sx.datasets.simulate_section(n_genes=1000, n_spots=50, n_modules=2, n_domains=2)
    large.write_h5ad(tmp_path / "large.h5ad")
    section.write_h5ad(tmp_path / "small.h5ad")
    del large.obsm["spatial"]
    large.write_h5ad(tmp_path / "nowhere.h5ad")
    assert [name for name, _ in redrawn_sections.real_sections(tmp_path)] == ["large"]
