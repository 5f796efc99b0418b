"""Validation of the matrix, and equal results in memory and in blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._adata.messages import error_message

import spacex as sx
from spacex import _adata
from spacex._adata import block_reducer, on_disk
from spacex._adata.matrix import choose, read_pixel_sums, read_rows
from spacex._adata.value_summary import ValueSummary
from spacex.imaging.aggregate import SpotToPixel
from spacex.imaging.grid import Grid

COUNTS = np.random.default_rng(3).poisson(1.0, (23, 11)).astype(np.float32)
COUNTS[:, [4, 10]] = 0
COUNTS[6] = 0


def in_parts(x: np.ndarray, kind: type = sp.csr_matrix) -> Any:
    """Store every value as two duplicate entries of half the value."""
    entries = sp.coo_array(x)
    i, j = (np.concatenate([part, part[::-1]]) for part in (entries.row, entries.col))
    order = np.argsort(i if kind is sp.csr_matrix else j, kind="stable")
    data = np.concatenate([entries.data, entries.data[::-1]])[order] / 2
    (major, minor), length = ((i, j), x.shape[0]) if kind is sp.csr_matrix else ((j, i), x.shape[1])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=length))])
    return kind((data, minor[order], indptr), shape=x.shape)


# In memory, and as Dask arrays of one block, of blocks of rows, of columns, and of both.
FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "rows": sp.csr_matrix,
    "columns": sp.csc_array,
    "dense": np.array,
    "float16": lambda x: x.astype(np.float16),
    "big-endian": lambda x: x.astype(">f8"),
    "rows in parts": in_parts,
    "columns in parts": lambda x: in_parts(x, sp.csc_matrix),
    "blocks in parts": lambda x: da.from_array(x, chunks=(7, 4)).map_blocks(in_parts),
    "one block": lambda x: da.from_array(x, chunks=(-1, -1)),
    "blocks of rows": lambda x: da.from_array(x, chunks=(5, -1)),
    "blocks of columns": lambda x: da.from_array(x, chunks=(-1, 3)),
    "blocks": lambda x: da.from_array(x, chunks=(7, 4)),
    "sparse blocks": lambda x: da.from_array(x, chunks=(7, 4)).map_blocks(sp.csr_matrix),
    "int blocks": lambda x: da.from_array(x.astype(np.int64), chunks=(4, 11)),
    "half blocks": lambda x: da.from_array(x.astype(np.float16), chunks=(4, 11)),
}


def section(matrix: Any, **layers: Any) -> AnnData:
    adata = AnnData(sp.csr_matrix(COUNTS.shape, dtype=np.float32))
    adata.X = matrix
    for name, layer in layers.items():
        adata.layers[name] = layer
    return adata


def chosen_layer(adata: AnnData, layer: str | None = None) -> str:
    return choose(adata, layer, read_rows).source.layer


def spot_to_pixel() -> SpotToPixel:
    """Three spots per pixel, on a line of pixels."""
    pixel = np.column_stack([np.zeros(23, dtype=int), np.arange(23) // 3])
    return SpotToPixel.from_pixels([pixel], [Grid((1, 8), "square", 1.0, 1.0)], np.zeros(23, dtype=int))


# -- value summary -----------------------------------------------------------------------------------------


def test_value_summary() -> None:
    assert ValueSummary.from_values(np.array([0.0, 2.0, 7.0])) == (0, 0.0, 7.0, True, True)
    assert ValueSummary.from_values(np.array([-2.0, 0.5])) == (0, -2.0, 0.5, True, False)
    assert ValueSummary.from_values(np.array([3.0])) == (0, 0.0, 3.0, True, True)
    assert ValueSummary.from_values(np.zeros(4)) == (0, 0.0, 0.0, False, True)
    assert ValueSummary.from_values(np.array([])) == (0, 0.0, 0.0, False, True)
    n_bad, *_, some, whole = ValueSummary.from_values(np.array([1.0, np.nan, np.inf]))
    assert (n_bad, some, whole) == (2, True, False)


def test_merged_summaries_equal_the_summary_of_all() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=40), rng.poisson(1.0, 40).astype(float), np.zeros(40), -np.arange(40.0)):
        for cut in (0, 1, 20, 40):
            merged = ValueSummary.from_values(values[:cut]).merge(ValueSummary.from_values(values[cut:]))
            assert merged == ValueSummary.from_values(values)
            assert merged == ValueSummary.from_values(values[cut:]).merge(ValueSummary.from_values(values[:cut]))
    assert ValueSummary(2).merge(ValueSummary(3)).n_nonfinite == 5
    assert not ValueSummary(all_integer=False).merge(ValueSummary()).all_integer
    assert ValueSummary(any_nonzero=True).merge(ValueSummary()).any_nonzero


REFUSED = {
    "holed": (
        ValueSummary(n_nonfinite=3, any_nonzero=True),
        "adata.X holds 3 NaN or infinite value(s); all must be finite: remove or replace those values",
    ),
    "negative": (
        ValueSummary(minimum=-1.5, any_nonzero=True),
        "adata.X holds negative values (smallest -1.5); pass raw counts, in X or by layer=",
    ),
    "empty": (ValueSummary(), "adata.X is zero everywhere; pass raw counts, in X or by layer="),
    "huge": (
        ValueSummary(maximum=1e39, any_nonzero=True),
        "adata.X holds values too large to compute with (largest 1e+39, allowed from 1e-15 to 1e+15); "
        "pass raw counts, or rescale it",
    ),
    "tiny": (
        ValueSummary(maximum=1e-16, any_nonzero=True, all_integer=False),
        "adata.X holds only values too small to compute with (largest 1e-16, allowed from 1e-15 to 1e+15); "
        "pass raw counts, or rescale it",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_invalid_summaries_raise(what: str) -> None:
    summary, message = REFUSED[what]
    assert error_message(lambda: summary.raise_if_invalid("X")) == message


def test_valid_summaries_do_not_raise() -> None:
    for largest in (1e-15, 1.0, 2.0**40, 1e15):
        ValueSummary(any_nonzero=True, maximum=largest, all_integer=False).raise_if_invalid("X")


@pytest.mark.parametrize("form", ["dense", "rows", "blocks", "sparse blocks", "blocks of columns"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "holds 1 NaN or infinite value(s); all must be finite: remove or replace those values"),
        (-2.0, "holds negative values (smallest -2); pass raw counts, in X or by layer="),
    ],
)  # fmt: skip
def test_every_reader_raises(form: str, value: float, message: str) -> None:
    invalid = COUNTS.copy()
    invalid[21, 9] = value
    adata = section(COUNTS, raw=FORMS[form](invalid))
    for read in (
        lambda: _adata.read_gene_totals(adata, "raw"),
        lambda: _adata.read_gene_counts(adata, "raw"),
        lambda: _adata.read_gene_values(adata, "raw", [0]),  # of another gene
        lambda: read_pixel_sums(adata, "raw", spot_to_pixel()),
        lambda: _adata.read_matrix(adata, "raw"),
    ):
        assert error_message(read) == f"adata.layers['raw'] {message}"


def test_complex_values_raise() -> None:
    complex_values = np.full(COUNTS.shape, 1j)
    for matrix in (complex_values, da.from_array(complex_values)):
        message = error_message(lambda matrix=matrix: _adata.read_gene_totals(section(matrix), None))
        assert message == "adata.X holds complex128 values; it must hold real numbers: raw counts"
        assert error_message(lambda matrix=matrix: _adata.choose_matrix(section(matrix), None)) == message


# -- choice ------------------------------------------------------------------------------------------------


def test_missing_matrix_raises() -> None:
    adata = section(COUNTS, raw=COUNTS, norm=COUNTS)
    assert error_message(lambda: _adata.read_matrix(adata, "counts")) == (
        "layer='counts' is not in adata.layers (available: 'raw', 'norm'); pass one of them or layer=None"
    )
    assert "(available: none)" in error_message(lambda: _adata.read_matrix(section(COUNTS), "counts"))
    empty = AnnData(obs={"a": range(23)}, var={"b": range(11)})
    assert error_message(lambda: _adata.read_matrix(empty, None)) == "adata.X is empty; put raw counts there"
    assert error_message(lambda: _adata.read_matrix(adata, ["raw"])).startswith("layer=['raw'] is not a name")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["rows", "blocks"])
def test_layer_of_counts_replaces_intensities(form: str, caplog: pytest.LogCaptureFixture) -> None:
    adata = section(FORMS[form](np.log1p(COUNTS)), counts=FORMS[form](COUNTS))
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert chosen_layer(adata) == "counts"
        np.testing.assert_array_equal(_adata.read_gene_totals(adata, None), COUNTS.sum(0))  # readers do not warn
    assert [r.getMessage() for r in caplog.records] == ["X does not hold counts; layers['counts'] is used"]
    assert _adata.read_gene_values(adata, None, [2])[2]
    assert _adata.read_matrix(adata, None)[1]
    adata.layers["counts"] = FORMS[form](-COUNTS)
    assert not _adata.read_gene_values(adata, None, [2])[2]  # an invalid layer is not used
    assert error_message(lambda: _adata.read_gene_totals(adata, "counts")).startswith(
        "adata.layers['counts'] holds negative values"
    )
    caplog.clear()
    plain = section(FORMS[form](np.log1p(COUNTS)))
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert chosen_layer(plain) == "X"
        values, library, is_count = _adata.read_gene_values(plain, None, [2])
    assert not is_count
    np.testing.assert_allclose(values[0], np.log1p(COUNTS[:, 2]), rtol=1e-6)
    np.testing.assert_allclose(library, np.log1p(COUNTS).sum(1), rtol=1e-6)
    assert [r.getMessage() for r in caplog.records] == [
        "X does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
        "pass layer= with raw counts if there are any"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert chosen_layer(section(COUNTS, counts=2 * COUNTS)) == "X"
    assert not caplog.records


# -- readers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_sums_equal_the_dense_matrix(form: str) -> None:
    adata = section(FORMS[form](COUNTS))
    totals, detected = _adata.read_gene_counts(adata, None)
    assert (totals.shape, totals.dtype) == ((11,), np.float64)
    np.testing.assert_array_equal(totals, COUNTS.sum(0))
    np.testing.assert_array_equal(detected, (COUNTS > 0).sum(0))


def test_stored_zeros_are_not_detected() -> None:
    stored = sp.csr_matrix(COUNTS)
    stored.data[:5] = 0
    np.testing.assert_array_equal(
        _adata.read_gene_counts(section(stored), None).n_detected, (stored.toarray() > 0).sum(0)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("genes", [[0], [10, 3, 4], [7, 7], list(range(11))], ids=str)
def test_columns_equal_the_dense_matrix(form: str, genes: list[int]) -> None:
    values, library, is_count = _adata.read_gene_values(section(FORMS[form](COUNTS)), None, genes)
    np.testing.assert_array_equal(values, COUNTS[:, genes].T)
    np.testing.assert_array_equal(library, COUNTS.sum(1))
    assert (values.dtype, library.dtype, is_count) == (np.float32, np.float64, True)


@pytest.mark.parametrize("form", FORMS)
def test_pixel_sums(form: str) -> None:
    sums, is_count, _ = read_pixel_sums(section(FORMS[form](COUNTS)), None, spot_to_pixel())
    expected = np.stack([COUNTS[start : start + 3].sum(0) for start in range(0, 23, 3)])
    np.testing.assert_array_equal(sums.pixels.toarray(), expected)
    assert sums.pixels.format == "csc"
    assert sums.pixels.dtype == np.float32
    np.testing.assert_array_equal(sums.library, COUNTS.sum(1))
    assert sums.library.dtype == np.float64
    assert is_count


@pytest.mark.parametrize("form", FORMS)
def test_matrix_is_read_as_csr_float32(form: str) -> None:
    adata = section(FORMS[form](COUNTS))
    assert chosen_layer(adata) == "X"
    rows, is_count = _adata.read_matrix(adata, None)
    assert (rows.format, rows.dtype, is_count) == ("csr", np.float32, True)
    np.testing.assert_array_equal(rows.toarray(), COUNTS)


@pytest.mark.parametrize("form", ["rows", "columns", "rows in parts", "columns in parts"])
def test_matrix_of_the_caller_is_unchanged(form: str) -> None:
    matrix = FORMS[form](COUNTS)
    adata = section(matrix)
    parts = ("data", "indices", "indptr")
    before = {name: (getattr(matrix, name), getattr(matrix, name).copy()) for name in parts}
    _adata.read_matrix(adata, None)
    _adata.read_gene_totals(adata, None)
    for name, (same, copy) in before.items():
        assert getattr(matrix, name) is same
        np.testing.assert_array_equal(same, copy)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("index", [10**6, 23, -3])
def test_out_of_range_indices_raise(kind: type, index: int) -> None:
    matrix = kind(COUNTS)
    assert matrix.has_canonical_format  # cached by scipy, although an index is changed below
    matrix.indices[5] = index
    adata = section(COUNTS, raw=matrix)
    for read in (
        lambda: _adata.choose_matrix(adata, "raw"),
        lambda: _adata.read_gene_totals(adata, "raw"),
        lambda: _adata.read_gene_counts(adata, "raw"),
        lambda: _adata.read_gene_values(adata, "raw", [0]),
        lambda: read_pixel_sums(adata, "raw", spot_to_pixel()),
    ):
        message = error_message(read)
        assert message.startswith("adata.layers['raw'] is damaged: indices must be ")
        assert message.endswith("; copy or download it again")


def test_inconsistent_indptr_raises() -> None:
    matrix = sp.csr_matrix(COUNTS)
    matrix.indptr[4] = 10**6
    assert "must be a non-decreasing sequence" in error_message(
        lambda: _adata.read_matrix(section(COUNTS, raw=matrix), "raw")
    )


@pytest.fixture
def blocks_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Shapes of the blocks that are read; a matrix in memory is one block."""
    shapes: list[tuple[int, int]] = []
    canonical_rows = block_reducer._canonical_rows

    def counted(matrix: Any) -> Any:
        shapes.append(matrix.shape)
        return canonical_rows(matrix)

    monkeypatch.setattr(block_reducer, "_canonical_rows", counted)
    return shapes


READERS: dict[str, Callable[[AnnData], object]] = {
    "choose_matrix": lambda adata: _adata.choose_matrix(adata, None),
    "read_matrix": lambda adata: _adata.read_matrix(adata, None),
    "read_gene_totals": lambda adata: _adata.read_gene_totals(adata, None),
    "read_gene_counts": lambda adata: _adata.read_gene_counts(adata, None),
    "read_gene_values": lambda adata: _adata.read_gene_values(adata, None, [0, 7]),
    "read_pixel_sums": lambda adata: read_pixel_sums(adata, None, spot_to_pixel()),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("form", "shapes"),
    [("rows", {(23, 11)}), ("dense", {(23, 11)}), ("blocks", {(7, 4), (7, 3), (2, 4), (2, 3)})],
)
def test_the_matrix_is_read_in_one_pass_over_its_blocks(
    reader: str, form: str, shapes: set[tuple[int, int]], blocks_read: list[tuple[int, int]]
) -> None:
    READERS[reader](section(FORMS[form](COUNTS)))
    assert set(blocks_read) == shapes
    assert sum(n_rows * n_columns for n_rows, n_columns in blocks_read) == COUNTS.size


@pytest.mark.parametrize("form", ["rows", "blocks"])
def test_embed_reads_the_matrix_once_and_rasterize_not_at_all(form: str, blocks_read: list[tuple[int, int]]) -> None:
    adata = sx.datasets.simulate_section(n_genes=40, n_spots=200, n_modules=2, n_domains=2, depth=1.0)
    adata.X = {"rows": sp.csr_matrix, "blocks": lambda x: da.from_array(x, chunks=(70, 20))}[form](adata.X.toarray())
    sx.pp.rasterize(adata)
    assert not blocks_read
    sx.tl.embed(adata, n_modules=2, progress=False)
    assert sum(n_rows * n_columns for n_rows, n_columns in blocks_read) == adata.n_obs * adata.n_vars


def test_reading_stops_at_first_block_without_counts(blocks_read: list[tuple[int, int]]) -> None:
    matrix = FORMS["blocks of rows"](np.log1p(COUNTS))
    with dask.config.set(scheduler="synchronous"):
        assert chosen_layer(section(matrix, counts=FORMS["rows"](COUNTS))) == "counts"
    assert blocks_read == [(5, 11), (23, 11)]


@pytest.mark.parametrize("row", [0, 11, 22])
def test_a_bad_value_in_any_block_raises(row: int) -> None:
    invalid = COUNTS.copy()
    invalid[row, 0] = -1
    for form in ("rows", "blocks of rows"):
        adata = section(FORMS[form](invalid))
        assert "negative" in error_message(lambda adata=adata: _adata.choose_matrix(adata, None))


@pytest.mark.parametrize("form", ["blocks of rows", "blocks of columns", "blocks"])
def test_empty_blocks_are_ignored(form: str, caplog: pytest.LogCaptureFixture) -> None:
    late = np.zeros_like(COUNTS)
    late[11, 5] = 0.5
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert chosen_layer(section(FORMS[form](late))) == "X"
    assert len(caplog.records) == 1  # intensities
    zero = FORMS[form](np.zeros_like(COUNTS))
    assert error_message(lambda: _adata.choose_matrix(section(zero), None)).startswith("adata.X is zero everywhere")


def test_layer_argument_is_validated() -> None:
    adata = section(COUNTS, raw=-COUNTS)
    assert error_message(lambda: _adata.choose_matrix(adata, "raw")).startswith(
        "adata.layers['raw'] holds negative values"
    )
    assert chosen_layer(section(-COUNTS, raw=COUNTS), "raw") == "raw"


def test_dense_matrix_larger_than_memory_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacex._infra.memory.available_memory", lambda: 1000)
    assert error_message(lambda: _adata.read_matrix(section(FORMS["blocks"](COUNTS)), None)) == (
        "adata.X: reading it whole needs about 0.0 GB of memory, and 0.0 GB are available: "
        "keep it sparse, or subset it first"
    )
    rows, _ = _adata.read_matrix(section(FORMS["sparse blocks"](COUNTS)), None)  # the size of sparse blocks is unknown
    np.testing.assert_array_equal(rows.toarray(), COUNTS)


# -- blocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_files_are_read_in_blocks(tmp_path: Any, kind: str) -> None:
    import anndata as ad

    AnnData({"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.array}[kind](COUNTS)).write_h5ad(
        tmp_path / "a.h5ad"
    )
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert isinstance(on_disk.as_dask(backed.X), da.Array)
    np.testing.assert_array_equal(_adata.read_gene_totals(backed, None), COUNTS.sum(0))
    np.testing.assert_array_equal(_adata.read_matrix(backed, None)[0].toarray(), COUNTS)
    assert on_disk.as_dask(COUNTS) is None
    assert on_disk.as_dask(sp.csr_matrix(COUNTS)) is None


def test_blocks_of_unknown_size_raise() -> None:
    matrix = da.from_array(COUNTS, chunks=(5, -1))
    assert error_message(lambda: on_disk.as_dask(matrix[matrix.sum(axis=1) > 0])) == (
        "the matrix is a Dask array of unknown size; call its compute_chunk_sizes() first"
    )


def test_out_of_range_indices_in_blocks_raise() -> None:
    def damaged(block: np.ndarray) -> sp.csr_matrix:
        rows = sp.csr_matrix(block)
        rows.indices[3] = 1000
        return rows

    matrix = da.from_array(COUNTS, chunks=(23, 11)).map_blocks(damaged, meta=sp.csr_matrix((0, 0), dtype=np.float32))
    message = error_message(lambda: _adata.read_gene_totals(section(matrix), None))
    assert message.startswith("the matrix on disk is damaged: ")
    assert message.endswith("; copy or download it again")


@pytest.mark.parametrize("chunks", [(23, 11), (7, 11), (4, 3), (1, 11)])
def test_blocks_are_stacked_in_order(chunks: tuple[int, int]) -> None:
    matrix = da.from_array(COUNTS, chunks=chunks)

    def first_row(block: np.ndarray, rows: slice, columns: slice, prefix: str) -> list[str]:
        np.testing.assert_array_equal(block, COUNTS[rows, columns])
        return [f"{prefix}{rows.start}"]

    parts = on_disk.reduce_blocks(matrix, first_row, lambda upper, lower, prefix: upper + lower, "row ")
    assert parts == [[f"row {i}" for i in range(0, 23, chunks[0])]] * len(range(0, 11, chunks[1]))


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
@pytest.mark.parametrize("nbytes", [1, 400, 10**9])
def test_block_size_on_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: str, nbytes: int) -> None:
    import h5py

    matrix = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.array}[kind](COUNTS)
    AnnData(matrix).write_h5ad(tmp_path / "a.h5ad")
    monkeypatch.setattr(on_disk, "BLOCK_BYTES", nbytes)
    with h5py.File(tmp_path / "a.h5ad") as file:
        lazy = on_disk.read_lazy(file["X"])
        np.testing.assert_array_equal(
            section(lazy).X.compute() if kind == "dense" else lazy.compute().toarray(), COUNTS
        )
        sizes = lazy.chunks[1 if kind == "csc" else 0]
        assert lazy.numblocks[0 if kind == "csc" else 1] == 1
    stored = COUNTS.size * 4 if kind == "dense" else int((COUNTS > 0).sum()) * (4 + matrix.indices.dtype.itemsize)
    length = 11 if kind == "csc" else 23
    assert max(sizes) == min(max(length * nbytes // stored, 1), length)
