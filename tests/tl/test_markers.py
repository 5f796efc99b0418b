"""Markers of domains: those that tell them apart, by scanpy's test."""

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import stats

import spacex as sx

COLUMNS = ["domain", "gene", "score", "log2_fold_change", "share_in", "share_out", "pvalue", "qvalue"]


@pytest.fixture(scope="module")
def section():
    """Ten genes that are six times as frequent in one domain, among 150."""
    adata = sx.datasets.simulate_section(n_genes=150, n_spots=600, n_modules=0, n_domains=3, depth=0.6, seed=0)
    counts = adata.X.toarray()
    here = (adata.obs["domain"] == "domain2").to_numpy()
    rng = np.random.default_rng(0)
    counts[np.ix_(here, range(10))] = rng.poisson(6 * counts[:, :10].mean(axis=0), (here.sum(), 10))
    adata.X = counts
    return adata


def test_planted_markers_come_first(section):
    found = sx.tl.markers(section, groupby="domain", n=15)
    assert list(found.columns) == COLUMNS
    assert found["domain"].value_counts().to_dict() == {"domain1": 15, "domain2": 15, "domain3": 15}
    mine = found[found["domain"] == "domain2"]
    assert set(section.var_names[:10]) <= set(mine["gene"])
    planted = mine[mine["gene"].isin(section.var_names[:10])]
    assert (planted["log2_fold_change"] > 1).all()
    assert (planted["share_in"] > planted["share_out"]).all()
    assert (np.diff(mine["score"]) <= 0).all()


def test_the_test_is_the_rank_sum_of_normalised_counts(section):
    found = sx.tl.markers(section, groupby="domain", n=150)
    cells = section.copy()
    cells.X = np.asarray(cells.X, dtype=np.float32)
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    here = (cells.obs["domain"] == "domain2").to_numpy()
    row = found[(found["domain"] == "domain2") & (found["gene"] == section.var_names[3])].iloc[0]
    exact = stats.mannwhitneyu(cells.X[here, 3], cells.X[~here, 3], method="asymptotic", use_continuity=False)
    assert np.log10(row["pvalue"]) == pytest.approx(np.log10(exact.pvalue), rel=1e-3)
    assert row["share_in"] == pytest.approx((section.X[here, 3] > 0).mean())
    assert row["share_out"] == pytest.approx((section.X[~here, 3] > 0).mean())


def test_spots_without_a_label_and_small_labels_are_left_out(section):
    adata = section.copy()
    label = adata.obs["domain"].astype(object)
    label.iloc[:50] = None
    label.iloc[50:52] = "two"
    adata.obs["mine"] = label
    before = adata.copy()
    found = sx.tl.markers(adata, groupby="mine", n=4)
    assert set(found["domain"]) == {"domain1", "domain2", "domain3"}
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.uns) == set(before.uns)
    np.testing.assert_array_equal(adata.X, before.X)


def test_what_cannot_be_used(section):
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


def test_spots_without_a_label_are_not_those_with_an_empty_one(section):
    adata = section.copy()
    label = adata.obs["domain"].astype(object).replace("domain1", "")
    label[label == "domain3"] = None
    adata.obs["mine"] = label
    found = sx.tl.markers(adata, groupby="mine", n=5)
    assert found["domain"].unique().tolist() == ["", "domain2"]
    part = adata[label.notna()].copy()
    pd.testing.assert_frame_equal(sx.tl.markers(part, groupby="mine", n=5), found)
