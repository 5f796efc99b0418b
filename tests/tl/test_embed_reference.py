"""`tl.embed(reference=)`: what a reference changes, what it leaves, and the tools that use its vectors for function."""

from __future__ import annotations

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse
from tests.reference.conftest import simulate

import spacex as sx
from spacex.embedding.cofunction import REFERENCE_WEIGHT

SPARSE_GENE = "MODA1"


@pytest.fixture(scope="module")
def reference() -> sx.Reference:
    return sx.Reference.fit({f"s{seed}": simulate(seed) for seed in range(3)}, progress=False)


@pytest.fixture(scope="module")
def shallow() -> AnnData:
    """A section of another donor with a quarter of the counts; one gene has too few to be embedded."""
    adata = simulate(9)
    counts = np.random.default_rng(0).binomial(adata.X.toarray().astype(int), 0.25)
    counts[:, adata.var_names == SPARSE_GENE] = 0
    counts[:2, adata.var_names == SPARSE_GENE] = 1
    adata.X = sparse.csr_matrix(counts.astype(np.float32))
    return adata


def embedded(adata: AnnData, reference: sx.Reference | str | Path | None, **settings: object) -> AnnData:
    adata = adata.copy()
    sx.tl.embed(adata, n_modules=3, reference=reference, progress=False, **settings)
    return adata


@pytest.fixture(scope="module")
def alone(shallow: AnnData) -> AnnData:
    return embedded(shallow, None)


@pytest.fixture(scope="module")
def informed(shallow: AnnData, reference: sx.Reference) -> AnnData:
    return embedded(shallow, reference)


def same_module_auc(adata: AnnData, key: str) -> float:
    """Probability that the cosine of two genes of one module exceeds that of two genes of different modules."""
    z = adata.varm[key]
    genes = np.flatnonzero((adata.var["module"] >= 0) & np.isfinite(z).all(axis=1))
    unit = z[genes] / np.linalg.norm(z[genes], axis=1, keepdims=True)
    i, j = np.triu_indices(len(genes), 1)
    module = adata.var["module"].to_numpy()[genes]
    same, cosine = module[i] == module[j], np.einsum("nd,nd->n", unit[i], unit[j])
    order = np.argsort(np.argsort(cosine)) + 1
    return (order[same].sum() - same.sum() * (same.sum() + 1) / 2) / (same.sum() * (~same).sum())


def test_a_reference_of_other_donors_brings_genes_of_a_module_together(alone: AnnData, informed: AnnData) -> None:
    assert same_module_auc(informed, "X_spacex") > same_module_auc(alone, "X_spacex") + 0.02
    assert same_module_auc(informed, "X_spacex_cofunction") > same_module_auc(alone, "X_spacex_cofunction") + 0.02


def test_weight_and_agreement_are_stored_and_logged(
    shallow: AnnData, reference: sx.Reference, informed: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    entry = informed.uns["spacex"]["reference"]
    assert entry["weight"] > 0
    assert entry["agreement_with"] > entry["agreement_without"]
    assert entry["digest"] == reference.digest
    with caplog.at_level(logging.INFO, logger="spacex"):
        embedded(shallow, reference)
    (line,) = [record.message for record in caplog.records if record.message.startswith("reference")]
    assert f"{entry['agreement_with']:.3f}" in line


def test_only_directions_change(alone: AnnData, informed: AnnData) -> None:
    z, without = informed.varm["X_spacex"], informed.varm["X_spacex_without_reference"]
    np.testing.assert_array_equal(without, alone.varm["X_spacex"])
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.linalg.norm(without, axis=1), rtol=1e-4)
    assert np.nanmax(np.abs(z - without)) > 0.1
    for column in ("spacex_module", "spacex_module_prob", "spacex_expression_level"):
        np.testing.assert_array_equal(informed.var[column].astype(str), alone.var[column].astype(str))


def test_modules_are_those_of_the_section_alone(alone: AnnData, informed: AnnData) -> None:
    first, second = alone.copy(), informed.copy()
    for adata in (first, second):
        sx.tl.modules(adata, n_modules=4)
        sx.tl.module_stability(adata, n_seeds=1, progress=False)
    for column in ("spacex_module", "spacex_module_jaccard_halves"):
        np.testing.assert_array_equal(first.var[column].astype(str), second.var[column].astype(str))


def test_genes_with_too_few_counts_have_a_vector_from_the_reference(alone: AnnData, informed: AnnData) -> None:
    gene = informed.var_names.get_loc(SPARSE_GENE)
    assert np.isnan(informed.varm["X_spacex"][gene]).all()
    is_embedded = np.isfinite(informed.varm["X_spacex"]).all(axis=1)
    np.testing.assert_array_equal(informed.var["spacex_from_reference"], ~is_embedded)
    np.testing.assert_allclose(np.linalg.norm(informed.varm["X_spacex_cofunction"][gene]), REFERENCE_WEIGHT, rtol=1e-5)
    nearest = sx.tl.similar_genes(informed, SPARSE_GENE, n=10, space="cofunction")["gene"]
    assert nearest.str.startswith("MODA").sum() >= 8
    assert not alone.var["spacex_from_reference"].any()
    assert np.isnan(alone.varm["X_spacex_cofunction"][gene]).all()
    with pytest.raises(sx.InputError, match="not embedded"):
        sx.tl.similar_genes(informed, SPARSE_GENE)


def test_a_new_embedding_without_reference_removes_what_it_wrote(shallow: AnnData, informed: AnnData) -> None:
    again = informed.copy()
    sx.tl.embed(again, n_modules=3, reference=None, progress=False)
    expected = embedded(shallow, None)
    assert sorted(again.varm) == sorted(expected.varm)
    assert "reference" not in again.uns["spacex"]
    np.testing.assert_array_equal(again.varm["X_spacex_cofunction"], expected.varm["X_spacex_cofunction"])


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_survive_files(informed: AnnData, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    getattr(informed, f"write_{form}")(path)
    read = getattr(ad, f"read_{form}")(path)
    for slot in ("X_spacex", "X_spacex_without_reference", "X_spacex_cofunction"):
        np.testing.assert_array_equal(read.varm[slot], informed.varm[slot])
    assert read.uns["spacex"]["reference"] == informed.uns["spacex"]["reference"]
    sx.tl.modules(read, n_modules=3)
    sx.tl.pattern(read, like="MODA2")


def test_a_path_gives_the_same_result(
    shallow: AnnData, reference: sx.Reference, informed: AnnData, tmp_path: Path
) -> None:
    reference.save(tmp_path / "reference.safetensors")
    for path in (tmp_path / "reference.safetensors", str(tmp_path / "reference.safetensors")):
        adata = embedded(shallow, path)
        np.testing.assert_array_equal(adata.varm["X_spacex"], informed.varm["X_spacex"])
        assert adata.uns["spacex"]["reference"]["name"] == "reference.safetensors"


@pytest.mark.parametrize("value", ["auto", "human"])
def test_a_reference_that_knows_no_gene_is_not_used(
    shallow: AnnData, alone: AnnData, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="spacex"):
        adata = embedded(shallow, value)
    assert "knows none of the genes" in caplog.text
    assert "reference" not in adata.uns["spacex"]
    np.testing.assert_array_equal(adata.varm["X_spacex_cofunction"], alone.varm["X_spacex_cofunction"])


def test_auto_means_the_species_of_the_names() -> None:
    reference = sx.datasets.reference("mouse")
    section = sx.datasets.simulate_section(n_genes=150, n_spots=300, n_modules=3, depth=1.0)
    assert "reference" not in embedded(section, "auto").uns["spacex"]
    section.var_names = reference.genes[:150].astype(str)
    entry = embedded(section, "auto").uns["spacex"]["reference"]
    assert (entry["name"], entry["digest"]) == ("mouse", reference.digest)
    assert entry["weight"] == 0  # the genes were named at random


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "reference=3 is not a reference"),
        ("no.safetensors", "is not a file"),
        ("mouse", "mouse genes, and the genes of the section are human"),
    ],
)
def test_wrong_references_are_refused_before_any_work(shallow: AnnData, value: object, message: str) -> None:
    adata = shallow.copy()
    with pytest.raises(sx.InputError, match=message):
        sx.tl.embed(adata, reference=value, progress=False)
    assert not adata.varm
    assert "spacex" not in adata.uns


# -- the space of function in other tools -----------------------------------------------------------------------


def test_pairs_and_neighbors_use_function_if_there_is_a_reference(alone: AnnData, informed: AnnData) -> None:
    pairs = [("MODA2", "MODA3"), ("MODA2", "MODB3")]
    for adata, by in ((alone, "embedding"), (informed, "cofunction")):
        scored = sx.tl.score_pairs(adata, pairs)
        np.testing.assert_array_equal(scored["similarity"], sx.tl.score_pairs(adata, pairs, by=by)["similarity"])
    z = informed.varm["X_spacex_cofunction"][informed.var_names.get_indexer(["MODA2", "MODA3"])]
    cosine = z[0] @ z[1] / np.prod(np.linalg.norm(z, axis=1))
    assert scored["similarity"][0] == pytest.approx(cosine, abs=1e-5)
    assert scored["similarity"][0] > scored["similarity"][1]


@pytest.mark.parametrize("space", ["section", "cofunction"])
def test_the_space_of_interactions_is_stored(informed: AnnData, space: str) -> None:
    adata = informed.copy()
    sx.tl.interactions(adata, n_neighbors=4, space=space)
    by = {"section": "embedding", "cofunction": "cofunction"}[space]
    assert adata.uns["spacex"]["interactions"]["by"] == by
    stored = sparse.triu(adata.varp["spacex_interactions"]).tocoo()
    a, b = adata.var_names[stored.row[:20]], adata.var_names[stored.col[:20]]
    scored = sx.tl.score_pairs(adata, list(zip(a, b, strict=True)), by=by)
    np.testing.assert_allclose(scored["probability"], stored.data[:20], rtol=1e-5, atol=1e-7)


def test_a_classifier_scores_pairs_in_its_own_space(informed: AnnData) -> None:
    adata = informed.copy()
    modules = [[g for g in adata.var_names if g.startswith(m) and g != SPARSE_GENE] for m in ("MODA", "MODB", "MODC")]
    known = [(a, b) for genes in modules for i, a in enumerate(genes) for b in genes[:i]]
    sx.tl.interactions(adata, known=known, space="section")
    pairs = known[:5]
    by_classifier = sx.tl.score_pairs(adata, pairs)
    np.testing.assert_array_equal(by_classifier, sx.tl.score_pairs(adata, pairs, by="embedding"))
    other = sx.tl.score_pairs(adata, pairs, by="cofunction")
    assert not np.allclose(other["probability"], by_classifier["probability"])


def test_enrichment_around_a_gene_asks_the_space(informed: AnnData) -> None:
    sets = {name: [g for g in informed.var_names if g.startswith(name)] for name in ("MODA", "MODB", "MODC")}
    tables = {
        space: sx.tl.enrich(informed, sets, around="MODA2", n_neighbors=15, space=space)
        for space in ("auto", "section", "cofunction")
    }
    assert tables["auto"].equals(tables["cofunction"])
    top = tables["cofunction"].iloc[0]
    assert top["term"] == "MODA"
    assert top["overlap"] >= tables["section"].set_index("term")["overlap"].get("MODA", 0)


@pytest.mark.parametrize("tool", ["similar_genes", "enrich", "interactions"])
def test_unknown_spaces_are_refused(informed: AnnData, tool: str) -> None:
    arguments = {"similar_genes": ("MODA2",), "enrich": ({"a": ["MODA2", "MODA3"]},), "interactions": ()}[tool]
    with pytest.raises(sx.InputError, match="space='function' is not allowed"):
        getattr(sx.tl, tool)(informed.copy(), *arguments, space="function")


def test_function_needs_its_vectors(informed: AnnData) -> None:
    adata = informed.copy()
    del adata.varm["X_spacex_cofunction"]
    with pytest.raises(sx.InputError, match="call sx"):
        sx.tl.similar_genes(adata, "MODA2", space="cofunction")


def test_both_spaces_are_in_genes_as_obs(informed: AnnData) -> None:
    genes = sx.get.genes_as_obs(informed)
    assert {"X_spacex", "X_spacex_cofunction"} <= set(genes.obsm)
    assert len(genes) == np.isfinite(informed.varm["X_spacex"][:, 0]).sum()


def test_a_section_is_not_its_own_reference(shallow: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    sections = {"other": simulate(1, tissue="liver"), "same": shallow, "sister": simulate(2)}
    with caplog.at_level(logging.WARNING):
        result = embedded(shallow, sx.Reference.fit(sections, progress=False))
    assert "contains this section (same)" in caplog.text
    entry = result.uns["spacex"]["reference"]
    assert list(entry["left_out"]) == ["same", "sister"]
    assert entry["n_sections"] == 1
    expected = embedded(shallow, sx.Reference.fit({"other": sections["other"]}, progress=False))
    for key in ("X_spacex", "X_spacex_cofunction"):
        np.testing.assert_allclose(result.varm[key], expected.varm[key], atol=1e-6)


def test_a_reference_of_this_section_alone_changes_nothing(shallow: AnnData, alone: AnnData) -> None:
    result = embedded(shallow, sx.Reference.fit([shallow], progress=False))
    entry = result.uns["spacex"]["reference"]
    assert entry["weight"] == 0
    assert entry["agreement_with"] == entry["agreement_without"]
    np.testing.assert_array_equal(result.varm["X_spacex"], alone.varm["X_spacex"])
    np.testing.assert_array_equal(result.varm["X_spacex_cofunction"], alone.varm["X_spacex_cofunction"])
