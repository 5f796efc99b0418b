"""`tl.interactions` and `tl.score_pairs`: calibration, storage and validation of arguments."""

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
from spacex import _adata
from spacex._infra.errors import InputError
from spacex.pairs import PairParams
from spacex.stats import calibration_error
from spacex.tl._pair_scorer import fit_pair_scorer

COLUMNS = ["gene_a", "gene_b", "similarity", "qvalue", "probability"]


@pytest.fixture(scope="module")
def fitted() -> AnnData:
    adata = sx.datasets.simulate_section(n_genes=500, n_spots=900, n_modules=8, depth=0.6, technology="st", seed=3)
    sx.tl.embed(adata, n_modules=8, progress=False)
    return adata


@pytest.fixture
def adata(fitted: AnnData) -> AnnData:
    return fitted.copy()


def sample_pairs(adata: AnnData, n: int, seed: int, *, same: bool | None = None) -> pd.DataFrame:
    """Return random pairs of embedded genes: of one module (True), of different ones (False), or any (None)."""
    rng = np.random.default_rng(seed)
    module = adata.var["module"].to_numpy()
    embedded = np.flatnonzero(np.isfinite(adata.varm["X_spacex"]).all(axis=1))
    pairs = np.unique(np.sort(rng.choice(embedded, size=(80 * n, 2)), axis=1), axis=0)
    pairs = rng.permutation(pairs[pairs[:, 0] != pairs[:, 1]])
    is_same = (module[pairs[:, 0]] == module[pairs[:, 1]]) & (module[pairs[:, 0]] >= 0)
    pairs = pairs if same is None else pairs[is_same == same]
    names = adata.var_names.to_numpy()
    return pd.DataFrame({"gene_a": names[pairs[:n, 0]], "gene_b": names[pairs[:n, 1]]})


def test_pairs_of_one_module_have_high_probability(adata: AnnData) -> None:
    table = pd.concat(
        [sample_pairs(adata, 150, 0, same=True), sample_pairs(adata, 1500, 1, same=False)], ignore_index=True
    )
    scores = sx.tl.score_pairs(adata, table)
    assert list(scores.columns) == COLUMNS
    pd.testing.assert_frame_equal(scores[["gene_a", "gene_b"]], table)
    same = np.arange(len(table)) < 150
    assert roc_auc_score(same, scores["probability"]) > 0.9
    assert scores["probability"][same].median() > 0.5
    assert scores["probability"][~same].mean() < 0.06
    assert (scores["qvalue"][same] < 0.05).mean() > 0.4
    assert same[scores["qvalue"] < 0.05].mean() > 0.75
    assert scores["similarity"].between(-1, 1).all()
    assert scores["probability"].between(0, 1).all()


def test_scores_are_symmetric_and_keep_the_order(adata: AnnData) -> None:
    table = sample_pairs(adata, 60, 0)
    scores = sx.tl.score_pairs(adata, table)
    reversed_scores = sx.tl.score_pairs(adata, table[::-1].rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"}))
    for column in COLUMNS[2:]:
        np.testing.assert_allclose(reversed_scores[column].to_numpy()[::-1], scores[column], rtol=1e-5)
    as_list = sx.tl.score_pairs(adata, list(zip(table["gene_a"].str.upper(), table["gene_b"], strict=True)))
    np.testing.assert_allclose(as_list["probability"], scores["probability"])


def test_noise_genes_have_no_significant_pairs() -> None:
    adata = sx.datasets.simulate_section(n_genes=400, n_spots=900, n_modules=0, depth=0.6, technology="st", seed=0)
    sx.tl.embed(adata, n_modules=4, progress=False)
    adata.var["module"] = -1
    scores = sx.tl.score_pairs(adata, sample_pairs(adata, 5000, 0))
    assert scores["probability"].mean() < 0.02
    assert (scores["qvalue"] < 0.05).mean() < 0.001


@pytest.mark.parametrize("by", ["same", "neighbors"])
def test_colocation_separates_pairs_of_one_module(adata: AnnData, by: str) -> None:
    table = pd.concat(
        [sample_pairs(adata, 100, 0, same=True), sample_pairs(adata, 400, 1, same=False)], ignore_index=True
    )
    scores = sx.tl.score_pairs(adata, table, by=by)
    assert roc_auc_score(np.arange(500) < 100, scores["similarity"]) > 0.75
    assert scores["probability"].between(0, 1).all()


def test_older_spelling_of_by_is_accepted(adata: AnnData) -> None:
    table = sample_pairs(adata, 5, 0)
    pd.testing.assert_frame_equal(
        sx.tl.score_pairs(adata, table, by="neighbours"), sx.tl.score_pairs(adata, table, by="neighbors")
    )


def test_interactions_are_symmetric_sparse_and_survive_h5ad(adata: AnnData, tmp_path) -> None:
    sx.tl.interactions(adata, n_neighbors=10)
    matrix = adata.varp["spacex_interactions"]
    assert sp.issparse(matrix)
    assert (abs(matrix - matrix.T) > 1e-7).nnz == 0
    assert matrix.diagonal().sum() == 0
    assert 0 < matrix.data.min() <= matrix.data.max() <= 1
    module = adata.var["module"].to_numpy()
    a, b = matrix.nonzero()
    is_probable = np.asarray(matrix[a, b]).ravel() > 0.9
    assert ((module[a] == module[b]) & (module[a] >= 0))[is_probable].mean() > 0.7
    assert np.bincount(a, minlength=adata.n_vars).max() >= 10
    adata.write_h5ad(tmp_path / "a.h5ad")
    stored = read_h5ad(tmp_path / "a.h5ad")
    assert abs(stored.varp["spacex_interactions"] - matrix).max() == 0
    assert stored.uns["spacex"]["interactions"]["n_neighbors"] == 10
    scores = sx.tl.score_pairs(adata, [(adata.var_names[a[0]], adata.var_names[b[0]])])
    assert scores["probability"][0] == pytest.approx(matrix[a[0], b[0]], rel=1e-4)


def test_classifier_learns_from_known_pairs_and_is_stored(adata: AnnData, tmp_path) -> None:
    """Known pairs are among one half of the genes; the classifier is tested on pairs among the other half."""
    half = np.random.default_rng(0).random(adata.n_vars) < 0.5
    names = set(adata.var_names[half])
    table = sample_pairs(adata, 3000, 0, same=True)
    known = table[table["gene_a"].isin(names) & table["gene_b"].isin(names)]
    test_pairs = pd.concat([sample_pairs(adata, 3000, 1, same=same) for same in (True, False)], ignore_index=True)
    test_pairs = test_pairs[~test_pairs["gene_a"].isin(names) & ~test_pairs["gene_b"].isin(names)]
    module = adata.var["module"]
    same = module[test_pairs["gene_a"]].to_numpy() == module[test_pairs["gene_b"]].to_numpy()
    sx.tl.interactions(adata, known=known, seed=3)
    parameters = adata.uns["spacex"]["interactions"]
    assert parameters["auroc"] > 0.85
    assert parameters["ece"] < 0.08
    scores = sx.tl.score_pairs(adata, test_pairs)
    assert roc_auc_score(same, scores["probability"]) > 0.8
    a, b = (adata.var_names.get_indexer(test_pairs[column]) for column in ("gene_a", "gene_b"))
    probability = np.asarray(adata.varp["spacex_interactions"][a, b]).ravel()
    assert (probability > 0).any()
    np.testing.assert_allclose(probability[probability > 0], scores["probability"][probability > 0], rtol=1e-5)
    adata.write_h5ad(tmp_path / "a.h5ad")
    stored_scores = sx.tl.score_pairs(read_h5ad(tmp_path / "a.h5ad"), test_pairs)
    np.testing.assert_allclose(stored_scores["probability"], scores["probability"], rtol=1e-6)
    sx.tl.interactions(adata)  # a call without known pairs removes the classifier
    assert not np.allclose(sx.tl.score_pairs(adata, test_pairs)["probability"], scores["probability"])


def test_classifier_is_refitted_with_the_params_of_interactions(adata: AnnData, tmp_path) -> None:
    known, params = sample_pairs(adata, 300, 0, same=True), PairParams(n_folds=6, inverse_penalty=0.1)
    sx.tl.interactions(adata, known=known, params=params)
    adata.write_h5ad(tmp_path / "a.h5ad")
    a, b = (values[:20] for values in adata.varp["spacex_interactions"].nonzero())
    table = pd.DataFrame({"gene_a": adata.var_names[a], "gene_b": adata.var_names[b]})
    scores = sx.tl.score_pairs(read_h5ad(tmp_path / "a.h5ad"), table)
    expected = np.asarray(adata.varp["spacex_interactions"][a, b]).ravel()
    np.testing.assert_allclose(scores["probability"], expected, rtol=1e-5)
    del adata.uns["spacex"]["interactions"]["params"]  # as in files of earlier versions
    assert not np.allclose(sx.tl.score_pairs(adata, table)["probability"], expected)


def test_qvalues_are_benjamini_hochberg(adata: AnnData) -> None:
    table = sample_pairs(adata, 200, 0)
    scorer = fit_pair_scorer(adata, _adata.read_gene_names(adata))
    index = [[adata.var_names.get_loc(gene) for gene in row] for row in table.to_numpy()]
    pairs = np.searchsorted(scorer.embedded, index)
    p = scorer.pvalue(pairs, scorer.similarity.pairwise(pairs))
    np.testing.assert_allclose(sx.tl.score_pairs(adata, table)["qvalue"], stats.false_discovery_control(p))


def test_unusable_pairs_are_nan_and_named_in_a_warning(adata: AnnData, caplog) -> None:
    adata.varm["X_spacex"][5] = np.nan
    names = adata.var_names
    table = [(names[0], names[1]), ("nobody", names[1]), (names[5], names[1]), (names[2], names[2])]
    with caplog.at_level(logging.WARNING, logger="spacex"):
        scores = sx.tl.score_pairs(adata, table)
    assert scores["probability"].notna().tolist() == [True, False, False, False]
    (message,) = caplog.messages
    assert message.startswith("pairs: 1 of 4 pair(s) can be used")
    for words in ("1 gene(s) unknown (nobody)", f"({names[5]})", "1 pair(s) of a gene with itself"):
        assert words in message


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (pd.DataFrame({"a": ["x"], "gene_b": ["y"]}), "no column 'gene_a'.*rename"),
        (pd.DataFrame({"gene_a": [], "gene_b": []}), "holds no pairs"),
        (pd.DataFrame({"gene_a": ["gene0001", None], "gene_b": ["gene0002", "gene0003"]}), "row 1 .*dropna"),
        ([("nobody", "gene0001")], "none of 1 pair.*nobody.*pass symbols like"),
        ([("gene0001", "gene0001")], "a gene with itself"),
        ("gene0001", "not a table of pairs"),
        ([("gene0001",)], "not a table of pairs"),
        (3, "not a table of pairs"),
    ],
)
def test_invalid_tables_raise(adata: AnnData, pairs, message: str) -> None:
    for call in (lambda: sx.tl.score_pairs(adata, pairs), lambda: sx.tl.interactions(adata, known=pairs)):
        with pytest.raises(InputError, match=message):
            call()
    assert "spacex_interactions" not in adata.varp


def test_known_pairs_of_one_gene_raise(adata: AnnData) -> None:
    names = list(adata.var_names[np.isfinite(adata.varm["X_spacex"]).all(axis=1)])
    before = dict(adata.uns["spacex"])
    with pytest.raises(InputError, match=r"known: its 79 pairs .*pass more pairs"):
        sx.tl.interactions(adata, known=[(names[0], name) for name in names[1:80]])
    assert "spacex_interactions" not in adata.varp
    assert set(adata.uns["spacex"]) == set(before)


@pytest.mark.parametrize("seed", range(3))
def test_few_known_pairs_suffice(adata: AnnData, seed: int) -> None:
    sx.tl.interactions(adata, known=sample_pairs(adata, 45, seed, same=True), seed=seed)
    assert 0 <= adata.uns["spacex"]["interactions"]["ece"] <= 1


def test_invalid_arguments_raise(adata: AnnData) -> None:
    with pytest.raises(InputError, match="n_neighbors=0"):
        sx.tl.interactions(adata, n_neighbors=0)
    with pytest.raises(InputError, match="by='nearby'"):
        sx.tl.score_pairs(adata, sample_pairs(adata, 5, 0), by="nearby")
    with pytest.raises(InputError, match="params='fast' is not allowed; pass a PairParams"):
        sx.tl.interactions(adata, params="fast")
    with pytest.raises(InputError, match=r"only 10 pair.*needs 40"):
        sx.tl.interactions(adata, known=sample_pairs(adata, 10, 0))
    with pytest.raises(InputError, match=r"sx\.tl\.embed"):
        sx.tl.interactions(sx.datasets.simulate_section(n_genes=40, n_spots=200, n_modules=2))
    few = adata.copy()
    few.varm["X_spacex"][6:] = np.nan
    with pytest.raises(InputError, match="only 6 gene"):
        sx.tl.interactions(few)


def test_neighbors_are_related_only_if_both_genes_have_a_pattern() -> None:
    """The probability is calibrated for nearest neighbors: pairs of one planted module are related."""
    adata = sx.datasets.simulate_section(n_genes=1000, n_spots=1500, n_modules=12, depth=0.3, seed=1)
    sx.tl.embed(adata, progress=False)
    sx.tl.interactions(adata)
    pairs = sp.triu(adata.varp["spacex_interactions"]).tocoo()
    module = adata.var["module"].to_numpy()
    is_related = (module[pairs.row] == module[pairs.col]) & (module[pairs.row] >= 0)
    assert calibration_error(pairs.data, is_related) < 0.06
    assert np.mean(pairs.data[(module[pairs.row] < 0) | (module[pairs.col] < 0)] > 0.9) < 0.02
    probability = sx.tl.score_pairs(adata, [tuple(adata.var_names[[pairs.row[0], pairs.col[0]]])])["probability"][0]
    assert probability == pytest.approx(pairs.data[0], abs=1e-6)
    adata.var["spacex_module"], adata.var["spacex_module_prob"] = "unassigned", 1.0
    sx.tl.interactions(adata)
    assert not adata.varp["spacex_interactions"].nnz
