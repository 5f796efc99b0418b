"""Each slot of results: its location, type, and errors if it is missing or damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._adata.messages import error_message

from spacex import _adata

GENES, SPOTS = ["c", "a", "b", "e", "d"], 6
SOME = np.array([1, 2, 4])  # a, b and d


@pytest.fixture
def bare() -> AnnData:
    adata = AnnData(np.zeros((SPOTS, len(GENES)), dtype=np.float32))
    adata.var_names, adata.obs_names = GENES, [f"spot{i}" for i in range(SPOTS)]
    return adata


# -- genes -------------------------------------------------------------------------------------------------


def test_gene_indices_are_sorted_by_name(bare: AnnData) -> None:
    assert _adata.indices_sorted_by_name(bare, np.ones(5, dtype=bool)).tolist() == [1, 2, 0, 4, 3]
    assert _adata.indices_sorted_by_name(bare, np.array([True, False, True, True, False])).tolist() == [2, 0, 3]
    none = _adata.indices_sorted_by_name(bare, np.zeros(5, dtype=bool))
    assert none.tolist() == []
    assert none.dtype == np.int64


@pytest.mark.parametrize("numbers", [SOME, SOME[::-1], np.isin(np.arange(5), SOME)], ids=["up", "down", "mask"])
def test_embedding_is_aligned_with_genes(bare: AnnData, numbers: np.ndarray) -> None:
    z = np.arange(6, dtype=np.float64).reshape(3, 2)
    _adata.write_embedding(bare, numbers, z)
    full = bare.varm["X_spacex"]
    assert full.dtype == np.float32
    np.testing.assert_array_equal(full[numbers], z)
    assert np.isnan(full[[0, 3]]).all()
    np.testing.assert_array_equal(_adata.read_embedding(bare), full)


def test_embedding_is_read_in_single_precision(bare: AnnData) -> None:
    bare.varm["X_spacex"] = np.ones((5, 2))
    assert _adata.read_embedding(bare).dtype == np.float32


def text(z: np.ndarray) -> np.ndarray:
    return z.astype(str).astype(object)


@pytest.mark.parametrize(
    "change",
    [lambda z: z[..., None], sp.csr_matrix, text, lambda z: z * 1j],
    ids=["3-D", "sparse", "text", "complex"],
)
def test_invalid_embedding_raises(bare: AnnData, change: Callable[[np.ndarray], Any]) -> None:
    bare.varm["X_spacex"] = change(np.ones((5, 2)))
    message = error_message(lambda: _adata.read_embedding(bare))
    assert message.startswith('varm["X_spacex"] is not what SpaCEX wrote (')
    assert message.endswith("; call sx.tl.embed(adata)")


def test_embedding_without_genes_raises(bare: AnnData) -> None:
    for z in (np.full((5, 2), np.nan), np.full((5, 2), np.inf), np.empty((5, 0))):
        bare.varm["X_spacex"] = z
        assert error_message(lambda: _adata.read_embedding(bare)) == (
            'varm["X_spacex"] holds no embedding of any of these genes; call sx.tl.embed(adata)'
        )


def test_partly_missing_rows_are_not_embedded(bare: AnnData) -> None:
    z = np.ones((5, 2), dtype=np.float32)
    z[1, 0], z[3, 1] = np.nan, np.inf
    bare.varm["X_spacex"] = z
    read = _adata.read_embedding(bare)
    np.testing.assert_array_equal(np.isnan(read), np.isin(np.arange(5), [1, 3])[:, None].repeat(2, axis=1))
    assert bare.varm["X_spacex"][1, 1] == 1  # the slot is unchanged


def modules(adata: AnnData) -> list[str]:
    return _adata.read_modules(adata).cat.categories.tolist()


def test_modules_may_have_names(bare: AnnData) -> None:
    _adata.write_modules(bare, np.arange(5), np.array([1, -1, 0, 0, 1]), np.full(5, 0.5))
    bare.var["spacex_module"] = bare.var["spacex_module"].cat.rename_categories({"0": "Myelin", "1": "Glia"})
    assert _adata.read_modules(bare).equals(bare.var["spacex_module"])
    bare.var["spacex_module"] = bare.var["spacex_module"].astype(str)  # as read from CSV
    assert _adata.read_modules(bare).tolist() == ["Glia", "unassigned", "Myelin", "Myelin", "Glia"]
    assert modules(bare) == ["Glia", "Myelin", "unassigned"]
    bare.var["spacex_module"] = [10, 2, 2, 0, 10]
    assert modules(bare) == ["0", "2", "10"]
    bare.var["spacex_module"] = pd.Categorical(["a", None, "b", "a", "a"], categories=["b", "a"])
    assert _adata.read_modules(bare).tolist() == ["a", "unassigned", "b", "a", "a"]
    assert modules(bare) == ["b", "a", "unassigned"]


def test_columns_of_results_hold_numbers(bare: AnnData) -> None:
    assert error_message(lambda: _adata.read_module_probability(bare)) == (
        'var["spacex_module_prob"] is missing; call sx.tl.modules(adata)'
    )
    assert error_message(lambda: _adata.read_svg(bare, "score")) == (
        'the genes were not tested yet: var["spacex_svg_score"] is missing; call sx.tl.svg(adata)'
    )
    for column in ("spacex_module_prob", "spacex_svg_score"):
        bare.var[column] = pd.array([1, None, 0, 1, 1], dtype="Int64")
    for read in (_adata.read_module_probability, lambda adata: _adata.read_svg(adata, "score")):
        np.testing.assert_array_equal(read(bare), [1, np.nan, 0, 1, 1])
    for column in ("spacex_module_prob", "spacex_svg_score"):
        bare.var[column] = ["high"] * 5
    assert error_message(lambda: _adata.read_module_probability(bare)) == (
        'var["spacex_module_prob"] does not hold numbers; call sx.tl.modules(adata)'
    )
    assert error_message(lambda: _adata.read_svg(bare, "score")) == (
        'var["spacex_svg_score"] does not hold numbers; call sx.tl.svg(adata)'
    )
    bare.obs["spacex_pattern"] = ["high"] * SPOTS
    assert error_message(lambda: _adata.read_pattern(bare)) == (
        'obs["spacex_pattern"] does not hold numbers; call sx.tl.pattern(adata, ...)'
    )


@pytest.mark.parametrize(
    ("components", "message"),
    [
        (np.ones((SPOTS, 3)), 'obsm["spacex_components"] has 3 dimensions and varm["X_spacex"] has 2; call'),
        (np.full((SPOTS, 2), np.nan), 'obsm["spacex_components"] holds 12 NaN or infinite value(s); all must be fin'),
        (np.ones((SPOTS, 2, 1)), 'obsm["spacex_components"] is not what SpaCEX wrote (of shape (6, 2, 1) and type'),
    ],
)
def test_damaged_components_raise(bare: AnnData, components: np.ndarray, message: str) -> None:
    bare.varm["X_spacex"], bare.obsm["spacex_components"] = np.ones((5, 2)), components
    error = error_message(lambda: _adata.read_components(bare, np.zeros(SPOTS, dtype=int), 1))
    assert error.startswith(message)
    assert error.endswith("call sx.tl.embed(adata)")


def test_damaged_uns_raises(bare: AnnData) -> None:
    assert _adata.read_uns_entry(bare, "embed") == {}
    assert error_message(lambda: _adata.read_uns_entry(bare, "embed", "seed", "n_modules")) == (
        'uns["spacex"]["embed"] is not what SpaCEX wrote (seed, n_modules missing); call sx.tl.embed(adata)'
    )
    bare.uns["spacex"] = {"grid": "text", "embed": {"layer": np.ones(3)}}
    assert error_message(lambda: _adata.read_uns_entry(bare, "grid")) == (
        'uns["spacex"]["grid"] is not what SpaCEX wrote (it is a str); call sx.pp.rasterize(adata)'
    )
    assert error_message(lambda: _adata.read_embedded_layer(bare)).endswith("is not a name; call sx.tl.embed(adata)")
    bare.uns["spacex"] = "text"
    for call in (
        lambda: _adata.read_uns_entry(bare, "grid"),
        lambda: _adata.write_uns(bare, grid={}),
        lambda: _adata.has_grid(bare),
    ):
        assert error_message(call) == (
            'uns["spacex"] is a str, not what SpaCEX wrote; delete it, del adata.uns["spacex"], '
            "and call sx.tl.embed(adata)"
        )


def test_modules_are_numbers_as_text(bare: AnnData) -> None:
    _adata.write_modules(bare, SOME, np.array([1, -1, 0]), np.array([0.5, 0.25, 0.75]))
    assert bare.var["spacex_module"].tolist() == ["unassigned", "1", "unassigned", "unassigned", "0"]
    assert bare.var["spacex_module"].cat.categories.tolist() == ["0", "1", "unassigned"]
    np.testing.assert_array_equal(bare.var["spacex_module_prob"], [np.nan, 0.5, 0.25, np.nan, 0.75])
    assert _adata.read_modules(bare).equals(bare.var["spacex_module"])
    _adata.write_modules(bare, SOME[:0], np.array([], dtype=int), np.array([]))
    assert bare.var["spacex_module"].cat.categories.tolist() == ["unassigned"]
    assert (bare.var["spacex_module"] == "unassigned").all()


def test_genes_without_embedding_raise(bare: AnnData) -> None:
    _adata.write_embedding(bare, SOME, np.ones((3, 2)))
    assert _adata.embedded_gene_indices(bare, ["d", "a"], name="genes").tolist() == [4, 1]
    assert error_message(lambda: _adata.embedded_gene_indices(bare, ["c", "a", "e"], name="around")) == (
        "around: c, e have too few counts and were not embedded; leave them out"
    )
    bare.varm["X_spacex"][:4] = np.nan
    assert "c, a, b, e have too few" in error_message(lambda: _adata.embedded_gene_indices(bare, GENES, name="genes"))
    many = error_message(lambda: _adata.embedded_gene_indices(bare, ["c"] * 9, name="genes"))
    assert many.startswith("genes: c, c, c, c, c have too few")
    bare.varm["X_spacex"][:4] = [[1.0, np.nan]]  # partly missing
    assert "c have too few" in error_message(lambda: _adata.embedded_gene_indices(bare, ["c"], name="genes"))


def test_genes_are_found_by_name(bare: AnnData) -> None:
    assert [_adata.gene_index(bare, gene) for gene in GENES] == [0, 1, 2, 3, 4]
    assert error_message(lambda: _adata.gene_index(bare, ["a"])) == "gene=['a'] is not a name; pass one name, as text"
    bare.var_names = ["Mbp1", "mbp2", "Mbp3", "Mbp4", "Gfap"]
    assert error_message(lambda: _adata.gene_index(bare, "MBP")) == (
        "gene 'MBP' is not among the 5 genes of this section; close to it: Mbp4, Mbp3, mbp2"
    )
    assert error_message(lambda: _adata.gene_index(bare, "gfa")) == (
        "gene 'gfa' is not among the 5 genes of this section; close to it: Gfap"
    )
    bare.var_names = ["Mbp", "mbp2", "Mbp", "Mbp", "Gfap"]
    assert _adata.gene_index(bare, "Gfap") == 4
    assert error_message(lambda: _adata.gene_index(bare, "Mbp")) == (
        "gene 'Mbp' is the name of 3 genes; call adata.var_names_make_unique()"
    )
    bare.var_names = ["Mbp1", "mbp2", "Mbp3", "Mbp4", "Gfap"]
    assert (
        error_message(lambda: _adata.gene_index(bare, "Xist")) == "gene 'Xist' is not among the 5 genes of this section"
    )


def test_svg_results_are_written_by_name(bare: AnnData) -> None:
    _adata.write_svg(bare, score=np.arange(5), scale=np.full(5, 2, dtype=np.int8))
    assert bare.var["spacex_svg_score"].tolist() == [0, 1, 2, 3, 4]
    assert bare.var["spacex_svg_scale"].tolist() == [2] * 5
    assert {bare.var[f"spacex_svg_{name}"].dtype for name in ("score", "scale")} == {np.dtype(np.float64)}
    score = np.arange(10.0).reshape(5, 2)
    _adata.write_svg_sections(bare, score)
    np.testing.assert_array_equal(bare.varm["spacex_svg_sections"], score)
    _adata.write_svg_sections(bare, None)
    assert "spacex_svg_sections" not in bare.varm
    _adata.write_svg_sections(bare, None)


# -- pairs of genes ----------------------------------------------------------------------------------------


def test_interactions_are_symmetric_and_sparse(bare: AnnData) -> None:
    pairs, probability = np.array([[0, 1], [2, 4], [1, 3]]), np.array([0.5, 0.0, 0.25])
    _adata.write_interactions(bare, pairs, probability)
    stored = bare.varp["spacex_interactions"]
    assert (stored.dtype, stored.format, stored.shape, stored.nnz) == (np.float32, "csr", (5, 5), 4)
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[1, 0] = 0.5
    expected[1, 3] = expected[3, 1] = 0.25
    np.testing.assert_array_equal(stored.toarray(), expected)
    bare.varp["spacex_interactions"] = expected  # dense, as other tools may write it
    read = _adata.read_interactions(bare)
    assert read.format == "csr"
    np.testing.assert_array_equal(read.toarray(), expected)


# -- spots -------------------------------------------------------------------------------------------------


def test_components_of_pixels_and_spots(bare: AnnData) -> None:
    components = np.arange(8, dtype=np.float64).reshape(4, 2)
    pixel = np.array([3, -1, 0, 0, 2, 1])
    _adata.write_components(bare, components, pixel)
    written = bare.obsm["spacex_components"]
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written[1], 0)  # a spot without counts
    np.testing.assert_array_equal(written[[0, 2, 3, 4, 5]], components[[3, 0, 0, 2, 1]])
    bare.varm["X_spacex"] = np.ones((5, 2))
    read = _adata.read_components(bare, pixel, 4)
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, components)
    assert _adata.read_components(bare, pixel, 5).shape == (5, 2)
    np.testing.assert_array_equal(_adata.read_components(bare, pixel, 5)[4], 0)


def test_domains_are_numbers_as_text(bare: AnnData) -> None:
    features = np.arange(12.0).reshape(SPOTS, 2)
    probability = np.linspace(0, 1, SPOTS, dtype=np.float32)
    _adata.write_domains(bare, np.array([1, 0, 1, -1, 0, 1]), probability, features)
    domain = bare.obs["spacex_domain"]
    assert domain.cat.categories.tolist() == ["0", "1"]
    assert domain.cat.codes.tolist() == [1, 0, 1, -1, 0, 1]
    np.testing.assert_array_equal(bare.obs["spacex_domain_prob"], probability)
    assert bare.obs["spacex_domain_prob"].dtype == np.float64
    np.testing.assert_array_equal(bare.obsm["X_spacex_spots"], features)
    assert bare.obsm["X_spacex_spots"].dtype == np.float32
    _adata.write_domains(bare, np.full(SPOTS, -1), probability, features)
    assert bare.obs["spacex_domain"].cat.categories.tolist() == []
    _adata.write_domains(bare, np.zeros(SPOTS, dtype=int), probability, features)
    assert bare.obs["spacex_domain"].cat.categories.tolist() == ["0"]


def test_patterns_are_weights_of_spots(bare: AnnData) -> None:
    weights = np.array([0, 1, np.nan, 0.5, 1, 0], dtype=np.float32)
    _adata.write_pattern(bare, weights)
    assert bare.obs["spacex_pattern"].dtype == np.float64
    np.testing.assert_array_equal(_adata.read_pattern(bare), weights)
    bare.obs["spacex_pattern"] = [0, 1, 0, 1, 1, 0]
    assert _adata.read_pattern(bare).dtype == np.float64


# -- missing results ---------------------------------------------------------------------------------------

MISSING = {
    "embedding": (
        _adata.read_embedding,
        'the genes have no embedding yet: varm["X_spacex"] is missing; call sx.tl.embed(adata)',
    ),
    "modules": (
        _adata.read_modules,
        'the genes have no modules yet: var["spacex_module"] is missing; call sx.tl.embed(adata)',
    ),
    "components": (
        lambda adata: _adata.read_components(adata, np.zeros(SPOTS, dtype=int), 1),
        'obsm["spacex_components"] is missing; call sx.tl.embed(adata)',
    ),
    "interactions": (
        _adata.read_interactions,
        'there are no interactions yet: varp["spacex_interactions"] is missing; call sx.tl.interactions(adata)',
    ),
    "pattern": (
        _adata.read_pattern,
        'there is no query pattern yet: obs["spacex_pattern"] is missing; call sx.tl.pattern(adata, ...)',
    ),
    "grid": (
        _adata.read_grid,
        'the spots have no pixels yet: obsm["spacex_pixel"] is missing; call sx.pp.rasterize(adata)',
    ),
}


@pytest.mark.parametrize("what", MISSING)
def test_missing_results_name_the_call_that_writes_them(bare: AnnData, what: str) -> None:
    read, message = MISSING[what]
    assert error_message(lambda: read(bare)) == message


def test_other_types_than_anndata_raise() -> None:
    assert error_message(lambda: _adata.prepare_adata([1])) == "adata is a list, not an AnnData; pass one"
    assert error_message(lambda: _adata.prepare_adata("a.h5ad", name="reference")) == (
        "reference is a str, not an AnnData; read it first: sx.read(path)"
    )


# -- restore after errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_slots_are_restored_after_an_error(bare: AnnData, error: type[BaseException]) -> None:
    bare.varm["X_spacex"] = before = np.ones((5, 2))
    bare.var["rank"], bare.uns["mine"] = range(5), {"a": 1}
    index = bare.obs.index

    def fail() -> None:
        _adata.write_embedding(bare, SOME, np.zeros((3, 4)))
        _adata.write_components(bare, np.zeros((1, 4)), np.zeros(SPOTS, dtype=int))
        _adata.write_interactions(bare, np.array([[0, 1]]), np.array([0.5]))
        _adata.write_svg(bare, score=np.zeros(5))
        _adata.write_pattern(bare, np.zeros(SPOTS))
        _adata.write_uns(bare, seed=3)
        del bare.uns["mine"], bare.var["rank"]
        raise error

    with pytest.raises(error), _adata.restore_on_error(bare):
        fail()
    np.testing.assert_array_equal(bare.varm["X_spacex"], before)
    assert (list(bare.varm), list(bare.obsm), list(bare.varp)) == (["X_spacex"], [], [])
    assert bare.uns == {"mine": {"a": 1}}
    assert bare.var["rank"].tolist() == list(range(5))
    assert (list(bare.var), list(bare.obs)) == (["rank"], [])
    assert bare.obs.index.equals(index)


def test_slots_are_written_without_an_error(bare: AnnData) -> None:
    with _adata.restore_on_error(bare):
        _adata.write_pattern(bare, np.zeros(SPOTS))
    assert "spacex_pattern" in bare.obs


# -- uns ---------------------------------------------------------------------------------------------------


def test_uns_entries_are_of_types_that_files_support(bare: AnnData) -> None:
    bare.uns["spacex"] = {"mine": 1}
    _adata.write_uns(bare, embed={"layer": "raw", "seed": 3, "none": None, 7: [1, 2]}, seed=4)
    assert _adata.read_uns_entry(bare, "embed")["layer"] == "raw"
    assert _adata.read_embedded_layer(bare) == "raw"
    assert set(_adata.read_uns_entry(bare, "embed")) == {"layer", "seed", "7"}
    np.testing.assert_array_equal(_adata.read_uns_entry(bare, "embed")["7"], [1, 2])
    assert isinstance(_adata.read_uns_entry(bare, "embed")["7"], np.ndarray)
    assert (bare.uns["spacex"]["mine"], bare.uns["spacex"]["seed"]) == (1, 4)
    versions = bare.uns["spacex"]["versions"]
    packages = {"spacex-st", "anndata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch"}
    assert set(versions) == packages
    assert versions["numpy"] == np.__version__
    _adata.write_uns(bare, embed={"layer": ""})
    assert _adata.read_embedded_layer(bare) is None
    assert (_adata.read_uns_entry(bare, "svg"), _adata.read_uns_entry(AnnData(np.ones((2, 2))), "embed")) == ({}, {})
    assert _adata.read_embedded_layer(AnnData(np.ones((2, 2)))) is None


def test_missing_packages_have_no_version(bare: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacex._adata.uns.PACKAGES", ("no-such-package", "numpy"))
    _adata.write_uns(bare)
    assert set(bare.uns["spacex"]["versions"]) == {"spacex-st", "numpy"}
