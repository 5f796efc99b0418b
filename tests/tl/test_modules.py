"""`tl.modules`: modules refitted to an existing embedding."""

from __future__ import annotations

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


@pytest.mark.parametrize("n_modules", [0, -1, 121, 2.0, "three", True, None])
def test_an_invalid_number_of_modules_raises(toy_embedded: AnnData, n_modules: Any) -> None:
    with pytest.raises(sx.InputError, match=rf"n_modules={n_modules!r}.*1 to 120"):
        sx.tl.modules(toy_embedded, n_modules=n_modules)


def test_a_missing_embedding_raises(toy: AnnData) -> None:
    with pytest.raises(sx.InputError, match=r'varm\["X_spacex"\] is missing; call sx.tl.embed\(adata\)'):
        sx.tl.modules(toy)
