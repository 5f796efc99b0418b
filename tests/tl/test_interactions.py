"""Interactions of genes, and the scores of given pairs."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from scipy import stats
from sklearn.metrics import roc_auc_score

import spacex as sx
from spacex._infra.errors import InputError

COLUMNS = ["gene_a", "gene_b", "similarity", "qvalue", "probability"]


@pytest.fixture(scope="module")
def fitted() -> AnnData:
    adata = sx.datasets.simulate_section(n_genes=500, n_spots=900, n_modules=8, depth=0.6, technology="st", seed=3)
    sx.tl.embed(adata, n_modules=8, progress=False)
    return adata


@pytest.fixture
def adata(fitted: AnnData) -> AnnData:
    return fitted.copy()


def pairs_of(adata: AnnData, n: int, seed: int, *, same: bool | None = None) -> pd.DataFrame:
    """Random pairs; of one module, of two genes not in one, or any."""
    rng = np.random.default_rng(seed)
    module = adata.var["module"].to_numpy()
    embedded = np.flatnonzero(np.isfinite(adata.varm["X_spacex"]).all(axis=1))
    pairs = np.unique(np.sort(rng.choice(embedded, size=(80 * n, 2)), axis=1), axis=0)
    pairs = rng.permutation(pairs[pairs[:, 0] != pairs[:, 1]])
    together = (module[pairs[:, 0]] == module[pairs[:, 1]]) & (module[pairs[:, 0]] >= 0)
    pairs = pairs if same is None else pairs[together == same]
    names = adata.var_names.to_numpy()
    return pd.DataFrame({"gene_a": names[pairs[:n, 0]], "gene_b": names[pairs[:n, 1]]})


def test_pairs_of_a_module_are_probable_and_others_are_not(adata: AnnData) -> None:
    table = pd.concat([pairs_of(adata, 150, 0, same=True), pairs_of(adata, 1500, 1, same=False)], ignore_index=True)
    found = sx.tl.score_pairs(adata, table)
    assert list(found.columns) == COLUMNS
    pd.testing.assert_frame_equal(found[["gene_a", "gene_b"]], table)
    same = np.arange(len(table)) < 150
    assert roc_auc_score(same, found["probability"]) > 0.9
    assert found["probability"][same].median() > 0.5
    assert found["probability"][~same].mean() < 0.06
    assert (found["qvalue"][same] < 0.05).mean() > 0.4
    assert same[found["qvalue"] < 0.05].mean() > 0.75
    assert found["similarity"].between(-1, 1).all()
    assert found["probability"].between(0, 1).all()


def test_order_and_sides_do_not_matter(adata: AnnData) -> None:
    table = pairs_of(adata, 60, 0)
    found = sx.tl.score_pairs(adata, table)
    turned = sx.tl.score_pairs(adata, table[::-1].rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"}))
    for column in COLUMNS[2:]:
        np.testing.assert_allclose(turned[column].to_numpy()[::-1], found[column], rtol=1e-5)
    as_list = sx.tl.score_pairs(adata, list(zip(table["gene_a"].str.upper(), table["gene_b"], strict=True)))
    np.testing.assert_allclose(as_list["probability"], found["probability"])


def test_a_section_without_patterns_gives_uniform_p_values() -> None:
    adata = sx.datasets.simulate_section(n_genes=400, n_spots=900, n_modules=0, depth=0.6, technology="st", seed=0)
    sx.tl.embed(adata, n_modules=4, progress=False)
    adata.var["module"] = -1
    found = sx.tl.score_pairs(adata, pairs_of(adata, 5000, 0))
    assert found["probability"].mean() < 0.02
    assert (found["qvalue"] < 0.05).mean() < 0.001


@pytest.mark.parametrize("by", ["same", "neighbours"])
def test_co_location_is_scored_too(adata: AnnData, by: str) -> None:
    table = pd.concat([pairs_of(adata, 100, 0, same=True), pairs_of(adata, 400, 1, same=False)], ignore_index=True)
    found = sx.tl.score_pairs(adata, table, by=by)
    assert roc_auc_score(np.arange(500) < 100, found["similarity"]) > 0.75
    assert found["probability"].between(0, 1).all()


def test_interactions_are_symmetric_sparse_and_survive_a_file(adata: AnnData, tmp_path) -> None:
    sx.tl.interactions(adata, n_neighbors=10)
    kept = adata.varp["spacex_interactions"]
    assert sp.issparse(kept)
    assert (abs(kept - kept.T) > 1e-7).nnz == 0
    assert kept.diagonal().sum() == 0
    assert 0 < kept.data.min() <= kept.data.max() <= 1
    module = adata.var["module"].to_numpy()
    a, b = kept.nonzero()
    sure = np.asarray(kept[a, b]).ravel() > 0.9
    assert ((module[a] == module[b]) & (module[a] >= 0))[sure].mean() > 0.7
    assert np.bincount(a, minlength=adata.n_vars).max() >= 10
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = read_h5ad(tmp_path / "a.h5ad")
    assert abs(back.varp["spacex_interactions"] - kept).max() == 0
    assert back.uns["spacex"]["interactions"]["n_neighbors"] == 10
    # what it says of a pair is what score_pairs says
    scored = sx.tl.score_pairs(adata, [(adata.var_names[a[0]], adata.var_names[b[0]])])
    assert scored["probability"][0] == pytest.approx(kept[a[0], b[0]], rel=1e-4)


def test_known_pairs_are_learnt_from_and_remembered(adata: AnnData, tmp_path) -> None:
    """Half of the genes' pairs of one module are known; the classifier is asked about the other genes."""
    half = np.random.default_rng(0).random(adata.n_vars) < 0.5
    names = set(adata.var_names[half])
    table = pairs_of(adata, 3000, 0, same=True)
    known = table[table["gene_a"].isin(names) & table["gene_b"].isin(names)]
    asked = pd.concat([pairs_of(adata, 3000, 1, same=same) for same in (True, False)], ignore_index=True)
    asked = asked[~asked["gene_a"].isin(names) & ~asked["gene_b"].isin(names)]
    module = adata.var["module"]
    same = module[asked["gene_a"]].to_numpy() == module[asked["gene_b"]].to_numpy()
    sx.tl.interactions(adata, known=known, seed=3)
    noted = adata.uns["spacex"]["interactions"]
    assert noted["auroc"] > 0.85
    assert noted["ece"] < 0.08
    found = sx.tl.score_pairs(adata, asked)
    assert roc_auc_score(same, found["probability"]) > 0.8
    a, b = (adata.var_names.get_indexer(asked[column]) for column in ("gene_a", "gene_b"))
    kept = np.asarray(adata.varp["spacex_interactions"][a, b]).ravel()
    assert (kept > 0).any()
    np.testing.assert_allclose(kept[kept > 0], found["probability"][kept > 0], rtol=1e-5)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = sx.tl.score_pairs(read_h5ad(tmp_path / "a.h5ad"), asked)
    np.testing.assert_allclose(back["probability"], found["probability"], rtol=1e-6)
    sx.tl.interactions(adata)  # without known pairs the classifier is gone
    assert not np.allclose(sx.tl.score_pairs(adata, asked)["probability"], found["probability"])


def test_q_values_are_those_of_benjamini_and_hochberg(adata: AnnData) -> None:
    from spacex.tl._interactions import _embedded, _Scorer

    table = pairs_of(adata, 200, 0)
    genes, z = _embedded(adata)
    place = np.searchsorted(genes, [[adata.var_names.get_loc(g) for g in row] for row in table.to_numpy()])
    scorer = _Scorer(adata, genes, z, None, 0)
    p = scorer.pvalue(place, scorer.likeness.of(place))
    np.testing.assert_allclose(sx.tl.score_pairs(adata, table)["qvalue"], stats.false_discovery_control(p))


def test_pairs_that_cannot_be_scored_are_named_and_counted(adata: AnnData, caplog) -> None:
    adata.varm["X_spacex"][5] = np.nan
    names = adata.var_names
    table = [(names[0], names[1]), ("nobody", names[1]), (names[5], names[1]), (names[2], names[2])]
    with caplog.at_level(logging.WARNING, logger="spacex"):
        found = sx.tl.score_pairs(adata, table)
    assert found["probability"].notna().tolist() == [True, False, False, False]
    (message,) = caplog.messages
    assert message.startswith("pairs: 1 of 4 pair(s) can be used")
    for words in ("1 gene(s) unknown here (nobody)", f"({names[5]})", "1 pair(s) of a gene with itself"):
        assert words in message


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (pd.DataFrame({"a": ["x"], "gene_b": ["y"]}), "no column 'gene_a'.*rename"),
        (pd.DataFrame({"gene_a": [], "gene_b": []}), "holds no pairs"),
        (pd.DataFrame({"gene_a": ["gene0001", None], "gene_b": ["gene0002", "gene0003"]}), "row 1 lacks the name"),
        ([("nobody", "gene0001")], "none of 1 pair.*unknown here .nobody.*pass symbols like"),
        ([("gene0001", "gene0001")], "each is a gene with itself"),
        ("gene0001", "not a table of pairs"),
        ([("gene0001",)], "not a table of pairs"),
        (3, "not a table of pairs"),
    ],
)
def test_bad_tables_are_refused(adata: AnnData, pairs, message: str) -> None:
    for call in (lambda: sx.tl.score_pairs(adata, pairs), lambda: sx.tl.interactions(adata, known=pairs)):
        with pytest.raises(InputError, match=message):
            call()
    assert "spacex_interactions" not in adata.varp


def test_known_pairs_of_one_gene_teach_nothing(adata: AnnData) -> None:
    names = list(adata.var_names[np.isfinite(adata.varm["X_spacex"]).all(axis=1)])
    before = dict(adata.uns["spacex"])
    with pytest.raises(InputError, match="centre on so few genes"):
        sx.tl.interactions(adata, known=[(names[0], name) for name in names[1:80]])
    assert "spacex_interactions" not in adata.varp
    assert set(adata.uns["spacex"]) == set(before)


@pytest.mark.parametrize("seed", range(3))
def test_as_few_known_pairs_as_are_allowed_are_enough(adata: AnnData, seed: int) -> None:
    sx.tl.interactions(adata, known=pairs_of(adata, 45, seed, same=True), seed=seed)
    assert 0 <= adata.uns["spacex"]["interactions"]["ece"] <= 1


def test_bad_arguments_are_refused(adata: AnnData) -> None:
    with pytest.raises(InputError, match="n_neighbors=0"):
        sx.tl.interactions(adata, n_neighbors=0)
    with pytest.raises(InputError, match="by='nearby'"):
        sx.tl.score_pairs(adata, pairs_of(adata, 5, 0), by="nearby")
    with pytest.raises(InputError, match=r"only 10 pair.*needs 40"):
        sx.tl.interactions(adata, known=pairs_of(adata, 10, 0))
    with pytest.raises(InputError, match=r"sx\.tl\.embed"):
        sx.tl.interactions(sx.datasets.simulate_section(n_genes=40, n_spots=200, n_modules=2))
    few = adata.copy()
    few.varm["X_spacex"][6:] = np.nan
    with pytest.raises(InputError, match="only 6 gene"):
        sx.tl.interactions(few)
