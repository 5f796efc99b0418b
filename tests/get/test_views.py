"""Tables, values and categories that `spacex.get` derives; none of them changes the AnnData."""

import inspect

import numpy as np
import pandas as pd
import pytest
from tests.invalid_input.cases import state

import spacex as sx
from spacex import get

VIEWS = [name for name in get.__all__ if not inspect.isclass(getattr(get, name))]
ARGUMENTS = {"gene_values": (["gene0001"],), "module_genes": ("0",), "spot_categories": ("domain",)}


@pytest.fixture(scope="module")
def analyzed():
    adata = sx.datasets.toy()
    sx.tl.embed(adata, n_modules=4, progress=False)
    sx.tl.svg(adata, progress=False)
    sx.tl.interactions(adata)
    adata.varm["X_spacex_umap"] = adata.varm["X_spacex"][:, :2].astype(float)
    return adata


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "module_terms"])
def test_views_change_nothing(analyzed, name):
    before = state(analyzed)
    getattr(get, name)(analyzed, *ARGUMENTS.get(name, ()))
    assert state(analyzed) == before


@pytest.mark.parametrize("name", VIEWS)
def test_views_check_their_first_argument(name):
    with pytest.raises(sx.InputError, match=r"AnnData|lacks the columns"):
        getattr(get, name)("section.h5ad", *ARGUMENTS.get(name, ("0",) if name == "module_terms" else ()))


def test_gene_table(analyzed):
    genes = sx.get.gene_table(analyzed)
    counts = analyzed.X.toarray()
    assert list(genes["gene"]) == list(analyzed.var_names)
    np.testing.assert_allclose(genes["strength"], np.linalg.norm(analyzed.varm["X_spacex"], axis=1), rtol=1e-5)
    np.testing.assert_array_equal(genes["svg_qvalue"], analyzed.var["spacex_svg_qvalue"])
    np.testing.assert_allclose(genes["mean_count"], counts.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(genes["mean_count"], sx.get.mean_expression(analyzed))
    np.testing.assert_allclose(genes["detected"], (counts > 0).mean(axis=0))


def test_module_table_names_the_most_significant_terms(analyzed):
    simulated = {f"set {name}": list(genes) for name, genes in analyzed.var.groupby("module").groups.items()}
    enrichment = sx.tl.enrich(analyzed, simulated)
    modules = sx.get.module_table(analyzed, enrichment)
    assert modules["size"].sum() == (analyzed.var["spacex_module"] != "unassigned").sum()
    for _, row in modules.iterrows():
        selected = enrichment[(enrichment["module"] == row["module"]) & (enrichment["qvalue"] < 0.05)]
        assert row["terms"] == "; ".join(selected.sort_values("qvalue")["term"].head(3))
        assert row["top_genes"].split(",")[0] == analyzed.var_names[sx.get.module_genes(analyzed, row["module"])[0]]
    assert "terms" not in sx.get.module_table(analyzed)
    with pytest.raises(sx.InputError, match="enrichment lacks the columns qvalue"):
        sx.get.module_table(analyzed, enrichment.drop(columns="qvalue"))


def test_evidence_is_the_sum_of_probabilities(analyzed):
    modules = sx.get.module_table(analyzed)
    by_module = analyzed.var.groupby(analyzed.var["spacex_module"].astype(str))["spacex_module_prob"]
    np.testing.assert_allclose(modules["evidence"], by_module.sum()[modules["module"]])
    np.testing.assert_allclose(modules["evidence"], modules["size"] * modules["probability"])
    assert modules["evidence"].is_monotonic_decreasing
    assert "stable" not in modules


@pytest.mark.parametrize("genes", ["gene0003", ["gene0003", "gene0001"], [2, 0], np.array([2, 0])])
def test_genes_are_selected_by_name_or_position(analyzed, genes):
    values, label = sx.get.gene_values(analyzed, genes, value="counts")
    np.testing.assert_array_equal(values, analyzed.X[:, [2, 0]].toarray().T[: len(values)])
    assert label == "counts"
    assert len(values) == (1 if isinstance(genes, str) else 2)


def test_interaction_partners_are_sorted_by_probability(analyzed):
    partners = sx.get.interaction_partners(analyzed, n=3)
    probability = pd.DataFrame.sparse.from_spmatrix(analyzed.varp["spacex_interactions"]).to_numpy()
    for gene, rows in partners.groupby("gene", sort=False):
        row = probability[analyzed.var_names.get_loc(gene)]
        np.testing.assert_array_equal(rows["probability"], np.sort(row[row > 0])[::-1][:3])
        np.testing.assert_array_equal(rows["probability"], row[analyzed.var_names.get_indexer(rows["partner"])])
    assert set(partners["gene"]) == set(analyzed.var_names[(probability > 0).any(axis=1)])


def test_connected_genes_come_from_all_modules_in_turn(analyzed):
    genes = sx.get.connected_genes(analyzed, n=8)
    modules = list(analyzed.var["spacex_module"].astype(str).iloc[genes])
    assert len(set(modules[:4])) == 4
    assert sorted(modules[:4]) == sorted(modules[4:])
    degree = np.asarray(analyzed.varp["spacex_interactions"].sum(axis=1)).ravel()
    for gene, module in zip(genes[:4], modules[:4], strict=True):
        assert degree[gene] == degree[analyzed.var["spacex_module"].astype(str) == module].max()


def test_categories_are_text_in_the_order_of_numbers():
    adata = sx.datasets.toy()
    adata.obs["number"] = pd.Series([10, 9, np.nan] * 100, adata.obs_names, dtype="Int64")
    assert list(sx.get.spot_categories(adata, "number").categories) == ["9", "10"]
    assert sx.get.spot_categories(adata, "number").isna().sum() == 100
    adata.obs["label"] = pd.Categorical(["b"] * 300, categories=["c", "b"])
    assert list(sx.get.spot_categories(adata, "label").categories) == ["b"]
    with pytest.raises(sx.InputError, match=r"sx\.tl\.domains"):
        sx.get.spot_categories(adata)


def test_training_history_has_a_table_for_each_stage(analyzed):
    history = sx.get.training_history(analyzed)
    assert list(history) == ["mixture"]
    assert history["mixture"].columns[0] == "iteration"
    stored = analyzed.uns["spacex"]["history"]["mixture"]
    np.testing.assert_array_equal(history["mixture"]["objective"], stored["objective"])
    assert sx.get.training_history(sx.datasets.toy()) == {}
