"""Spots off the tissue, whatever type ``obs["in_tissue"]`` has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from tests._adata.messages import error_message

import spacex as sx
from spacex import _adata

FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "int": lambda x: x.astype(int),
    "int8": lambda x: x.astype(np.int8),
    "float": lambda x: x.astype(float),
    "bool": lambda x: x.astype(bool),
    "nullable int": lambda x: pd.array(x.astype(int), dtype="Int64"),
    "nullable bool": lambda x: pd.array(x.astype(bool), dtype="boolean"),
    "text of numbers": lambda x: np.where(x, "1", "0"),
    "text of fractions": lambda x: np.where(x, "1.0", "0.0"),
    "text of booleans": lambda x: np.where(x, "True", "False"),
    "text in capitals": lambda x: np.where(x, "TRUE", "FALSE"),
    "string": lambda x: pd.array(np.where(x, "true", "false"), dtype="string"),
    "words": lambda x: np.where(x, "in tissue", "Background"),
    "category of int": lambda x: pd.Categorical(x.astype(int)),
    "category of text": lambda x: pd.Categorical(np.where(x, "yes", "no"), categories=["yes", "no", "maybe"]),
    "objects": lambda x: np.array([bool(v) if i % 2 else int(v) for i, v in enumerate(x)], dtype=object),
    "any number": lambda x: np.where(x, 255, 0),
}


def section(values: Any, n: int) -> AnnData:
    xy = np.column_stack([np.arange(n) % 5, np.arange(n) // 5]).astype(float)
    return AnnData(np.ones((n, 3), dtype=np.float32), obs={"in_tissue": values}, obsm={"spatial": xy})


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any), st.sampled_from(sorted(FORMS)))
def test_zero_is_off_the_tissue_in_every_type(inside: list[bool], form: str) -> None:
    adata = section(FORMS[form](np.array(inside)), len(inside))
    mask = _adata.read_tissue_mask(adata)
    assert (mask.tolist(), mask.dtype) == (inside, bool)


def test_spots_without_values_are_in_the_tissue() -> None:
    adata = section(1, 12)
    for values in (None, [np.nan] * 12, pd.array([pd.NA] * 12, dtype="Int64"), [None] * 11 + ["1"]):
        if values is None:
            del adata.obs["in_tissue"]
        else:
            adata.obs["in_tissue"] = values
        assert _adata.read_tissue_mask(adata).all()
        assert _adata.subset_to_tissue(adata) is adata
    adata.obs["in_tissue"] = pd.array([0, pd.NA] * 6, dtype="Int64")
    assert _adata.read_tissue_mask(adata).tolist() == [False, True] * 6
    assert _adata.subset_to_tissue(adata).n_obs == 6


def test_unknown_values_raise() -> None:
    message = error_message(lambda: _adata.read_tissue_mask(section(["1", "perhaps"] * 6, 12)))
    assert "obs['in_tissue'] holds 'perhaps'" in message
    assert "del adata.obs['in_tissue']" in message
    adata = section(1, 12)
    adata.obs["in_tissue"] = pd.Series([[1]] * 12, adata.obs_names)
    assert "obs['in_tissue']" in error_message(lambda: _adata.read_tissue_mask(adata))
    message = error_message(lambda: sx.pp.rasterize(section(0, 12)))
    assert "obs['in_tissue'] is 0 for all 12 spots" in message


def test_spots_off_tissue_have_no_pixel_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    inside = np.arange(40) % 4 > 0
    adata = section(inside.astype(int), 40)
    adata.obsm["spatial"][~inside] = np.nan  # ignored
    adata.obs["slice"] = np.where(inside, "a", None)
    with caplog.at_level(logging.WARNING, logger="spacex"):
        sx.pp.rasterize(adata, library_key="slice")
    assert [record.getMessage() for record in caplog.records] == ["10 of 40 spots have in_tissue == 0 and are excluded"]
    pixel = adata.obsm["spacex_pixel"]
    assert (pixel[~inside] == -1).all()
    only = adata[inside].copy()
    sx.pp.rasterize(only, library_key="slice")
    np.testing.assert_array_equal(pixel[inside], only.obsm["spacex_pixel"])
    assert adata.uns["spacex"]["grid"]["height"].tolist() == only.uns["spacex"]["grid"]["height"].tolist()
    grids, _, owner = _adata.read_grid(adata)
    assert len(grids) == 1
    assert owner.tolist() == [0 if value else -1 for value in inside]


def test_sections_off_the_tissue_are_ignored() -> None:
    adata = section(np.repeat([1, 0], 20), 40)
    adata.obs["slice"] = np.repeat(["a", "b"], 20)
    codes, names = _adata.read_sections(adata, "slice")
    assert (codes.tolist(), names) == ([0] * 20 + [-1] * 20, ["a"])
    adata.obs["in_tissue"] = [1] * 25 + [0] * 15
    assert "section(s) b of obs['slice'] have fewer than 10" in error_message(
        lambda: _adata.read_sections(adata, "slice")
    )
    adata.obs["in_tissue"] = [1] * 9 + [0] * 31
    assert "9 spot(s) in the tissue, of 40" in error_message(lambda: sx.pp.rasterize(adata))


def test_spot_in_tissue_without_pixel_raises() -> None:
    adata = section(np.repeat([1, 0], 20), 40)
    sx.pp.rasterize(adata)
    adata.obs["in_tissue"] = 1
    assert "20 spot(s) outside the grid" in error_message(lambda: _adata.read_grid(adata))


def test_covariates_off_tissue_are_nan() -> None:
    inside = np.arange(40) % 4 > 0
    adata = section(inside, 40)
    adata.obs["depth"] = np.where(inside, np.arange(40.0), np.nan)
    adata.obs["kind"] = pd.Categorical(np.where(inside, np.where(np.arange(40) % 2, "x", "y"), "off"))
    for name in ("depth", "kind"):
        read = _adata.read_covariates(adata, [name])
        np.testing.assert_array_equal(read[inside], _adata.read_covariates(adata[inside].copy(), [name]))
        assert np.isnan(read[~inside]).all()
