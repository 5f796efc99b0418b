"""Invalid input raises a one-line error before any work and leaves the AnnData unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import spacex as sx
from spacex import Config, _adata
from spacex._infra.errors import InputError

NAN, INF = float("nan"), float("inf")
S, G = 60, 12
QUICK = Config(epochs=0, boost_rounds=0, n_layers=0, n_null_genes=50)

Change = Callable[[AnnData], AnnData | None]


def plain() -> AnnData:
    """Return a small section on a square array, with a library and an entry of the caller in ``uns``."""
    rng = np.random.default_rng(0)
    adata = AnnData(
        sp.csr_matrix(rng.poisson(3.0, (S, G)).astype(np.float32)),
        obs=pd.DataFrame({"library": np.repeat(["a", "b"], S // 2)}, index=[f"spot{i}" for i in range(S)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(G)]),
        obsm={"spatial": np.column_stack([np.arange(S) % 10, np.arange(S) // 10]).astype(float)},
    )
    adata.uns["mine"] = {"a": 1}
    return adata


def with_x(values: Callable[[np.ndarray], Any]) -> Change:
    def change(adata: AnnData) -> None:
        adata.X = values(adata.X.toarray())

    return change


def with_entry(value: float, *, dense: bool = False, dtype: type = np.float64) -> Change:
    def values(counts: np.ndarray) -> Any:
        counts = counts.astype(dtype)
        counts[4, 2] = value
        return counts if dense else sp.csr_matrix(counts)

    return with_x(values)


def with_coords(values: Callable[[np.ndarray], Any]) -> Change:
    def change(adata: AnnData) -> None:
        adata.obsm["spatial"] = values(np.asarray(adata.obsm["spatial"]))

    return change


def with_coord(value: Any, dtype: Any = float) -> Change:
    def values(xy: np.ndarray) -> np.ndarray:
        xy = xy.astype(dtype)
        xy[7, 1] = value
        return xy

    return with_coords(values)


def no_coords(adata: AnnData) -> None:
    del adata.obsm["spatial"]


def with_names(names: list[str]) -> Change:
    def change(adata: AnnData) -> None:
        adata.var_names = names

    return change


def with_library(values: Any) -> Change:
    def change(adata: AnnData) -> None:
        adata.obs["library"] = values

    return change


def shuffled(adata: AnnData) -> None:
    adata.obs = adata.obs.assign(array_row=0, array_col=0)


def rare(adata: AnnData) -> None:
    counts = np.zeros((S, G), dtype=np.float32)
    counts[:, 0] = 5
    counts[:4, 1:] = 1
    adata.X = counts


def in_one_spot(adata: AnnData) -> None:
    counts = np.zeros((S, G), dtype=np.float32)
    counts[0] = 9
    adata.X = counts


def nothing(adata: AnnData) -> None:
    pass


RASTERIZE: dict[str, tuple[Change, dict[str, Any], str]] = {
    "no coordinates": (no_coords, {}, r"obsm\['spatial'\] is missing \(available: none\).*\(n_obs, 2\).*spatial_key="),
    "another key": (nothing, {"spatial_key": "X_umap"}, r"obsm\['X_umap'\] is missing \(available: 'spatial'\)"),
    "NaN coordinate": (with_coord(NAN), {}, r"obsm\['spatial'\] holds 1 NaN.*drop the spots"),
    "infinite coordinate": (with_coord(-INF), {}, r"obsm\['spatial'\] holds 1 NaN or inf.*drop the spots"),
    "all NaN": (with_coords(lambda xy: xy * NAN), {}, r"obsm\['spatial'\] holds 120 NaN"),
    "one column": (with_coords(lambda xy: xy[:, :1]), {}, r"obsm\['spatial'\] has shape \(60, 1\).*two columns"),
    "no column": (with_coords(lambda xy: xy[:, :0]), {}, r"obsm\['spatial'\] has shape \(60, 0\).*two columns"),
    "three axes": (with_coords(lambda xy: xy[:, :, None]), {}, r"obsm\['spatial'\] has shape|one place|NaN"),
    "text": (with_coords(lambda xy: xy.astype(str).astype(object) + "px"), {}, r"'spatial'\] does not hold numbers"),
    "one word": (with_coord("here", object), {}, r"obsm\['spatial'\] does not hold numbers.*\(n_obs, 2\)"),
    "None": (with_coord(None, object), {}, r"obsm\['spatial'\] holds 1 NaN"),
    "complex": (with_coords(lambda xy: xy + 1j), {}, r"obsm\['spatial'\] does not hold (real )?numbers"),
    "all in one place": (with_coords(lambda xy: xy * 0 + 3), {}, r"all spots lie in one place.*obsm\['spatial'\]"),
    "one place, array": (lambda a: (shuffled(a), with_coords(lambda xy: xy * 0)(a))[0], {}, r"one place"),
    "absurdly large": (with_coords(lambda xy: xy * 1e306), {}, r"obsm\['spatial'\].*(large|1e)"),
    "one spot": (lambda a: a[:1].copy(), {}, r"1 spot\(s\).*at least 10"),
    "nine spots": (lambda a: a[:9].copy(), {}, r"9 spot\(s\).*at least 10"),
    "no spot": (lambda a: a[:0].copy(), {}, r"0 spot\(s\).*at least 10"),
    "grid a word": (nothing, {"grid": "large"}, r"grid='large'.*'auto', a number of pixels or \(rows, columns\)"),
    "grid of one pixel": (nothing, {"grid": 1}, r"grid=1 .*from 2 to 2048"),
    "grid zero": (nothing, {"grid": 0}, r"grid=0 .*from 2 to 2048"),
    "grid too large": (nothing, {"grid": 100_000}, r"grid=100000 .*from 2 to 2048"),
    "grid a fraction": (nothing, {"grid": 8.5}, r"grid=8.5 .*whole number"),
    "grid a boolean": (nothing, {"grid": True}, r"grid=True .*whole number"),
    "grid None": (nothing, {"grid": None}, r"grid=None .*whole number"),
    "grid of three": (nothing, {"grid": (3, 4, 5)}, r"grid=\(3, 4, 5\).*\(rows, columns\)"),
    "grid with zero": (nothing, {"grid": (0, 5)}, r"grid\[0\]=0 .*from 1"),
    "grid with a fraction": (nothing, {"grid": (5, 2.5)}, r"grid\[1\]=2.5"),
    "library missing": (nothing, {"library_key": "slide"}, r"library_key='slide' is not a column of adata.obs; pass"),
    "library NaN": (
        with_library(["a", None] * (S // 2)), {"library_key": "library"}, r"obs\['library'\] is missing for 30 spot"
    ),
    "library of one spot": (
        with_library(["tiny"] + ["a"] * (S - 1)), {"library_key": "library"}, r"\(s\) tiny of obs\['library'\].*10"
    ),
    "a library in one place": (
        with_coords(lambda xy: np.where(np.arange(S)[:, None] < 30, xy, 1.0)), {"library_key": "library"}, r"one place"
    ),
}  # fmt: skip

EMBED: dict[str, tuple[Change, dict[str, Any], str]] = {
    **{f"rasterize: {name}": case for name, case in RASTERIZE.items()
       if not {"grid", "spatial_key"} & set(case[1])},
    "NaN count": (with_entry(NAN), {}, r"adata.X holds 1 NaN or infinite.*finite"),
    "NaN count, dense": (with_entry(NAN, dense=True), {}, r"adata.X holds 1 NaN"),
    "infinite count": (with_entry(INF), {}, r"adata.X holds 1 NaN or infinite"),
    "negative count": (with_entry(-2), {}, r"adata.X holds negative values \(smallest -2\).*layer="),
    "negative integer": (with_entry(-1, dense=True, dtype=np.int64), {}, r"negative values \(smallest -1\)"),
    "negative zero sum": (with_x(lambda x: x - x.mean()), {}, r"negative values"),
    "all zero": (with_x(lambda x: sp.csr_matrix(x.shape, dtype=np.float32)), {}, r"adata.X is zero everywhere.*layer="),
    "all zero, dense": (with_x(np.zeros_like), {}, r"adata.X is zero everywhere"),
    "all stored zeros": (with_x(lambda x: _stored_zeros(x)), {}, r"adata.X is zero everywhere"),
    "no X": (with_x(lambda x: None), {}, r"adata.X is empty; put raw counts there"),
    "text in X": (with_x(lambda x: x.astype(str)), {}, r"adata.X holds .* values; it must hold.*numbers"),
    "objects in X": (with_x(lambda x: x.astype(object)), {}, r"adata.X holds object values"),
    "complex X": (with_x(lambda x: x.astype(np.complex64)), {}, r"adata.X holds complex64 values"),
    "complex sparse X": (with_x(lambda x: sp.csr_matrix(x + 1j)), {}, r"adata.X holds complex\d+ values"),
    "one gene": (lambda a: a[:, :1].copy(), {}, r"1 gene\(s\).*at least 2"),
    "no gene": (lambda a: a[:, :0].copy(), {}, r"0 gene\(s\).*at least 2"),
    "duplicated genes": (
        with_names(list("AABBCDEFGHIJ")), {}, r"2 gene name\(s\).*'A'.*var_names_make_unique"
    ),
    "empty gene names": (with_names([""] * G), {}, r"1 gene name\(s\).*first: ''.*var_names_make_unique"),
    "layer missing": (nothing, {"layer": "raw"}, r"layer='raw' is not in adata.layers \(available: none\)"),
    "layer a number": (nothing, {"layer": 3}, r"layer=3 is not in adata.layers"),
    "NaN in the layer": (
        lambda a: a.layers.update(raw=np.full((S, G), NAN)), {"layer": "raw"}, r"adata.layers\['raw'\] holds 720 NaN"
    ),
    "negative layer": (
        lambda a: a.layers.update(raw=-np.ones((S, G))), {"layer": "raw"}, r"adata.layers\['raw'\] holds negative"
    ),
    "empty layer": (lambda a: a.layers.update(raw=np.zeros((S, G))), {"layer": "raw"}, r"\['raw'\] is zero every"),
    "only rare genes": (rare, {}, r"1 gene\(s\) have at least 5 counts.*min_counts"),
    "counts in one spot": (in_one_spot, {}, r"only 1 pixel\(s\) hold counts.*at least 10"),
    "modules zero": (nothing, {"n_modules": 0}, r"n_modules=0 .*from 1 to 12"),
    "modules negative": (nothing, {"n_modules": -3}, r"n_modules=-3 .*from 1 to 12"),
    "more modules than genes": (nothing, {"n_modules": 13}, r"n_modules=13 .*from 1 to 12"),
    "more modules than expressed genes": (rare, {"n_modules": 5}, r"1 gene\(s\).*n_modules=5"),
    "modules a fraction": (nothing, {"n_modules": 2.5}, r"n_modules=2.5"),
    "modules a word": (nothing, {"n_modules": "many"}, r"n_modules='many'"),
    "modules a boolean": (nothing, {"n_modules": True}, r"n_modules=True"),
    "modules None": (nothing, {"n_modules": None}, r"n_modules=None"),
    "unknown device": (nothing, {"device": "abacus"}, r"device='abacus' cannot .*pass 'auto', 'cpu' or 'cuda'"),
    "device None": (nothing, {"device": None}, r"device=None cannot be used here"),
    "negative seed": (nothing, {"seed": -1}, r"seed=-1 .*from 0"),
    "seed a fraction": (nothing, {"seed": 1.5}, r"seed=1.5 .*whole number"),
    "seed a word": (nothing, {"seed": "lucky"}, r"seed='lucky' .*whole number"),
    "seed None": (nothing, {"seed": None}, r"seed=None .*whole number"),
    "seed too large": (nothing, {"seed": 2**40}, r"seed=1099511627776 .*from 0 to"),
    "settings as a dict": (nothing, {"config": {"epochs": 3}}, r"config=.*Config"),
    "settings as a word": (nothing, {"config": "fast"}, r"config='fast'.*Config"),
}  # fmt: skip


def _stored_zeros(counts: np.ndarray) -> sp.csr_matrix:
    matrix = sp.csr_matrix(counts)
    matrix.data[:] = 0
    return matrix


def snapshot(adata: AnnData) -> dict[str, Any]:
    """Return the content of an AnnData in a form that can be compared."""
    matrix = adata.X
    if sp.issparse(matrix):
        matrix = (matrix.dtype.str, matrix.data.tobytes(), matrix.indices.tobytes(), matrix.indptr.tobytes())
    elif matrix is not None:
        matrix = (matrix.dtype.str, repr(matrix.tolist()))
    mappings = {name: sorted(map(str, getattr(adata, name))) for name in ("obsm", "varm", "obsp", "varp", "layers")}
    return {
        **mappings, "X": matrix, "obs": adata.obs.to_csv(), "var": adata.var.to_csv(), "uns": repr(dict(adata.uns)),
        "spatial": repr(np.asarray(adata.obsm["spatial"]).tolist()) if "spatial" in adata.obsm else None,
    }  # fmt: skip


def assert_raises(change: Change, message: str, call: Callable[[AnnData], Any]) -> None:
    adata = plain()
    changed = change(adata)
    adata = changed if isinstance(changed, AnnData) else adata
    before = snapshot(adata)
    with pytest.raises(InputError) as caught:
        call(adata)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert snapshot(adata) == before


@pytest.mark.parametrize("kind", RASTERIZE)
def test_rasterize_raises(kind: str) -> None:
    change, settings, message = RASTERIZE[kind]
    assert_raises(change, message, lambda adata: sx.pp.rasterize(adata, **settings))


@pytest.mark.parametrize("kind", EMBED)
def test_embed_raises(kind: str) -> None:
    change, settings, message = EMBED[kind]
    assert_raises(change, message, lambda adata: sx.tl.embed(adata, **{"progress": False, **settings}))


@pytest.mark.parametrize("kind", ["more modules than expressed genes", "unknown device", "negative seed", "NaN count"])
def test_errors_keep_earlier_results(kind: str) -> None:
    change, settings, _ = EMBED[kind]
    adata = plain()
    sx.tl.embed(adata, n_modules=2, config=QUICK, progress=False)
    change(adata)
    before, z, pixel = snapshot(adata), adata.varm["X_spacex"].copy(), adata.obsm["spacex_pixel"].copy()
    with pytest.raises(InputError):
        sx.tl.embed(adata, **{"progress": False, **settings})
    assert snapshot(adata) == before
    np.testing.assert_array_equal(adata.varm["X_spacex"], z)
    np.testing.assert_array_equal(adata.obsm["spacex_pixel"], pixel)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["write_embedding", "write_modules", "write_uns"])
def test_failure_while_writing_leaves_no_results(
    monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    adata = plain()
    before, real = snapshot(adata), getattr(_adata, step)

    def fail(*args: Any, **settings: Any) -> None:
        real(*args, **settings)
        if step != "write_uns" or "history" in settings:
            raise error

    monkeypatch.setattr(_adata, step, fail)
    with pytest.raises(error):
        sx.tl.embed(adata, n_modules=2, config=QUICK, progress=False)
    assert snapshot(adata) == before


def test_unchanged_section_is_valid() -> None:
    adata = plain()
    sx.pp.rasterize(adata, library_key="library")
    sx.tl.embed(adata, n_modules=2, config=QUICK, progress=False)
    assert adata.uns["mine"] == {"a": 1}


NAMES = {
    "unicode": [f"基因{i}·β" for i in range(G)],
    "numbers": [str(i) for i in range(G)],
    "very long": ["x" * 10_000 + str(i) for i in range(G)],
    "html": [f"<script>alert({i})</script>" for i in range(G)],
    "one empty": ["", *(f"g{i}" for i in range(1, G))],
    "paths": [f"../../etc/{i}" for i in range(G)],
}


@pytest.mark.parametrize("kind", NAMES)
def test_unusual_names(kind: str, tmp_path: Any) -> None:
    adata = plain()
    adata.var_names = NAMES[kind]
    sx.tl.embed(adata, n_modules=2, config=QUICK, progress=False)
    table = sx.tl.similar_genes(adata, NAMES[kind][1], n=20)
    assert set(table["gene"]) == set(NAMES[kind]) - {NAMES[kind][1]}
    adata.write_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "a.h5ad").varm["X_spacex"], adata.varm["X_spacex"])


POSITIONS = {
    "swapped": lambda xy: xy[:, ::-1],
    "on a line": lambda xy: np.column_stack([np.arange(S), np.zeros(S)]),
    "on a slanted line": lambda xy: np.column_stack([np.arange(S), 2.0 * np.arange(S)]),
    "far away": lambda xy: xy + 1e12,
    "very small": lambda xy: xy * 1e-12,
    "very large": lambda xy: xy * 1e15,
    "duplicated": lambda xy: np.repeat(xy[::2], 2, axis=0),
    "whole numbers": lambda xy: xy.astype(np.int32),
    "one far spot": lambda xy: np.vstack([xy[:-1], [[1e7, 1e7]]]),
}


@pytest.mark.parametrize("kind", POSITIONS)
def test_unusual_positions(kind: str) -> None:
    adata = plain()
    adata.obsm["spatial"] = POSITIONS[kind](adata.obsm["spatial"])
    sx.pp.rasterize(adata)
    pixel, grid = adata.obsm["spacex_pixel"], adata.uns["spacex"]["grid"]
    assert (pixel >= 0).all()
    assert (pixel < [grid["height"][0], grid["width"][0]]).all()
    assert max(grid["height"][0], grid["width"][0]) <= 160
    assert grid["pitch"][0] > 0
    if kind != "one far spot":
        images = sx.pp.gene_images(adata)
        assert images.counts.sum() == adata.X.sum()
        assert np.isfinite(images.residuals()).all()


COUNTS = {
    "a million in one spot": with_entry(1e6),
    "above the range of int32": with_entry(2**40, dense=True, dtype=np.int64),
    "boolean": with_x(lambda x: x > 2),
    "an empty spot and an empty gene": with_x(lambda x: x * (np.arange(S) > 0)[:, None] * (np.arange(G) > 0)),
    "libraries over five orders": with_x(lambda x: np.rint(x * np.geomspace(1, 1e5, S)[:, None])),
    "halves": with_x(lambda x: x / 2),
}


@pytest.mark.parametrize("kind", COUNTS)
def test_unusual_counts(kind: str) -> None:
    adata = plain()
    COUNTS[kind](adata)
    sx.tl.embed(adata, n_modules=2, config=Config(epochs=1, boost_rounds=1, n_null_genes=50), progress=False)
    z = adata.varm["X_spacex"]
    embedded = np.isfinite(z).all(axis=1)
    assert embedded.sum() >= G - 1
    assert np.isnan(z[~embedded]).all()
    assert adata.var["spacex_module_prob"][embedded].between(0, 1).all()
