"""Embeddings of sections are matched by the name and the spots of the section."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from tests._adata.messages import error_message

from spacex import _adata
from spacex.imaging.grid import Grid

SOME = np.array([1, 2, 4])
Z = np.arange(3 * 3 * 2, dtype=np.float64).reshape(3, 3, 2) + 1  # three sections, three genes, two dimensions


@pytest.fixture
def embedded() -> AnnData:
    """Sections c, a and b of 10, 11 and 12 spots, in this order."""
    adata = AnnData(np.ones((33, 5), dtype=np.float32))
    adata.obs["slice"] = ["c"] * 10 + ["a"] * 11 + ["b"] * 12
    adata.obs["other"] = adata.obs["slice"].to_numpy()
    pixel = np.column_stack([np.zeros(33), np.arange(33) % 12])
    grids = [Grid((1, 12), "square", 1.0, 1.0)] * 3
    _adata.write_grid(adata, grids, pixel, ["a", "b", "c"], spatial_key="spatial", library_key="slice")
    _adata.write_components(adata, np.random.default_rng(0).normal(size=(33, 2)), np.arange(33))
    _adata.write_section_embeddings(adata, SOME, Z)
    return adata


def read(adata: AnnData, key: str = "slice") -> np.ndarray:
    return _adata.read_section_embeddings(adata, key)


def test_section_embeddings_are_written_genes_first(embedded: AnnData) -> None:
    full = embedded.varm["X_spacex_sections"]
    assert (full.shape, full.dtype) == ((5, 3, 2), np.float32)
    for row, gene in enumerate(SOME):
        np.testing.assert_array_equal(full[gene], Z[:, row])
    assert np.isnan(full[[0, 3]]).all()
    np.testing.assert_array_equal(read(embedded), full)
    entry = _adata.read_uns_entry(embedded, "sections")
    assert entry["library_key"] == "slice"
    assert entry["name"].tolist() == ["a", "b", "c"]
    assert entry["n_spots"].tolist() == [11, 12, 10]
    _adata.write_section_embeddings(embedded, SOME, None)
    assert "X_spacex_sections" not in embedded.varm
    assert not _adata.read_uns_entry(embedded, "sections")
    _adata.write_section_embeddings(embedded, SOME, None)  # no slot to delete
    assert error_message(lambda: read(embedded)) == (
        "varm[\"X_spacex_sections\"] has no embeddings by 'slice': they are missing; "
        "call sx.tl.embed(adata, library_key='slice')"
    )


def test_other_library_key_raises(embedded: AnnData) -> None:
    for key in ("slice", "other"):  # the key of a later grid does not matter
        pixel, grids = embedded.obsm["spacex_pixel"], [Grid((1, 12), "square", 1.0, 1.0)] * 3
        _adata.write_grid(embedded, grids, pixel, ["a", "b", "c"], spatial_key="spatial", library_key=key)
        assert error_message(lambda: read(embedded, "other")) == (
            "varm[\"X_spacex_sections\"] has no embeddings by 'other': they were computed with 'slice'; "
            "call sx.tl.embed(adata, library_key='other')"
        )
        assert read(embedded).shape == (5, 3, 2)


def test_subsets_of_sections(embedded: AnnData) -> None:
    full = embedded.varm["X_spacex_sections"]
    for names in (["a", "c"], ["b"], ["b", "c"]):
        part = embedded[embedded.obs["slice"].isin(names)].copy()
        np.testing.assert_array_equal(read(part), full[:, ["abc".index(name) for name in names]])
    np.testing.assert_array_equal(read(embedded[::-1].copy()), full)  # spots in any order
    np.testing.assert_array_equal(read(embedded[np.arange(33) != 15].copy()), full)  # one spot removed


def test_unknown_sections_raise(embedded: AnnData) -> None:
    embedded.obs["slice"] = embedded.obs["slice"].replace({"b": "e", "a": "d"})
    assert error_message(lambda: read(embedded)) == (
        "section(s) d, e of obs['slice'] were not embedded (available: a, b, c); "
        "call sx.tl.embed(adata, library_key='slice')"
    )


@pytest.mark.parametrize("names", [{"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}])
@pytest.mark.parametrize("n_spots", [10, 12])
def test_swapped_names_of_sections_raise(embedded: AnnData, names: dict[str, str], n_spots: int) -> None:
    if n_spots == 10:  # all of one size
        embedded = embedded[[*range(20), *range(21, 31)]].copy()
        _adata.write_section_embeddings(embedded, SOME, Z)
        assert _adata.read_uns_entry(embedded, "sections")["n_spots"].tolist() == [10, 10, 10]
    read(embedded)
    embedded.obs["slice"] = embedded.obs["slice"].replace(names)
    assert "has other spots than when it was embedded; call sx.tl.embed" in error_message(lambda: read(embedded))


def test_files_of_earlier_versions_are_read(embedded: AnnData) -> None:
    full = embedded.varm["X_spacex_sections"]
    del embedded.uns["spacex"]["sections"]
    np.testing.assert_array_equal(read(embedded), full)
    assert "they were computed with 'slice'" in error_message(lambda: read(embedded, "other"))
    assert error_message(lambda: read(embedded[embedded.obs["slice"] != "b"].copy())) == (
        "varm[\"X_spacex_sections\"] holds 3 section(s), and 2 are named by 'slice'; "
        "call sx.tl.embed(adata, library_key='slice')"
    )
    del embedded.uns["spacex"]["grid"]
    assert "computed with ''" in error_message(lambda: read(embedded))


def test_damaged_slots_raise(embedded: AnnData) -> None:
    del embedded.uns["spacex"]["sections"]["mark"]
    assert "is not what SpaCEX wrote (mark missing)" in error_message(lambda: read(embedded))
    del embedded.uns["spacex"]["sections"]
    embedded.varm["X_spacex_sections"] = np.ones((5, 3))
    assert 'varm["X_spacex_sections"] is not what SpaCEX wrote (of shape (5, 3)' in error_message(
        lambda: read(embedded)
    )
