"""Choice of the matrix of counts, its warning, and reuse of the choice by later tools."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from tests._adata.messages import error_message

import spacex as sx
from spacex import _adata
from spacex._adata.matrix import choose, read_rows

COUNTS = np.random.default_rng(3).poisson(1.0, (40, 11)).astype(np.float32)
INTENSITIES = np.log1p(COUNTS)
SCALED = (INTENSITIES - INTENSITIES.mean(axis=0)).astype(np.float32)
QUICK = {"progress": False}

MATRICES: dict[str, Callable[[np.ndarray], Any]] = {
    "csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr array": sp.csr_array, "csc array": sp.csc_array,
    "dense": np.array, "fortran": np.asfortranarray, "matrix": np.asmatrix, "float64": lambda x: x.astype(np.float64),
    "int64": lambda x: x.astype(np.int64), "uint16": lambda x: sp.csr_matrix(x.astype(np.uint16)),
    "dask": lambda x: da.from_array(x, chunks=(7, 4)), "view": lambda x: np.hstack([x, x])[:, : x.shape[1]],
}  # fmt: skip


def section(x: Any, raw: np.ndarray | None = None, **layers: Any) -> AnnData:
    adata = AnnData(sp.csr_matrix(COUNTS.shape, dtype=np.float32))
    adata.var_names = [f"g{i}" for i in range(adata.n_vars)]
    adata.X = x
    for name, layer in layers.items():
        adata.layers[name] = layer
    if raw is not None:
        more = AnnData(raw, var=pd.DataFrame(index=[f"g{i}" for i in range(raw.shape[1])]), obs=adata.obs)
        adata.raw = more
    return adata


def chosen(adata: AnnData, caplog: pytest.LogCaptureFixture, layer: str | None = None) -> tuple[str, list[str]]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        reading = choose(adata, layer, read_rows, fresh=True)
    return reading.source.layer, [record.getMessage() for record in caplog.records]


# -- choice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [INTENSITIES, SCALED, None], ids=["intensities", "scaled", "none"])
@pytest.mark.parametrize(
    "name", ["counts", "raw_counts", "raw", "Counts", "UMI", "umi_counts", "count", "counts_raw", "unnormalized"]
)
def test_layers_with_common_names_are_used(x: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    adata = section(x, norm=INTENSITIES)
    adata.layers[name] = COUNTS
    assert chosen(adata, caplog) == (name, [f"X does not hold counts; layers[{name!r}] is used"])
    np.testing.assert_array_equal(_adata.read_gene_totals(adata, name), COUNTS.sum(axis=0))
    assert chosen(adata, caplog, name) == (name, [])


def test_order_is_x_counts_other_layers_raw(caplog: pytest.LogCaptureFixture) -> None:
    layers = {"umi": COUNTS, "raw_counts": COUNTS, "counts": COUNTS}
    adata = section(COUNTS, raw=COUNTS, **layers)
    assert chosen(adata, caplog) == ("X", [])
    adata.X = INTENSITIES
    for name in ("counts", "raw_counts", "umi"):
        assert chosen(adata, caplog)[0] == name
        adata.layers[name] = INTENSITIES
    assert chosen(adata, caplog) == ("raw", ["X does not hold counts; .raw is used"])
    adata.raw = adata
    name, (line,) = chosen(adata, caplog)
    assert name == "X"
    assert line.startswith("X does not hold counts: it is treated as intensities")


def test_layers_with_other_names_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    adata = section(INTENSITIES, spliced=COUNTS, mask=COUNTS > 0)
    assert chosen(adata, caplog)[0] == "X"
    assert chosen(adata, caplog, "spliced") == ("spliced", [])


def test_invalid_x_raises_if_there_are_no_counts() -> None:
    for adata in (section(SCALED), section(SCALED, counts=INTENSITIES), section(SCALED, raw=INTENSITIES)):
        assert error_message(lambda adata=adata: _adata.choose_matrix(adata, None)).startswith(
            "adata.X holds negative values"
        )


def test_layer_argument_is_used(caplog: pytest.LogCaptureFixture) -> None:
    adata = section(INTENSITIES, raw=COUNTS, counts=COUNTS, norm=INTENSITIES)
    for name, is_count in (("X", False), ("raw", True), ("counts", True), ("norm", False)):
        layer, lines = chosen(adata, caplog, name)
        assert (layer, len(lines)) == (name, 0 if is_count else 1)
        assert _adata.read_matrix(adata, name)[1] == is_count
    assert "layer='raw' is not in adata.layers" in error_message(lambda: _adata.choose_matrix(section(COUNTS), "raw"))
    adata.layers["raw"] = INTENSITIES  # a layer named "raw" takes precedence over adata.raw
    assert not _adata.read_matrix(adata, "raw")[1]


# -- .raw --------------------------------------------------------------------------------------------------


@given(st.permutations(range(11)), st.integers(2, 11))
def test_raw_is_matched_by_gene_name(order: list[int], n_genes: int) -> None:
    adata = section(INTENSITIES, raw=COUNTS)[:, order[:n_genes]].copy()
    expected = COUNTS[:, order[:n_genes]]
    rows, is_count = _adata.read_matrix(adata, None)
    np.testing.assert_array_equal(rows.toarray(), expected)
    assert is_count
    np.testing.assert_array_equal(_adata.read_gene_totals(adata, "raw"), expected.sum(axis=0))
    np.testing.assert_array_equal(_adata.read_gene_counts(adata, "raw").n_detected, (expected > 0).sum(axis=0))
    values, library, _ = _adata.read_gene_values(adata, "raw", [1, 0])
    np.testing.assert_array_equal(values, expected[:, [1, 0]].T)
    np.testing.assert_array_equal(library, COUNTS.sum(axis=1))  # over all genes of adata.raw


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "dask"])
def test_library_sizes_include_all_genes_of_raw(form: str) -> None:
    adata = section(INTENSITIES, raw=COUNTS)
    adata.obsm["spatial"] = np.column_stack([np.arange(40) % 8, np.arange(40) // 8]).astype(float)
    whole = section(COUNTS)
    whole.obsm["spatial"] = adata.obsm["spatial"]
    adata.raw = AnnData(MATRICES[form](COUNTS), obs=adata.obs, var=pd.DataFrame(index=adata.var_names))
    genes = [7, 2, 5, 1]
    images, expected = sx.pp.gene_images(adata[:, genes].copy()), sx.pp.gene_images(whole)
    np.testing.assert_array_equal(images.library, expected.library)
    np.testing.assert_array_equal(images.counts.toarray(), expected.counts.toarray()[:, genes])
    np.testing.assert_array_equal(images.residuals(), expected.residuals(np.array(genes)))


def test_raw_that_misses_a_gene_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    adata = section(INTENSITIES, raw=COUNTS[:, :10])
    assert chosen(adata, caplog)[0] == "X"
    assert "raw lacks genes of adata.var_names" in error_message(lambda: _adata.choose_matrix(adata, "raw"))


def test_raw_of_views_and_files(tmp_path: Path) -> None:
    adata = section(INTENSITIES, raw=COUNTS)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    for other in (backed, sx.read(tmp_path / "a.h5ad", lazy=True), adata):
        np.testing.assert_array_equal(_adata.read_gene_totals(other, None), COUNTS.sum(axis=0))
        np.testing.assert_array_equal(_adata.read_gene_totals(other[5:30, 2:6], None), COUNTS[5:30, 2:6].sum(axis=0))


# -- warnings -----------------------------------------------------------------------------------------------


def spatial(**changes: Any) -> AnnData:
    adata = sx.datasets.simulate_section(60, 300, 3, 3, depth=1.0)
    counts = adata.X.copy()
    adata.X = counts.log1p() if "x" not in changes else changes["x"](counts)
    if changes.get("raw"):
        adata.raw = AnnData(counts, obs=adata.obs, var=adata.var[[]])
    if "layer" in changes:
        adata.layers[changes["layer"]] = counts
    return adata


def everything(adata: AnnData) -> None:
    sx.tl.embed(adata, n_modules=3, **QUICK)
    sx.tl.svg(adata, **QUICK)
    sx.tl.interactions(adata)
    sx.tl.domains(adata, n_domains=3)
    sx.tl.pattern(adata, "true_library")
    sx.tl.markers(adata)
    sx.tl.score_pairs(adata, [("gene0001", "gene0002")], by="same")
    sx.pl.gene_images(adata, "gene0001")


@pytest.mark.parametrize(
    ("changes", "layer", "warning"),
    [
        ({"layer": "counts"}, "counts", "layers['counts'] is used"),
        ({"raw": True}, "raw", ".raw is used"),
        ({}, "", "it is treated as intensities"),
        ({"x": lambda x: x}, "", None),
    ],
)
def test_later_tools_do_not_repeat_the_warning(
    changes: dict[str, Any], layer: str, warning: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    adata = spatial(**changes)
    with caplog.at_level(logging.WARNING, logger="spacex"):
        everything(adata)
    lines = [record.getMessage() for record in caplog.records if "counts" in record.getMessage()]
    lines = [line for line in lines if "pixels without counts" not in line]
    assert len(lines) == (warning is not None)
    assert all(str(warning) in line for line in lines)
    assert adata.uns["spacex"]["embed"]["layer"] == layer
    plain = spatial(x=lambda x: x)
    if changes:
        everything(plain)
        np.testing.assert_array_equal(adata.varm["X_spacex"], plain.varm["X_spacex"])
        np.testing.assert_array_equal(adata.var["spacex_svg_score"], plain.var["spacex_svg_score"])
        assert adata.obs["spacex_domain"].tolist() == plain.obs["spacex_domain"].tolist()


def test_other_matrix_than_embedding_warns(caplog: pytest.LogCaptureFixture) -> None:
    adata = spatial(x=lambda x: x)
    sx.tl.embed(adata, n_modules=3, **QUICK)
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()  # common in scanpy workflows
    with caplog.at_level(logging.WARNING, logger="spacex"):
        sx.tl.svg(adata, **QUICK)
    assert [record.getMessage() for record in caplog.records] == ["X does not hold counts; layers['counts'] is used"]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        sx.tl.svg(adata, layer="X", **QUICK)
    assert len(caplog.records) == 1
    assert adata.uns["spacex"]["svg"]["null"] == "intensities"


@pytest.mark.parametrize("form", MATRICES)
def test_every_form_of_matrix_works(form: str) -> None:
    adata, plain = (spatial(x=lambda x: x) for _ in range(2))
    adata.X = MATRICES[form](plain.X.toarray())
    for one in (adata, plain):
        sx.tl.svg(one, **QUICK)
    np.testing.assert_array_equal(adata.var["spacex_svg_score"], plain.var["spacex_svg_score"])


def test_imputation_chooses_counts_of_target_and_reference(caplog: pytest.LogCaptureFixture) -> None:
    plain, hidden = spatial(x=lambda x: x), spatial(raw=True)
    settings = {"genes": list(plain.var_names[50:]), "learned": False, **QUICK}
    expected = sx.tl.impute(plain[:, :50].copy(), plain, **settings)
    with caplog.at_level(logging.WARNING, logger="spacex"):
        imputed = sx.tl.impute(hidden[:, :50].copy(), hidden, **settings)
    assert sum(".raw is used" in record.getMessage() for record in caplog.records) == 2  # of target and reference
    np.testing.assert_array_equal(imputed.X, expected.X)
    hidden.layers["other"] = plain.X
    np.testing.assert_array_equal(sx.tl.impute(hidden[:, :50].copy(), plain, layer="other", **settings).X, expected.X)
