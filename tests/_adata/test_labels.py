"""Inputs besides the matrix: names, positions, sections, covariates and the tissue image."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._adata.messages import error_message

from spacex import _adata

N = 20


def make_adata(n_obs: int = N, n_vars: int = 3) -> AnnData:
    adata = AnnData(np.ones((n_obs, n_vars), dtype=np.float32))
    adata.obsm["spatial"] = np.arange(2.0 * n_obs).reshape(n_obs, 2)
    return adata


# -- names -------------------------------------------------------------------------------------------------


def test_too_few_genes_or_spots_raise() -> None:
    _adata.check_genes_and_spots(make_adata(10, 2))
    assert error_message(lambda: _adata.check_genes_and_spots(make_adata(10, 1))) == (
        "adata has 1 gene(s); SpaCEX compares genes and needs at least 2"
    )
    assert (
        error_message(lambda: _adata.check_genes_and_spots(make_adata(9, 2)))
        == "adata has 9 spot(s); SpaCEX needs at least 10"
    )


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_names_raise() -> None:
    adata = make_adata(n_vars=5)
    adata.var_names = ["x", "b", "b", "x", "b"]
    assert error_message(lambda: _adata.check_genes_and_spots(adata)) == (
        "2 gene name(s) occur more than once (first: 'b'); call adata.var_names_make_unique()"
    )


# -- positions ---------------------------------------------------------------------------------------------


def test_positions_are_two_columns_of_float64() -> None:
    adata = make_adata()
    for form in (np.asarray, np.asfortranarray, sp.csr_matrix, lambda xy: xy.astype(np.int32)):
        adata.obsm["other"] = form(adata.obsm["spatial"])
        read = _adata.read_positions(adata, "other")
        np.testing.assert_array_equal(read, adata.obsm["spatial"])
        assert read.dtype == np.float64
        assert read.flags.c_contiguous


def test_extra_coordinates_are_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    adata = make_adata()
    adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], np.full(N, np.nan), np.full(N, 1e300)])
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert _adata.choose_positions(adata, "spatial")[1].shape == (N, 2)
        assert _adata.read_positions(adata, "spatial").shape == (N, 2)  # warns only when positions are chosen
    assert [record.getMessage() for record in caplog.records] == [
        "obsm['spatial'] has 4 columns; the first two are used"
    ]


BAD_POSITIONS: dict[str, tuple[Any, str]] = {
    "one column": (
        np.zeros((N, 1)),
        "obsm['xy'] has shape (20, 1); SpaCEX needs two columns, x and y: (n_obs, 2)",
    ),
    "cube": (np.zeros((N, 2, 2)), "obsm['xy'] has shape (20, 2, 2); SpaCEX needs two columns, x and y: (n_obs, 2)"),
    "words": (
        np.full((N, 2), "a", dtype=object),
        "obsm['xy'] does not hold numbers; put coordinates (n_obs, 2) there",
    ),
    "complex": (
        np.full((N, 2), 1j),
        "obsm['xy'] does not hold numbers; put coordinates (n_obs, 2) there",
    ),
    "missing": (
        np.where(np.arange(2 * N).reshape(N, 2) == 5, np.nan, 1.0),
        "obsm['xy'] holds 1 NaN or infinite value(s); all must be finite: drop the spots without coordinates",
    ),
    "huge": (
        np.full((N, 2), -1.1e100),
        "obsm['xy'] holds values above 1e100, too large to compute with; rescale them",
    ),
}


@pytest.mark.parametrize("what", BAD_POSITIONS)
def test_invalid_positions_raise(what: str) -> None:
    adata = make_adata()
    values, message = BAD_POSITIONS[what]
    adata.obsm["xy"] = values
    assert error_message(lambda: _adata.read_positions(adata, "xy")) == message


def test_large_positions_are_read() -> None:
    adata = make_adata()
    adata.obsm["spatial"] = np.full((N, 2), 1e100)
    assert _adata.read_positions(adata, "spatial").max() == 1e100


def test_missing_positions_error_lists_available_keys() -> None:
    adata = make_adata()
    assert error_message(lambda: _adata.read_positions(adata, "xy")) == (
        "obsm['xy'] is missing (available: 'spatial'); put coordinates (n_obs, 2) there or pass spatial_key="
    )
    adata.obsm["X_pca"] = np.zeros((N, 2))
    assert "(available: 'spatial', 'X_pca')" in error_message(lambda: _adata.read_positions(adata, "xy"))
    assert "(available: none)" in error_message(lambda: _adata.read_positions(AnnData(np.ones((N, 2))), "xy"))
    assert error_message(lambda: _adata.read_positions(adata, ["xy"])).startswith("spatial_key=['xy'] is not a name")  # type: ignore[arg-type]


def test_positions_as_text_or_single_precision_are_read() -> None:
    adata = make_adata()
    for form in (str, np.float32):
        adata.obsm["other"] = np.asarray(adata.obsm["spatial"].astype(form))
        read = _adata.read_positions(adata, "other")
        np.testing.assert_array_equal(read, adata.obsm["spatial"])
        assert read.dtype == np.float64


def test_array_coordinates_need_two_columns_of_integers() -> None:
    adata = make_adata()
    assert _adata.read_array_positions(adata) is None
    adata.obs["array_row"] = np.arange(N, dtype=float)
    assert _adata.read_array_positions(adata) is None  # rows are also needed
    adata.obs["array_col"] = [str(i % 4) for i in range(N)]
    read = _adata.read_array_positions(adata)
    assert read is not None
    assert read.dtype.kind == "i"
    np.testing.assert_array_equal(read, np.column_stack([np.arange(N), np.arange(N) % 4]))
    for invalid in (np.nan, np.inf, 0.5, "a"):
        other = adata.copy()
        other.obs["array_row"] = other.obs["array_row"].astype(object)
        other.obs.loc[other.obs_names[3], "array_row"] = invalid
        assert _adata.read_array_positions(other) is None


# -- sections ----------------------------------------------------------------------------------------------


def test_sections_are_numbered_in_the_order_of_their_names() -> None:
    adata = make_adata()
    codes, names = _adata.read_sections(adata, None)
    assert (codes.tolist(), codes.dtype, names) == ([0] * N, np.int64, ["section"])
    adata.obs["slice"] = np.where(np.arange(N) % 2, 9, 10)
    codes, names = _adata.read_sections(adata, "slice")
    assert (codes.tolist(), codes.dtype, names) == ([1, 0] * 10, np.int64, ["9", "10"])


def test_invalid_sections_raise() -> None:
    adata = make_adata()
    assert error_message(lambda: _adata.read_sections(adata, "slice")) == (
        "library_key='slice' is not a column of adata.obs; pass one that names the sections"
    )
    adata.obs["slice"] = ["a"] * 9 + ["b"] * 2 + ["c"] * 9
    assert error_message(lambda: _adata.read_sections(adata, "slice")) == (
        "section(s) a, b, c of obs['slice'] have fewer than 10 spots; remove them"
    )
    adata.obs["slice"] = ["a"] * 10 + ["b"] * 9 + ["c"]
    assert error_message(lambda: _adata.read_sections(adata, "slice")).startswith("section(s) b, c of")
    adata.obs["slice"] = [None, np.nan] + ["c"] * 18
    assert error_message(lambda: _adata.read_sections(adata, "slice")) == (
        "obs['slice'] is missing for 2 spot(s); name a section for each"
    )
    assert error_message(lambda: _adata.read_sections(adata, ["a"])).startswith("library_key=['a'] is not a name")  # type: ignore[arg-type]


# -- covariates --------------------------------------------------------------------------------------------


def test_covariates_are_numbers_or_indicators() -> None:
    adata = make_adata()
    adata.obs["depth"] = np.arange(N, dtype=np.int16)
    adata.obs["kind"] = pd.Categorical(["b", "a"] * 10, categories=["b", "a", "never"])
    adata.obs["flag"] = np.arange(N) < 7
    read = _adata.read_covariates(adata, ["depth", "kind", "flag"])
    assert (read.shape, read.dtype) == ((N, 5), np.float64)
    np.testing.assert_array_equal(read[:, 0], np.arange(N))
    np.testing.assert_array_equal(read[:, 1], np.arange(N) % 2)  # a, then b
    np.testing.assert_array_equal(read[:, 2], 1 - np.arange(N) % 2)
    np.testing.assert_array_equal(read[:, 3:], np.eye(2)[(np.arange(N) < 7).astype(int)])


def test_invalid_covariates_raise() -> None:
    adata = make_adata()
    adata.obs["missing"] = [1.0, np.nan, np.nan] + [2.0] * (N - 3)
    adata.obs["infinite"] = [np.inf] + [2.0] * (N - 1)
    adata.obs["four"], adata.obs["five"] = ([str(i % n) for i in range(N)] for n in (4, 5))
    assert error_message(lambda: _adata.read_covariates(adata, ["none"])) == (
        "covariates: 'none' is not a column of adata.obs; pass names of columns"
    )
    assert error_message(lambda: _adata.read_covariates(adata, ["missing"])) == (
        "obs['missing'] is missing for 2 spot(s); fill or drop them"
    )
    assert error_message(lambda: _adata.read_covariates(adata, ["infinite"])) == (
        "obs['infinite'] holds 1 NaN or infinite value(s); all must be finite: fill or drop them"
    )
    assert _adata.read_covariates(adata, ["four"]).shape == (N, 4)
    assert error_message(lambda: _adata.read_covariates(adata, ["five"])) == (
        "obs['five'] has 5 values for 20 spots; a covariate needs 5 spots for each value, or numbers"
    )
    few = make_adata(10)
    few.obs["two"], few.obs["three"] = ([str(i % n) for i in range(10)] for n in (2, 3))
    assert _adata.read_covariates(few, ["two"]).shape == (10, 2)
    assert "3 values for 10 spots" in error_message(lambda: _adata.read_covariates(few, ["three"]))
    eleven = make_adata(11)
    eleven.obs["two"], eleven.obs["three"] = ([str(i % n) for i in range(11)] for n in (2, 3))
    assert "3 values for 11 spots" in error_message(lambda: _adata.read_covariates(eleven, ["three"]))
    tiny = make_adata(4)
    tiny.obs["two"] = ["a", "b"] * 2
    assert _adata.read_covariates(tiny, ["two"]).shape == (4, 2)  # two values are always allowed


# -- tissue image -------------------------------------------------------------------------------------------


def with_image(images: Any = None, factors: Any = None, **libraries: Any) -> AnnData:
    adata = make_adata()
    adata.uns["spatial"] = {"lib": {"images": images, "scalefactors": factors}, **libraries}
    return adata


HIGH, LOW = np.full((4, 6, 3), 51, dtype=np.uint8), np.full((2, 3, 4), 0.5, dtype=np.float32)
FACTORS = {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.25}


def test_higher_resolution_image_is_used() -> None:
    image, factor = _adata.read_tissue_image(with_image({"lowres": LOW, "hires": HIGH}, FACTORS), "lib")  # type: ignore[misc]
    assert (image.shape, image.dtype, factor) == ((4, 6, 3), np.float64, 0.5)
    np.testing.assert_array_equal(image, 0.2)
    image, factor = _adata.read_tissue_image(with_image({"lowres": LOW}, FACTORS), None)  # type: ignore[misc]
    assert (image.shape, image.dtype, factor) == ((2, 3, 3), np.float64, 0.25)  # without its transparency
    np.testing.assert_array_equal(image, 0.5)
    without_factor = with_image({"hires": HIGH, "lowres": LOW}, {"tissue_lowres_scalef": 2})
    assert _adata.read_tissue_image(without_factor, "lib")[1] == 2.0  # type: ignore[index]


def test_gray_images_have_three_equal_channels() -> None:
    gray = np.arange(6, dtype=np.int16).reshape(2, 3)
    image, _ = _adata.read_tissue_image(with_image({"hires": gray}, FACTORS), "lib")  # type: ignore[misc]
    assert image.shape == (2, 3, 3)
    for color in range(3):
        np.testing.assert_array_equal(image[..., color], gray / 255)
    for unsigned in (np.uint16, np.uint8):
        assert (
            _adata.read_tissue_image(with_image({"hires": gray.astype(unsigned)}, FACTORS), "lib")[0].max() == 5 / 255
        )  # type: ignore[index]
    half, _ = _adata.read_tissue_image(with_image({"hires": (gray / 8).astype(np.float16)}, FACTORS), "lib")  # type: ignore[misc]
    assert half.dtype == np.float64


def test_missing_image_is_none() -> None:
    assert _adata.read_tissue_image(make_adata(), "lib") is None
    assert _adata.read_tissue_image(with_image(), "lib") is None
    assert _adata.read_tissue_image(with_image({"hires": HIGH}, FACTORS), "other") is None
    assert _adata.read_tissue_image(with_image({"hires": HIGH}, FACTORS, b={}), None) is None  # ambiguous library
    assert _adata.read_tissue_image(with_image({"hires": HIGH}, {"tissue_lowres_scalef": 1.0}), "lib") is None
    assert _adata.read_tissue_image(with_image({"odd": HIGH}, FACTORS), "lib") is None
    for odd in ("text", {"lib": "text"}, {}):
        adata = make_adata()
        adata.uns["spatial"] = odd
        assert _adata.read_tissue_image(adata, None) is None
        assert _adata.read_tissue_image(adata, "lib") is None
