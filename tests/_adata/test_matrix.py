"""The matrix: what is refused, in which words, and that memory and blocks give the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._adata.messages import error_message

from spacex import _adata
from spacex._adata import matrix as matrix_module
from spacex._adata import on_disk
from spacex._adata.matrix import ValueSummary
from spacex.imaging.aggregate import SpotToPixel
from spacex.imaging.grid import Grid

COUNTS = np.random.default_rng(3).poisson(1.0, (23, 11)).astype(np.float32)
COUNTS[:, [4, 10]] = 0
COUNTS[6] = 0


def in_parts(x: np.ndarray, kind: type = sp.csr_matrix) -> Any:
    """Every value stored twice over, as halves that lie apart."""
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


def places() -> SpotToPixel:
    """Spots in threes on a line of pixels."""
    pixel = np.column_stack([np.zeros(23, dtype=int), np.arange(23) // 3])
    return SpotToPixel.of([pixel], [Grid((1, 8), "square", 1.0, 1.0)], np.zeros(23, dtype=int))


# -- traits ------------------------------------------------------------------------------------------------


def test_traits_are_looked_up() -> None:
    assert ValueSummary.of(np.array([0.0, 2.0, 7.0])) == (0, 0.0, 7.0, True, True)
    assert ValueSummary.of(np.array([-2.0, 0.5])) == (0, -2.0, 0.5, True, False)
    assert ValueSummary.of(np.array([3.0])) == (0, 0.0, 3.0, True, True)
    assert ValueSummary.of(np.zeros(4)) == (0, 0.0, 0.0, False, True)
    assert ValueSummary.of(np.array([])) == (0, 0.0, 0.0, False, True)
    n_bad, *_, some, whole = ValueSummary.of(np.array([1.0, np.nan, np.inf]))
    assert (n_bad, some, whole) == (2, True, False)


def test_traits_of_parts_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=40), rng.poisson(1.0, 40).astype(float), np.zeros(40), -np.arange(40.0)):
        for cut in (0, 1, 20, 40):
            joined = ValueSummary.of(values[:cut]).join(ValueSummary.of(values[cut:]))
            assert joined == ValueSummary.of(values)
            assert joined == ValueSummary.of(values[cut:]).join(ValueSummary.of(values[:cut]))
    assert ValueSummary(2).join(ValueSummary(3)).n_bad == 5
    assert not ValueSummary(whole=False).join(ValueSummary()).whole
    assert ValueSummary(some=True).join(ValueSummary()).some


REFUSED = {
    "holed": (
        ValueSummary(n_bad=3, some=True),
        "adata.X holds 3 NaN or infinite value(s); all must be finite: remove or replace those values",
    ),
    "negative": (
        ValueSummary(least=-1.5, some=True),
        "adata.X holds negative values (smallest -1.5); pass raw counts, in X or by layer=",
    ),
    "empty": (ValueSummary(), "adata.X is zero everywhere; pass raw counts, in X or by layer="),
    "huge": (
        ValueSummary(most=1e39, some=True),
        "adata.X holds values too large to compute with (largest 1e+39, allowed from 1e-15 to 1e+15); "
        "pass raw counts, or rescale it",
    ),
    "tiny": (
        ValueSummary(most=1e-16, some=True, whole=False),
        "adata.X holds only values too small to compute with (largest 1e-16, allowed from 1e-15 to 1e+15); "
        "pass raw counts, or rescale it",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_traits_decide(what: str) -> None:
    traits, message = REFUSED[what]
    assert error_message(lambda: traits.refuse("X")) == message


def test_traits_that_can_be_used_are_not_refused() -> None:
    for most in (1e-15, 1.0, 2.0**40, 1e15):
        ValueSummary(some=True, most=most, whole=False).refuse("X")


@pytest.mark.parametrize("form", ["dense", "rows", "blocks", "sparse blocks", "blocks of columns"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "holds 1 NaN or infinite value(s); all must be finite: remove or replace those values"),
        (-2.0, "holds negative values (smallest -2); pass raw counts, in X or by layer="),
    ],
)  # fmt: skip
def test_every_reading_refuses(form: str, value: float, message: str) -> None:
    spoilt = COUNTS.copy()
    spoilt[21, 9] = value
    adata = section(COUNTS, raw=FORMS[form](spoilt))
    for read in (
        lambda: _adata.read_gene_totals(adata, "raw"),
        lambda: _adata.read_detection_counts(adata, "raw"),
        lambda: _adata.read_gene_values(adata, "raw", [0]),  # of another gene
        lambda: matrix_module.read_sums(adata, "raw", places()),
        lambda: _adata.read_matrix(adata, "raw"),
    ):
        assert error_message(read) == f"adata.layers['raw'] {message}"


def test_what_is_not_a_number_is_refused() -> None:
    wordy = np.full(COUNTS.shape, 1j)
    for matrix in (wordy, da.from_array(wordy)):
        message = error_message(lambda matrix=matrix: _adata.read_gene_totals(section(matrix), None))
        assert message == "adata.X holds complex128 values; it must hold real numbers: raw counts"
        assert error_message(lambda matrix=matrix: _adata.choose_matrix(section(matrix), None)) == message


# -- which matrix ------------------------------------------------------------------------------------------


def test_a_matrix_that_is_not_there_is_named() -> None:
    adata = section(COUNTS, raw=COUNTS, norm=COUNTS)
    assert error_message(lambda: _adata.read_matrix(adata, "counts")) == (
        "layer='counts' is not in adata.layers (there: 'raw', 'norm'); pass one of them or layer=None"
    )
    assert "(there: none)" in error_message(lambda: _adata.read_matrix(section(COUNTS), "counts"))
    empty = AnnData(obs={"a": range(23)}, var={"b": range(11)})
    assert error_message(lambda: _adata.read_matrix(empty, None)) == "adata.X is empty; put raw counts there"
    assert error_message(lambda: _adata.read_matrix(adata, ["raw"])).startswith("layer=['raw'] is not a name")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["rows", "blocks"])
def test_the_layer_of_counts_stands_in_for_intensities(form: str, caplog: pytest.LogCaptureFixture) -> None:
    adata = section(FORMS[form](np.log1p(COUNTS)), counts=FORMS[form](COUNTS))
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert _adata.choose_matrix(adata, None) == "counts"
        np.testing.assert_array_equal(_adata.read_gene_totals(adata, None), COUNTS.sum(0))  # reading says nothing
    assert [r.getMessage() for r in caplog.records] == ["X does not hold counts; layers['counts'] is used"]
    assert _adata.read_gene_values(adata, None, [2])[2]
    assert _adata.read_matrix(adata, None)[1]
    adata.layers["counts"] = FORMS[form](-COUNTS)
    assert not _adata.read_gene_values(adata, None, [2])[2]  # a layer that cannot be used is none of counts
    assert error_message(lambda: _adata.read_gene_totals(adata, "counts")).startswith(
        "adata.layers['counts'] holds negative values"
    )
    caplog.clear()
    plain = section(FORMS[form](np.log1p(COUNTS)))
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert _adata.choose_matrix(plain, None) == "X"
        values, library, is_count = _adata.read_gene_values(plain, None, [2])
    assert not is_count
    np.testing.assert_allclose(values[0], np.log1p(COUNTS[:, 2]), rtol=1e-6)
    np.testing.assert_allclose(library, np.log1p(COUNTS).sum(1), rtol=1e-6)
    assert [r.getMessage() for r in caplog.records] == [
        "X does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
        "pass layer= with raw counts where there are any"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert _adata.choose_matrix(section(COUNTS, counts=2 * COUNTS), None) == "X"
    assert not caplog.records


# -- what is taken from it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_sums_are_those_of_the_dense_matrix(form: str) -> None:
    adata = section(FORMS[form](COUNTS))
    totals, detected = _adata.read_gene_totals(adata, None), _adata.read_detection_counts(adata, None)
    assert (totals.shape, totals.dtype) == ((11,), np.float64)
    np.testing.assert_array_equal(totals, COUNTS.sum(0))
    np.testing.assert_array_equal(detected, (COUNTS > 0).sum(0))


def test_stored_zeros_are_not_detected() -> None:
    stored = sp.csr_matrix(COUNTS)
    stored.data[:5] = 0
    np.testing.assert_array_equal(_adata.read_detection_counts(section(stored), None), (stored.toarray() > 0).sum(0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("genes", [[0], [10, 3, 4], [7, 7], list(range(11))], ids=str)
def test_columns_are_those_of_the_dense_matrix(form: str, genes: list[int]) -> None:
    values, library, is_count = _adata.read_gene_values(section(FORMS[form](COUNTS)), None, genes)
    np.testing.assert_array_equal(values, COUNTS[:, genes].T)
    np.testing.assert_array_equal(library, COUNTS.sum(1))
    assert (values.dtype, library.dtype, is_count) == (np.float32, np.float64, True)


@pytest.mark.parametrize("form", FORMS)
def test_pixels_hold_the_sums_of_their_spots(form: str) -> None:
    sums, is_count = matrix_module.read_sums(section(FORMS[form](COUNTS)), None, places())
    want = np.stack([COUNTS[start : start + 3].sum(0) for start in range(0, 23, 3)])
    np.testing.assert_array_equal(sums.pixels.toarray(), want)
    assert sums.pixels.format == "csc"
    assert sums.pixels.dtype == np.float32
    np.testing.assert_array_equal(sums.library, COUNTS.sum(1))
    assert sums.library.dtype == np.float64
    assert is_count


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_matrix_is_rows_of_float32(form: str) -> None:
    adata = section(FORMS[form](COUNTS))
    assert _adata.choose_matrix(adata, None) == "X"
    rows, is_count = _adata.read_matrix(adata, None)
    assert (rows.format, rows.dtype, is_count) == ("csr", np.float32, True)
    np.testing.assert_array_equal(rows.toarray(), COUNTS)


@pytest.mark.parametrize("form", ["rows", "columns", "rows in parts", "columns in parts"])
def test_the_matrix_of_the_caller_stays_as_it_was(form: str) -> None:
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
def test_indices_that_lie_outside_are_refused(kind: type, index: int) -> None:
    matrix = kind(COUNTS)
    assert matrix.has_canonical_format  # what scipy then remembers, and what is changed behind its back
    matrix.indices[5] = index
    adata = section(COUNTS, raw=matrix)
    for read in (
        lambda: _adata.choose_matrix(adata, "raw"),
        lambda: _adata.read_gene_totals(adata, "raw"),
        lambda: _adata.read_detection_counts(adata, "raw"),
        lambda: _adata.read_gene_values(adata, "raw", [0]),
        lambda: matrix_module.read_sums(adata, "raw", places()),
    ):
        message = error_message(read)
        assert message.startswith("adata.layers['raw'] is damaged: indices must be ")
        assert message.endswith("; copy or download it again")


def test_a_matrix_whose_parts_do_not_fit_is_refused() -> None:
    matrix = sp.csr_matrix(COUNTS)
    matrix.indptr[4] = 10**6
    assert "must be a non-decreasing sequence" in error_message(
        lambda: _adata.read_matrix(section(COUNTS, raw=matrix), "raw")
    )


def test_a_matrix_on_disk_is_judged_by_its_first_and_its_last_block(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, plain = [], matrix_module._as_rows
    monkeypatch.setattr(matrix_module, "_as_rows", lambda matrix: seen.append(matrix.shape) or plain(matrix))
    assert _adata.choose_matrix(section(FORMS["blocks of rows"](COUNTS)), None) == "X"
    assert seen == [(5, 11), (3, 11)]
    for at in (0, 22):
        spoilt = COUNTS.copy()
        spoilt[at, 0] = -1
        for adata in (section(FORMS["blocks of rows"](spoilt)), section(spoilt)):
            assert "negative" in error_message(lambda adata=adata: _adata.choose_matrix(adata, None))
    spoilt = COUNTS.copy()
    spoilt[11, 0] = -1  # of a block between: told as it is read
    adata = section(FORMS["blocks of rows"](spoilt))
    assert _adata.choose_matrix(adata, None) == "X"
    assert "negative" in error_message(lambda: _adata.read_gene_totals(adata, "X"))


@pytest.mark.parametrize("form", ["blocks of rows", "blocks of columns", "blocks"])
def test_blocks_without_values_say_nothing(form: str, caplog: pytest.LogCaptureFixture) -> None:
    late = np.zeros_like(COUNTS)
    late[11, 5] = 0.5
    with caplog.at_level(logging.WARNING, logger="spacex"):
        assert _adata.choose_matrix(section(FORMS[form](late)), None) == "X"
    assert len(caplog.records) == 1  # intensities
    zero = FORMS[form](np.zeros_like(COUNTS))
    assert error_message(lambda: _adata.choose_matrix(section(zero), None)).startswith("adata.X is zero everywhere")


def test_the_layer_that_is_asked_for_is_checked() -> None:
    adata = section(COUNTS, raw=-COUNTS)
    assert error_message(lambda: _adata.choose_matrix(adata, "raw")).startswith(
        "adata.layers['raw'] holds negative values"
    )
    assert _adata.choose_matrix(section(-COUNTS, raw=COUNTS), "raw") == "raw"


def test_a_dense_matrix_larger_than_memory_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacex._infra.memory.available_memory", lambda: 1000)
    assert error_message(lambda: _adata.read_matrix(section(FORMS["blocks"](COUNTS)), None)) == (
        "adata.X: reading it whole needs about 0.0 GB of memory, and 0.0 GB are free: "
        "keep it sparse, or subset it first"
    )
    rows, _ = _adata.read_matrix(section(FORMS["sparse blocks"](COUNTS)), None)  # its size is not known before
    np.testing.assert_array_equal(rows.toarray(), COUNTS)


# -- blocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["blocks", "sparse blocks"])
def test_a_matrix_in_blocks_is_never_whole(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, plain = [], matrix_module._as_rows

    def watched(matrix: Any) -> Any:
        seen.append(matrix.shape)
        return plain(matrix)

    monkeypatch.setattr(matrix_module, "_as_rows", watched)
    adata = section(FORMS[form](COUNTS))
    for read in (
        lambda: _adata.read_gene_totals(adata, None),
        lambda: _adata.read_detection_counts(adata, None),
        lambda: _adata.read_gene_values(adata, None, [0, 7]),
        lambda: matrix_module.read_sums(adata, None, places()),
    ):
        seen.clear()
        read()
        assert len(seen) == 12
        assert max(rows for rows, _ in seen) == 7
        assert max(columns for _, columns in seen) == 4


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_what_lies_in_a_file_is_read_in_blocks(tmp_path: Any, kind: str) -> None:
    import anndata as ad

    AnnData({"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.array}[kind](COUNTS)).write_h5ad(
        tmp_path / "a.h5ad"
    )
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert isinstance(on_disk.as_stored(backed.X), da.Array)
    np.testing.assert_array_equal(_adata.read_gene_totals(backed, None), COUNTS.sum(0))
    np.testing.assert_array_equal(_adata.read_matrix(backed, None)[0].toarray(), COUNTS)
    assert on_disk.as_stored(COUNTS) is None
    assert on_disk.as_stored(sp.csr_matrix(COUNTS)) is None


def test_blocks_of_unknown_size_are_refused() -> None:
    matrix = da.from_array(COUNTS, chunks=(5, -1))
    assert error_message(lambda: on_disk.as_stored(matrix[matrix.sum(axis=1) > 0])) == (
        "the matrix is a Dask array of unknown size; call its compute_chunk_sizes() first"
    )


def test_blocks_whose_indices_lie_outside_are_refused() -> None:
    def damaged(block: np.ndarray) -> sp.csr_matrix:
        rows = sp.csr_matrix(block)
        rows.indices[3] = 1000
        return rows

    matrix = da.from_array(COUNTS, chunks=(23, 11)).map_blocks(damaged, meta=sp.csr_matrix((0, 0), dtype=np.float32))
    message = error_message(lambda: _adata.read_gene_totals(section(matrix), None))
    assert message.startswith("the matrix on disk is damaged: ")
    assert message.endswith("; copy or download it again")


@pytest.mark.parametrize(("chunks", "n_rows"), [((23, 11), 1), ((7, 11), 4), ((4, 3), 6), ((1, 11), 23)])
def test_blocks_are_joined_in_order(chunks: tuple[int, int], n_rows: int) -> None:
    matrix = da.from_array(COUNTS, chunks=chunks)

    def part(block: np.ndarray, rows: slice, columns: slice, add: str) -> list[str]:
        np.testing.assert_array_equal(block, COUNTS[rows, columns])
        return [f"{add}{rows.start}"]

    found = on_disk.by_blocks(matrix, part, lambda a, b, add: a + b, "row ")
    assert [(c.start, c.stop) for c, _ in found] == [(i, min(i + chunks[1], 11)) for i in range(0, 11, chunks[1])]
    for _, parts in found:
        assert parts == [f"row {i}" for i in range(0, 23, chunks[0])]
        assert len(parts) == n_rows


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
@pytest.mark.parametrize("nbytes", [1, 400, 10**9])
def test_blocks_on_disk_are_about_as_large_as_asked(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: str, nbytes: int
) -> None:
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
