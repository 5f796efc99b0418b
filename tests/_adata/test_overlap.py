"""Overlapping sections raise an error that names the column of sections; other inputs do not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from tests._adata.messages import error_message

import spacex as sx

N = 12


def visium(n_rows: int = N, *, origin: tuple[int, int] = (0, 0), shift: Any = (0.0, 0.0), turn: float = 0.0) -> AnnData:
    """A hexagonal array, its coordinates in pixels of an image."""
    row, column = np.divmod(np.arange(n_rows * N), N)
    row, column = row + origin[0], 2 * column + row % 2 + origin[1]
    xy = np.column_stack([column * 50.0, row * 86.6])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return section(xy @ rotation + shift, array_row=row, array_col=column)


def section(xy: np.ndarray, **obs: Any) -> AnnData:
    names = [f"s{i}" for i in range(len(xy))]
    return AnnData(np.ones((len(xy), 2), dtype=np.float32), obs=pd.DataFrame(obs, index=names), obsm={"spatial": xy})


def cells(n: int = 300, seed: int = 0, at: tuple[float, float] = (0.0, 0.0)) -> AnnData:
    return section(np.random.default_rng(seed).random((n, 2)) * 100 + at)


def joined(*parts: AnnData, label: str = "sample", **settings: Any) -> AnnData:
    keys = {chr(97 + i): part for i, part in enumerate(parts)}
    return ad.concat(keys, label=label, index_unique="-", **settings)


def dropped(adata: AnnData, *columns: str) -> AnnData:
    adata.obs = adata.obs.drop(columns=list(columns))
    return adata


def unlabeled(adata: AnnData, *columns: str) -> AnnData:
    """Drop columns, and replace the names of spots by numbers."""
    adata.obs_names = [f"n{i}" for i in range(adata.n_obs)]
    return dropped(adata, *columns)


def free(adata: AnnData) -> AnnData:
    return dropped(adata, "array_row", "array_col")


# -- positions that repeat ---------------------------------------------------------------------------------

OVERLAID: dict[str, Callable[[], AnnData]] = {
    "array positions": lambda: joined(visium(), visium(shift=(17.0, 300.0))),
    "array positions, images turned": lambda: joined(visium(), visium(turn=1.0)),
    "coordinates": lambda: joined(free(visium()), free(visium())),
    "a second section that was cropped": lambda: joined(visium(), visium(n_rows=2, shift=(3.0, 2.0))),
    "two sections that were cropped": lambda: joined(visium(n_rows=8), visium(n_rows=8, origin=(6, 0))),
    "three sections, two of which overlap": lambda: joined(visium(), visium(), visium(origin=(40, 40), shift=(9e3, 0))),
    "coordinates of cells in part": lambda: joined(cells(), cells()[:50].copy()),
}


@pytest.mark.parametrize("kind", OVERLAID)
def test_overlapping_sections_raise(kind: str) -> None:
    adata = OVERLAID[kind]()
    message = error_message(lambda: sx.pp.rasterize(adata))
    assert "sections overlap" in message
    assert "library_key='sample'" in message
    has_array = "array_row" in adata.obs
    repeated = adata.obs.duplicated(["array_row", "array_col"], keep=False) if has_array else (
        pd.DataFrame(adata.obsm["spatial"]).duplicated(keep=False)
    )  # fmt: skip
    assert message.startswith(f"{repeated.sum()} of {adata.n_obs} spots share")
    assert "spacex_pixel" not in adata.obsm
    sx.pp.rasterize(adata, library_key="sample")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(OVERLAID)))
def test_the_order_of_spots_does_not_matter(seed: int, kind: str) -> None:
    adata = OVERLAID[kind]()
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    assert error_message(lambda: sx.pp.rasterize(adata[order].copy())) == error_message(lambda: sx.pp.rasterize(adata))


@pytest.mark.parametrize(
    "form",
    [
        lambda s: s.astype("category"), lambda s: s.astype("string"), lambda s: s.astype(str).astype(object),
        lambda s: s.map({"a": 1, "b": 2}).astype(int), lambda s: s.map({"a": 1, "b": 2}).astype("Int64"),
        lambda s: s.map({"a": 1.0, "b": 2.0}).astype(float), lambda s: s.map({"a": True, "b": False}).astype(bool),
    ],
)  # fmt: skip
def test_the_column_may_be_of_any_type(form: Callable[[pd.Series], pd.Series]) -> None:
    adata = joined(visium(), visium())
    adata.obs["sample"] = form(adata.obs["sample"].astype(str))
    assert "library_key='sample'" in error_message(lambda: sx.pp.rasterize(adata))


def test_certain_names_are_preferred() -> None:
    adata = joined(visium(), visium(), label="condition")
    for name in ("nonsense", "batch", "sample"):  # in increasing order of preference
        adata.obs[name] = adata.obs["condition"].to_numpy()
        best = name if name != "nonsense" else "condition"
        assert f"library_key={best!r}" in error_message(lambda: sx.pp.rasterize(adata))
    adata.obs["capture"] = adata.obs["condition"].to_numpy()
    adata.uns["spatial"] = {"a": {"images": {}}, "b": {}, "is_single": np.bool_(False)}
    assert "library_key='condition'" in error_message(
        lambda: sx.pp.rasterize(adata)
    )  # the first that holds names of libraries
    adata.uns["spatialdata_attrs"] = {"region": ["a", "b"], "region_key": "capture", "instance_key": "i"}
    assert "library_key='capture'" in error_message(lambda: sx.pp.rasterize(adata))


def test_a_column_that_separates_only_some_is_not_named() -> None:
    adata = joined(visium(), visium())
    adata.obs["cell_type"] = np.random.default_rng(0).choice(list("wxyz"), adata.n_obs)
    adata.obs["library"] = np.where(np.arange(adata.n_obs) < 200, "one", "two")
    adata.obs["total"] = np.random.default_rng(1).random(adata.n_obs)
    adata.obs["id"] = np.arange(adata.n_obs)
    assert "library_key='sample'" in error_message(lambda: sx.pp.rasterize(adata))
    message = error_message(lambda: sx.pp.rasterize(unlabeled(adata, "sample")))
    assert "add a column to adata.obs that names the section of each spot" in message
    assert "library_key='section'" in message


def test_names_of_spots_or_two_columns_may_tell() -> None:
    adata = dropped(joined(visium(), visium(), visium()), "sample")
    message = error_message(lambda: sx.pp.rasterize(adata))
    call = "adata.obs['section'] = adata.obs_names.str.rsplit('-', n=1).str[-1]"
    assert call in message
    exec(call, {"adata": adata})
    sx.pp.rasterize(adata, library_key="section")
    adata = joined(visium(), visium(), visium(), visium())
    adata.obs["donor"] = adata.obs["sample"].map({"a": 1, "b": 1, "c": 2, "d": 2})
    adata.obs["slice"] = adata.obs["sample"].map({"a": 1, "b": 2, "c": 1, "d": 2})
    message = error_message(lambda: sx.pp.rasterize(unlabeled(adata, "sample")))
    assert "adata.obs['section'] = adata.obs['slice'].astype(str) + '-' + adata.obs['donor'].astype(str)" in message
    # with a key that is too coarse
    for key, other in (("donor", "slice"), ("slice", "donor")):
        message = error_message(lambda key=key: sx.pp.rasterize(adata, library_key=key))
        assert f"adata.obs['section'] = adata.obs[{key!r}].astype(str) + '-' + adata.obs[{other!r}]" in message
    adata.obs["section"] = adata.obs["donor"].astype(str) + adata.obs["slice"].astype(str)
    assert "library_key='section'" in error_message(lambda: sx.pp.rasterize(adata, library_key="donor"))
    sx.pp.rasterize(adata, library_key="section")


def test_sections_that_were_named_may_lie_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    pair = lambda: joined(visium(), visium(shift=(2000.0, 31.0)))  # noqa: E731
    adata = unlabeled(joined(pair(), pair(), label="slide"), "sample")
    assert lines(adata, caplog, library_key="slide") == []
    third = unlabeled(joined(joined(visium(), visium(shift=(31.0, 55.0))), visium(), label="slide"))
    assert "add a column" in error_message(lambda: sx.pp.rasterize(third, library_key="slide"))


def test_every_tool_raises_before_any_work() -> None:
    parts = [sx.datasets.simulate_section(60, 200, 3, 3, depth=1.0, seed=seed) for seed in (0, 1)]
    both = joined(*parts)
    for call in (
        lambda: sx.tl.embed(both, progress=False),
        lambda: sx.tl.svg(both, progress=False),
        lambda: sx.pp.gene_images(both),
        lambda: sx.tl.impute(both[:, :40].copy(), parts[0], progress=False),
    ):
        assert "library_key='sample'" in error_message(call)
    message = error_message(lambda: sx.tl.impute(parts[0][:, :40].copy(), both, progress=False))
    assert "sx.tl.embed(reference, library_key='sample')" in message
    assert not both.uns
    assert set(both.obsm) == set(parts[0].obsm)
    # concatenated results have one grid for both sections
    for part in parts:
        sx.pp.rasterize(part)
    both = joined(*parts, uns_merge="first")
    assert "spacex_pixel" in both.obsm
    for call in (lambda: sx.tl.embed(both, progress=False), lambda: sx.tl.svg(both, progress=False)):
        assert "library_key='sample'" in error_message(call)


# -- areas that overlap ------------------------------------------------------------------------------------


def of_libraries(adata: AnnData) -> AnnData:
    adata.uns["spatial"] = {name: {"images": {}, "scalefactors": {}} for name in ("a", "b")}
    return adata


def of_regions(adata: AnnData) -> AnnData:
    adata.uns["spatialdata_attrs"] = {"region": ["a", "b"], "region_key": "sample", "instance_key": "cell"}
    return adata


STRONG: dict[str, Callable[[], AnnData]] = {
    "a region key": lambda: of_regions(joined(cells(), cells(200, 1))),
    "libraries of uns": lambda: of_libraries(joined(cells(), cells(200, 1))),
    "library_id": lambda: joined(cells(), cells(40, 1), label="library_id"),
    "images of another scale": lambda: of_libraries(joined(visium(), free(visium(shift=(7.0, 9.0))))),
}


@pytest.mark.parametrize("kind", STRONG)
def test_overlapping_areas_of_certain_columns_raise(kind: str) -> None:
    adata = STRONG[kind]()
    key = next(iter(adata.obs.columns[adata.obs.columns.isin(["sample", "library_id"])]))
    assert f"library_key={key!r}" in error_message(lambda: sx.pp.rasterize(adata))
    sx.pp.rasterize(adata, library_key=key)


@pytest.mark.parametrize("label", ["sample", "condition"])
@pytest.mark.parametrize("shift", [(7.0, 9.0), (140.0, -260.0), (3.0, 900.0)])
def test_arrays_without_array_columns(label: str, shift: tuple[float, float]) -> None:
    adata = joined(free(visium()), free(visium(n_rows=7, shift=shift)), label=label)
    if shift[1] > 800:  # side by side, in part
        sx.pp.rasterize(adata)
        return
    assert f"library_key={label!r}" in error_message(lambda: sx.pp.rasterize(adata))
    sx.pp.rasterize(adata, library_key=label)


def lines(adata: AnnData, caplog: pytest.LogCaptureFixture, **settings: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        sx.pp.rasterize(adata, **settings)
    return [record.getMessage() for record in caplog.records]


def test_overlapping_areas_of_common_columns_warn(caplog: pytest.LogCaptureFixture) -> None:
    adata = joined(cells(), cells(200, 1))
    (line,) = lines(adata, caplog)
    assert "obs['sample']" in line
    assert "library_key='sample'" in line
    assert lines(adata, caplog, library_key="sample") == []


def fields_of_view() -> AnnData:
    parts = [cells(60, i, at=(100.0 * (i % 4), 100.0 * (i // 4))) for i in range(12)]
    adata = joined(*parts, label="fov")
    adata.obs["library_id"] = adata.obs["fov"].to_numpy()
    return adata


def with_labels(adata: AnnData) -> AnnData:
    rng = np.random.default_rng(0)
    for name in ("cell_type", "leiden", "ClusterName"):
        adata.obs[name] = pd.Categorical(rng.choice(list("abcdef"), adata.n_obs))
    adata.obs["library_id"], adata.obs["sample"] = "only", pd.Categorical(["s"] * adata.n_obs, categories=["s", "t"])
    return adata


def of_3_d() -> AnnData:
    z, xy = np.divmod(np.arange(400), 100)
    return section(np.column_stack([xy % 10, xy // 10]).astype(float), z=z, global_z=z, plane=z.astype(str))


def several_at_a_spot() -> AnnData:
    """Several cells at each spot, as deconvolution returns."""
    adata = section(np.repeat(np.column_stack([np.arange(100) % 10, np.arange(100) // 10]), 4, axis=0).astype(float))
    adata.obs["cell_type"] = np.random.default_rng(0).choice(list("abcdef"), 400)
    adata.obs["cell"] = np.arange(400)
    return adata


def flagged() -> AnnData:
    adata = joined(cells(), cells()[:60].copy())
    adata.obs["is_duplicate"] = adata.obs["sample"] == "b"
    return unlabeled(adata, "sample")


SOUND: dict[str, tuple[Callable[[], AnnData], int]] = {
    "cells": (lambda: with_labels(cells()), 0),
    "an array": (lambda: with_labels(visium()), 0),
    "fields of view side by side": (fields_of_view, 0),
    "arrays side by side": (lambda: joined(visium(), visium(shift=(2000.0, 31.0)), label="library_id"), 0),
    "arrays side by side, unnamed": (lambda: unlabeled(joined(visium(), visium(shift=(2000.0, 31.0))), "sample"), 0),
    "one array in two parts": (
        lambda: joined(*[visium()[np.arange(144) % 2 == half].copy() for half in (0, 1)]), 0
    ),
    "an array that says nothing": (lambda: section(cells().obsm["spatial"], array_row=0, array_col=0), 0),
    "planes of a volume": (of_3_d, 1),
    "several cells at a spot": (several_at_a_spot, 1),
    "duplicates that are flagged": (flagged, 1),
    "a few duplicates": (lambda: unlabeled(joined(cells(), cells()[:5].copy()), "sample"), 0),
    "a spot that occurs twice, in two regions": (
        lambda: unlabeled(joined(visium(), visium()[:1].copy(), label="region"), "array_row"), 0
    ),
    "one of an array, in two regions": (
        lambda: unlabeled(joined(visium(), visium()[:1].copy(), label="region")), 1
    ),
    "a spot that occurs twice": (lambda: unlabeled(joined(visium(), visium()[:1].copy()), "sample"), 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOUND)
def test_single_sections_do_not_raise(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    make, n_lines = SOUND[kind]
    adata = make()
    assert len(lines(adata, caplog)) == n_lines
    assert (adata.obsm["spacex_pixel"] >= 0).all()


def test_spots_off_the_tissue_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    adata = joined(visium(), visium())
    adata.obs["in_tissue"] = (adata.obs["sample"] == "a").astype(int)
    assert len(lines(adata, caplog)) == 1  # the number of excluded spots
    assert adata.uns["spacex"]["grid"]["kind"].tolist() == ["hex"]
