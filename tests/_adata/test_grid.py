"""Slots of the grid, gene images, and averages of spots over pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from tests._adata.messages import error_message

from spacex import Config, _adata
from spacex.imaging.grid import Grid

GRIDS = [Grid((3, 4), "hex", 0.9, 10.0), Grid((2, 5), "bins", 1.0, 7.5)]


def section(n_obs: int = 24) -> AnnData:
    """Spots of two libraries, two in every pixel of a line of six."""
    adata = AnnData(np.random.default_rng(0).poisson(3.0, (n_obs, 4)).astype(np.float32) + 1)
    adata.obs["library"] = np.where(np.arange(n_obs) < n_obs // 2, "b", "a")
    return adata


def rasterized(**changes: Any) -> AnnData:
    adata = section()
    pixel = np.column_stack([np.zeros(24), np.arange(24) % 12 // 2])
    grids = [Grid((1, 6), "square", 1.0, 1.0)] * 2
    _adata.write_grid(adata, grids, pixel, ["a", "b"], spatial_key="spatial", library_key="library")
    return adata


# -- slots -------------------------------------------------------------------------------------------------


def test_a_grid_is_written_as_columns() -> None:
    adata = section()
    assert not _adata.has_grid(adata)
    pixel = np.column_stack([np.arange(24) % 2, np.arange(24) % 3]).astype(np.int32)
    _adata.write_grid(adata, GRIDS, pixel, ["a", "b"], spatial_key="xy", library_key="library")
    assert _adata.has_grid(adata)
    assert adata.obsm["spacex_pixel"].dtype == np.int64
    noted = _adata.read_uns_entry(adata, "grid")
    assert {key: noted[key].tolist() for key in ("section", "kind", "height", "width", "aspect", "pitch")} == {
        "section": ["a", "b"], "kind": ["hex", "bins"], "height": [3, 2], "width": [4, 5], "aspect": [0.9, 1.0],
        "pitch": [10.0, 7.5],
    }  # fmt: skip
    assert (noted["spatial_key"], noted["library_key"]) == ("xy", "library")
    assert (noted["section"].dtype, noted["kind"].dtype) == (object, object)
    grids, read, owner = _adata.read_grid(adata)
    assert grids == GRIDS
    np.testing.assert_array_equal(read, pixel)
    assert owner.tolist() == [1] * 12 + [0] * 12
    del adata.uns["spacex"]
    assert not _adata.has_grid(adata)


def test_a_grid_of_one_section_has_no_library() -> None:
    adata = section()
    _adata.write_grid(adata, GRIDS[:1], np.zeros((24, 2)), ["section"], spatial_key="xy", library_key=None)
    assert _adata.read_uns_entry(adata, "grid")["library_key"] == ""
    grids, _, owner = _adata.read_grid(adata)
    assert (grids, owner.tolist()) == (GRIDS[:1], [0] * 24)


def test_sections_without_grid_raise() -> None:
    adata = rasterized()
    adata.obs["library"] = np.where(np.arange(24) < 12, "d", "c")
    assert (
        error_message(lambda: _adata.read_grid(adata))
        == "section(s) c, d have no grid; call sx.pp.rasterize(adata) again"
    )
    only = rasterized()[12:].copy()
    grids, pixel, owner = _adata.read_grid(only)
    assert (len(grids), len(pixel), set(owner)) == (1, 12, {0})


def damaged(adata: AnnData, **changes: Any) -> AnnData:
    adata.uns["spacex"]["grid"].update(changes)
    return adata


@pytest.mark.parametrize(
    "changes",
    [
        {"height": np.array([1])}, {"height": np.array([1, 10**9])}, {"width": np.array(["a", "b"])},
        {"width": np.array([0, 6])}, {"kind": np.array(["hex", "round"])}, {"aspect": np.array([1.0, np.nan])},
        {"pitch": np.array([1.0, -1.0])}, {"pitch": None}, {"section": np.array(["a"])}, {"height": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(changes: dict[str, Any]) -> None:
    adata = damaged(rasterized(), **changes)
    assert error_message(lambda: _adata.read_grid(adata)) == (
        'uns["spacex"]["grid"] is not what sx.pp.rasterize wrote; call sx.pp.rasterize(adata)'
    )


@pytest.mark.parametrize(
    "name", ["section", "kind", "height", "width", "aspect", "pitch", "spatial_key", "library_key"]
)
def test_a_grid_that_lacks_a_column_is_refused(name: str) -> None:
    adata = rasterized()
    del adata.uns["spacex"]["grid"][name]
    assert error_message(lambda: _adata.read_grid(adata)) == (
        f'uns["spacex"]["grid"] is not what SpaCEX wrote ({name} missing); call sx.pp.rasterize(adata)'
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda p: p + np.array([0, 1]), "has 4 spot(s) outside the grid and"),
        (lambda p: p - np.array([0, 1]), "has 4 spot(s) outside the grid and"),
        (lambda p: p.astype(float), "of shape (24, 2) and type float64"),
        (lambda p: p[:, :1], "of shape (24, 1) and type int64"),
    ],
)
def test_pixels_outside_their_grid_are_refused(change: Callable[[np.ndarray], np.ndarray], what: str) -> None:
    adata = rasterized()
    adata.obsm["spacex_pixel"] = change(adata.obsm["spacex_pixel"])
    assert error_message(lambda: _adata.read_grid(adata)) == (
        f'obsm["spacex_pixel"] {what} is not what sx.pp.rasterize wrote; call sx.pp.rasterize(adata)'
    )


def test_how_a_grid_was_made_is_kept() -> None:
    adata = section()
    assert _adata.rasterize_arguments(adata) == {}
    grids, pixel = [Grid((1, 6), "square", 1.0, 1.0)], np.zeros((24, 2))
    for size in ("auto", 6, (1, 6)):
        _adata.write_grid(adata, grids, pixel, ["section"], spatial_key="xy", library_key=None, size=size)
        assert _adata.rasterize_arguments(adata) == {"grid": size, "spatial_key": "xy", "library_key": None}
    del adata.uns["spacex"]["grid"]["size"]  # as earlier versions wrote it
    assert _adata.rasterize_arguments(adata)["grid"] == "auto"
    assert "spatial_key" in error_message(lambda: _adata.rasterize_arguments(damaged(adata, spatial_key=np.ones(2))))


# -- images ------------------------------------------------------------------------------------------------


def test_images_have_the_counts_of_their_pixels() -> None:
    adata = rasterized()
    images = _adata.read_images(adata, layer=None, config=Config(theta=7.0))
    assert (images.n_pixels, images.theta, images.is_count) == (12, 7.0, True)
    # Sections stand in the order of their names: that of the second half of the spots first.
    want = adata.X.reshape(12, 2, 4).sum(axis=1)[[*range(6, 12), *range(6)]]
    np.testing.assert_array_equal(images.counts.toarray(), want)
    assert _adata.read_pixel_of_spot(adata, images).tolist() == [*np.repeat(range(6, 12), 2), *np.repeat(range(6), 2)]


def test_images_are_of_the_layer_and_may_be_intensities() -> None:
    adata = rasterized()
    adata.layers["raw"], adata.layers["norm"] = 2 * adata.X, np.log1p(adata.X)
    plain = _adata.read_images(adata, layer=None, config=Config())
    twice = _adata.read_images(adata, layer="raw", config=Config())
    np.testing.assert_array_equal(twice.counts.toarray(), 2 * plain.counts.toarray())
    assert not _adata.read_images(adata, layer="norm", config=Config()).is_count


def test_spots_of_a_tall_layout_find_their_pixels() -> None:
    adata = section()
    pixel = np.column_stack([np.arange(24) // 2, np.arange(24) % 2])
    grid = Grid((12, 2), "square", 1.0, 1.0)
    _adata.write_grid(adata, [grid], pixel, ["section"], spatial_key="xy", library_key=None)
    images = _adata.read_images(adata, layer=None, config=Config())
    assert _adata.read_pixel_of_spot(adata, images).tolist() == list(range(24))


def test_a_handful_of_pixels_is_too_few() -> None:
    adata = section()
    pixel = np.column_stack([np.zeros(24), np.minimum(np.arange(24), 8)])
    _adata.write_grid(adata, [Grid((1, 9), "square", 1.0, 1.0)], pixel, ["section"], spatial_key="xy", library_key=None)
    assert error_message(lambda: _adata.read_images(adata, layer=None, config=Config())) == (
        "only 9 pixel(s) hold counts; SpaCEX needs at least 10: check the counts, "
        "or pass a finer grid to sx.pp.rasterize"
    )
    pixel[-1, 1] = 9
    _adata.write_grid(
        adata, [Grid((1, 10), "square", 1.0, 1.0)], pixel, ["section"], spatial_key="xy", library_key=None
    )
    assert _adata.read_images(adata, layer=None, config=Config()).n_pixels == 10


def test_work_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _adata.read_images(rasterized(), layer=None, config=Config())
    monkeypatch.setattr("spacex._infra.memory.available_memory", lambda: images.working_bytes)
    _adata.check_working_memory(images, "testing")
    monkeypatch.setattr("spacex._infra.memory.available_memory", lambda: images.working_bytes - 1)
    assert error_message(lambda: _adata.check_working_memory(images, "testing")) == (
        "testing of 4 genes on 12 pixels needs about 0.0 GB of memory, and 0.0 GB are available: pass a coarser grid "
        "(sx.pp.rasterize(adata, grid=...)) or fewer genes, or use a machine with more memory"
    )


# -- spots and pixels --------------------------------------------------------------------------------------


def test_spots_of_empty_pixels_have_no_pixel() -> None:
    adata = rasterized()
    adata.X[[2, 3, 4]] = 0  # a whole pixel and half of the next
    images = _adata.read_images(adata, layer=None, config=Config())
    number = _adata.read_pixel_of_spot(adata, images)
    assert images.n_pixels == 11
    assert number[[2, 3]].tolist() == [-1, -1]
    assert number[[4, 5]].tolist() == [7, 7]
    assert number.dtype == np.int64


def test_covariates_of_pixels_are_means_of_their_spots() -> None:
    adata = rasterized()
    adata.X[[2, 3]] = 0
    adata.obs["depth"] = np.arange(24.0)
    adata.obs["kind"] = np.where(np.arange(24) % 2, "x", "y")
    images = _adata.read_images(adata, layer=None, config=Config())
    read = _adata.read_pixel_covariates(adata, ["depth", "kind"], images)
    means = np.arange(24.0).reshape(12, 2).mean(axis=1)
    np.testing.assert_array_equal(read[:, 0], [*means[6:], *np.delete(means[:6], 1)])
    np.testing.assert_array_equal(read[:, 1:], np.full((11, 2), 0.5))
