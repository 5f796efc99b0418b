"""`tl.markers`: marker genes of domains by scanpy's rank-sum test."""

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import stats

import spacex as sx

COLUMNS = ["domain", "gene", "score", "log2_fold_change", "share_in", "share_out", "pvalue", "qvalue"]


@pytest.fixture(scope="module")
def section():
    """Return 150 genes, ten of which have six times their mean expression in one domain."""
    adata = sx.datasets.simulate_section(n_genes=150, n_spots=600, n_modules=0, n_domains=3, depth=0.6, seed=0)
    counts = adata.X.toarray()
    in_domain = (adata.obs["domain"] == "domain2").to_numpy()
    rng = np.random.default_rng(0)
    counts[np.ix_(in_domain, range(10))] = rng.poisson(6 * counts[:, :10].mean(axis=0), (in_domain.sum(), 10))
    adata.X = counts
    return adata


def test_simulated_markers_rank_first(section):
    table = sx.tl.markers(section, groupby="domain", n=15)
    assert list(table.columns) == COLUMNS
    assert table["domain"].value_counts().to_dict() == {"domain1": 15, "domain2": 15, "domain3": 15}
    of_domain = table[table["domain"] == "domain2"]
    assert set(section.var_names[:10]) <= set(of_domain["gene"])
    simulated = of_domain[of_domain["gene"].isin(section.var_names[:10])]
    assert (simulated["log2_fold_change"] > 1).all()
    assert (simulated["share_in"] > simulated["share_out"]).all()
    assert (np.diff(of_domain["score"]) <= 0).all()


def test_test_is_the_rank_sum_of_normalized_counts(section):
    table = sx.tl.markers(section, groupby="domain", n=150)
    cells = section.copy()
    cells.X = np.asarray(cells.X, dtype=np.float32)
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    in_domain = (cells.obs["domain"] == "domain2").to_numpy()
    row = table[(table["domain"] == "domain2") & (table["gene"] == section.var_names[3])].iloc[0]
    exact = stats.mannwhitneyu(cells.X[in_domain, 3], cells.X[~in_domain, 3], method="asymptotic", use_continuity=False)
    assert np.log10(row["pvalue"]) == pytest.approx(np.log10(exact.pvalue), rel=1e-3)
    assert row["share_in"] == pytest.approx((section.X[in_domain, 3] > 0).mean())
    assert row["share_out"] == pytest.approx((section.X[~in_domain, 3] > 0).mean())


def test_unlabeled_spots_and_small_labels_are_left_out(section):
    adata = section.copy()
    label = adata.obs["domain"].astype(object)
    label.iloc[:50] = None
    label.iloc[50:52] = "two"
    adata.obs["mine"] = label
    before = adata.copy()
    table = sx.tl.markers(adata, groupby="mine", n=4)
    assert set(table["domain"]) == {"domain1", "domain2", "domain3"}
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.uns) == set(before.uns)
    np.testing.assert_array_equal(adata.X, before.X)


def test_invalid_arguments_raise(section):
    with pytest.raises(sx.InputError, match=r"call sx\.tl\.domains"):
        sx.tl.markers(section)
    with pytest.raises(sx.InputError, match="groupby='layer'"):
        sx.tl.markers(section, groupby="layer")
    adata = section.copy()
    adata.obs["one"] = "a"
    with pytest.raises(sx.InputError, match="1 label"):
        sx.tl.markers(adata, groupby="one")
    with pytest.raises(sx.InputError, match="n=0"):
        sx.tl.markers(section, groupby="domain", n=0)


def test_missing_label_differs_from_empty_label(section):
    adata = section.copy()
    label = adata.obs["domain"].astype(object).replace("domain1", "")
    label[label == "domain3"] = None
    adata.obs["mine"] = label
    table = sx.tl.markers(adata, groupby="mine", n=5)
    assert table["domain"].unique().tolist() == ["", "domain2"]
    part = adata[label.notna()].copy()
    pd.testing.assert_frame_equal(sx.tl.markers(part, groupby="mine", n=5), table)
