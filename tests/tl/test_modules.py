"""`tl.modules`: modules refitted to an existing embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import spacex as sx


def test_modules_are_refitted_to_the_same_embedding(toy_embedded: AnnData) -> None:
    z = toy_embedded.varm["X_spacex"].copy()
    toy_embedded.varm["X_spacex"][7] = np.nan
    sx.tl.modules(toy_embedded, n_modules=2)
    module = toy_embedded.var["spacex_module"].copy()
    assert module.cat.categories.tolist() == ["0", "1", "unassigned"]
    assert module.iloc[7] == "unassigned"
    assert np.isnan(toy_embedded.var["spacex_module_prob"].iloc[7])
    np.testing.assert_array_equal(np.delete(toy_embedded.varm["X_spacex"], 7, axis=0), np.delete(z, 7, axis=0))
    assert toy_embedded.uns["spacex"]["modules"]["n_modules"] == 2
    assert sx.Config.from_dict(toy_embedded.uns["spacex"]["parameters"]) == sx.Config()
    sx.tl.modules(toy_embedded, n_modules=2)
    pd.testing.assert_series_equal(toy_embedded.var["spacex_module"], module)


def test_the_number_of_modules_of_the_fit_gives_the_same_modules(toy: AnnData) -> None:
    """Null genes and expression levels are stored with the embedding."""
    sx.tl.embed(toy, n_modules=4, progress=False)
    before = toy.var.copy()
    sx.tl.modules(toy, n_modules=4)
    assert (toy.var["spacex_module"] == before["spacex_module"]).all()
    np.testing.assert_allclose(toy.var["spacex_module_prob"], before["spacex_module_prob"], atol=1e-3)
    pd.testing.assert_series_equal(toy.var["spacex_expression_level"], before["spacex_expression_level"])


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_modules_of_a_stored_section_are_the_same(toy_embedded: AnnData, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    (toy_embedded.write_h5ad if ending == "h5ad" else toy_embedded.write_zarr)(path)
    stored = sx.read(path)
    for adata in (toy_embedded, stored):
        sx.tl.modules(adata, n_modules=3)
    pd.testing.assert_frame_equal(stored.var, toy_embedded.var)


def test_refitted_modules_recover_planted_ones(toy_embedded: AnnData) -> None:
    sx.tl.modules(toy_embedded, n_modules=4)
    is_spatial = toy_embedded.var["module"] >= 0
    module = toy_embedded.var["spacex_module"][is_spatial].astype(str)
    assert adjusted_rand_score(toy_embedded.var["module"][is_spatial], module) > 0.75


def test_number_of_modules_is_selected(toy_embedded: AnnData) -> None:
    fitted = toy_embedded.uns["spacex"]["embed"]["n_modules"]
    sx.tl.modules(toy_embedded)
    assert toy_embedded.uns["spacex"]["modules"]["n_modules"] >= 2
    assert toy_embedded.uns["spacex"]["embed"]["n_modules"] == fitted
    assert {"n_modules", "score"} <= set(toy_embedded.uns["spacex"]["modules"]["tried"])


@pytest.mark.parametrize("n_modules", [0, -1, 121, 2.0, "three", True, None])
def test_an_invalid_number_of_modules_raises(toy_embedded: AnnData, n_modules: Any) -> None:
    with pytest.raises(sx.InputError, match=rf"n_modules={n_modules!r}.*1 to 120"):
        sx.tl.modules(toy_embedded, n_modules=n_modules)


def test_a_missing_embedding_raises(toy: AnnData) -> None:
    with pytest.raises(sx.InputError, match=r'varm\["X_spacex"\] is missing; call sx.tl.embed\(adata\)'):
        sx.tl.modules(toy)
