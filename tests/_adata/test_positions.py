"""Search for coordinates under other keys and in columns, and the candidates listed by errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._adata.messages import error_message

import spacex as sx
from spacex import _adata

N = 40
XY = np.column_stack([np.arange(N) % 8, np.arange(N) // 8]).astype(float)


def make_adata(obsm: dict[str, Any] | None = None, **obs: Any) -> AnnData:
    return AnnData(np.ones((N, 3), dtype=np.float32), obs=pd.DataFrame(obs, [f"s{i}" for i in range(N)]), obsm=obsm)


def lines(call: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        call()
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "key",
    ["X_spatial", "spatial_coords", "spatialCoords", "coords", "coordinates", "X_coords", "Spatial", "spatial_fov",
     "xy", "reducedDim.SPATIAL"],
)  # fmt: skip
def test_common_keys_are_used_with_a_warning(key: str, caplog: pytest.LogCaptureFixture) -> None:
    adata = make_adata({key: XY, "X_pca": -XY, "X_umap": 2 * XY})
    assert lines(lambda: sx.pp.rasterize(adata), caplog) == [
        f"obsm['spatial'] is missing; the coordinates in obsm[{key!r}] are used"
    ]
    assert adata.uns["spacex"]["grid"]["spatial_key"] == key
    plain = make_adata({"spatial": XY})
    assert lines(lambda: sx.pp.rasterize(plain), caplog) == []
    np.testing.assert_array_equal(adata.obsm["spacex_pixel"], plain.obsm["spacex_pixel"])


COLUMNS = [
    ("x", "y"), ("X", "Y"), ("imagecol", "imagerow"), ("sdimx", "sdimy"), ("x_centroid", "y_centroid"),
    ("center_x", "center_y"), ("CenterX_global_px", "CenterY_global_px"), ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("spatial_1", "spatial_2"), ("array_col", "array_row"), ("col", "row"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "y"), COLUMNS)
@pytest.mark.parametrize(
    "form", [np.asarray, lambda v: v.astype(int).astype(str), lambda v: pd.array(v, dtype="Float64")]
)
def test_columns_are_used_with_a_warning(x: str, y: str, form: Callable, caplog: pytest.LogCaptureFixture) -> None:
    adata = make_adata(**{x: form(XY[:, 0]), y: form(XY[:, 1]), "total": np.arange(N)})
    (line,) = lines(lambda: sx.pp.rasterize(adata), caplog)
    assert line == f"obsm['spatial'] is missing; the coordinates in obs[{[x, y]}] are used"
    assert adata.uns["spacex"]["grid"]["spatial_key"] == f"{x},{y}"
    np.testing.assert_array_equal(_adata.read_positions(adata, "spatial"), XY)
    # later functions use the same columns
    images = sx.pp.gene_images(adata)
    assert images.n_pixels == N
    sx.pl.gene_images(adata, "0")


def test_existing_key_takes_precedence(caplog: pytest.LogCaptureFixture) -> None:
    adata = make_adata({"spatial": XY, "X_spatial": -XY}, x=XY[:, 1], y=XY[:, 0])
    assert lines(lambda: sx.pp.rasterize(adata), caplog) == []
    np.testing.assert_array_equal(_adata.read_positions(adata, "spatial"), XY)
    np.testing.assert_array_equal(_adata.read_positions(adata, "X_spatial"), -XY)
    np.testing.assert_array_equal(_adata.read_positions(adata, "x,y"), XY[:, ::-1])
    assert lines(lambda: sx.pp.rasterize(adata, spatial_key="x,y"), caplog) == []
    assert adata.uns["spacex"]["grid"]["spatial_key"] == "x,y"
    # coordinates take precedence over array positions
    adata = make_adata(x=XY[:, 0], y=XY[:, 1], array_row=XY[:, 1].astype(int), array_col=XY[:, 0].astype(int))
    assert _adata.find_spatial_key(adata, "spatial") == "x,y"


def test_several_candidates_raise() -> None:
    adata = make_adata({"X_spatial": XY, "coords": XY})
    message = error_message(lambda: sx.pp.rasterize(adata))
    assert message.startswith("obsm['spatial'] is missing (available: 'X_spatial', 'coords')")
    assert "spatial_key='X_spatial' or spatial_key='coords'" in message
    sx.pp.rasterize(adata, spatial_key="coords")
    assert _adata.find_spatial_key(adata, "spatial") == "coords"  # the key of the grid
    adata = make_adata(x=XY[:, 0], y=XY[:, 1], imagecol=XY[:, 0], imagerow=XY[:, 1])
    assert "spatial_key='imagecol,imagerow' or spatial_key='x,y'" in error_message(lambda: sx.pp.rasterize(adata))
    assert "spatial_key='x,y'" in error_message(lambda: sx.pp.rasterize(adata, spatial_key="xy"))


@pytest.mark.parametrize(
    "invalid", [np.full((N, 2), np.nan), np.ones((N, 2)), XY[:, :1], np.full((N, 2), "a", dtype=object)]
)
def test_invalid_coordinates_are_no_candidates(invalid: np.ndarray) -> None:
    adata = make_adata({"X_spatial": invalid}, sdimx=XY[:, 0], sdimy=XY[:, 1])
    assert _adata.find_spatial_key(adata, "spatial") == "sdimx,sdimy"
    assert not _adata.has_positions(adata)  # in obsm
    assert "put coordinates (n_obs, 2) there or pass spatial_key=" in error_message(
        lambda: sx.pp.rasterize(make_adata({"X_spatial": invalid}))
    )


def test_imputation_uses_the_coordinates_of_the_grid(caplog: pytest.LogCaptureFixture) -> None:
    whole = sx.datasets.simulate_section(60, 300, 3, 3, depth=1.0)
    settings = {"genes": list(whole.var_names[50:]), "learned": False, "progress": False}
    target = whole[:, :50].copy()
    expected = sx.tl.impute(target, whole, **settings)
    target.obs["px"], target.obs["py"] = target.obsm.pop("spatial").T
    target.obs["other_x"] = 0.0
    (line,) = lines(lambda: sx.tl.impute(target, whole, **settings), caplog)
    assert "predicted without their neighborhoods" in line
    assert "spatial_key='array_col,array_row'" in line
    imputed = sx.tl.impute(target, whole, spatial_key="px,py", **settings)
    np.testing.assert_array_equal(imputed.X, expected.X)
    sx.pp.rasterize(target, spatial_key="px,py")
    np.testing.assert_array_equal(sx.tl.impute(target, whole, **settings).X, expected.X)


def test_array_positions_of_any_type_are_read() -> None:
    row, column = XY[:, 1].astype(int), 2 * XY[:, 0].astype(int) + XY[:, 1].astype(int) % 2
    for form in (
        np.asarray,
        lambda v: pd.array(v, dtype="Int64"),
        lambda v: pd.Categorical(v),
        lambda v: v.astype(str),
    ):
        adata = make_adata({"spatial": XY}, array_row=form(row), array_col=form(column))
        np.testing.assert_array_equal(_adata.read_array_positions(adata), np.column_stack([row, column]))


def test_polygons_use_the_coordinates_of_the_grid() -> None:
    adata = sx.datasets.simulate_section(60, 300, 3, 3, depth=1.0)
    adata.obsm["px"] = adata.obsm["spatial"] * 10
    sx.pp.rasterize(adata, spatial_key="px")
    sx.tl.embed(adata, n_modules=3, progress=False)
    low, middle = adata.obsm["px"].min(axis=0), np.median(adata.obsm["px"], axis=0)
    corners = np.array([low - 1, [middle[0], low[1] - 1], middle, [low[0] - 1, middle[1]]])
    sx.tl.pattern(adata, [corners])
    inside = (adata.obsm["px"] < middle).all(axis=1)
    assert adata.obs["spacex_pattern"][inside].mean() > 0.9
    assert adata.obs["spacex_pattern"][~inside].mean() < 0.1
