"""Random bytes and damaged files are read as a section, or raise a one-line `InputError`."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.invalid_input.cases import MAX_LENGTH
from tests.invalid_input.files import GEM, MTX, NAMES, SPOTS, TABLE

import spacex as sx
from spacex.io._file_checks import validate_arrays

BOUNDED = settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip

Edit = tuple[str, float, bytes]
EDITS = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "put", "drop"]), st.floats(0, 1), st.binary(min_size=1, max_size=12)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Overwrite, truncate, insert or delete bytes."""
    for kind, where, new in edits:
        at = int(where * len(data))
        match kind:
            case "set":
                data = data[:at] + new + data[at + len(new) :]
            case "cut":
                data = data[:at]
            case "put":
                data = data[:at] + new + data[at:]
            case "drop":
                data = data[:at] + data[at + len(new) :]
    return data


def assert_read_or_input_error(path: Path) -> None:
    try:
        adata = sx.read(path)
    except (sx.InputError, FileNotFoundError) as error:
        message = str(error)
    else:
        assert isinstance(adata, AnnData)
        validate_arrays(adata, path)
        return
    assert "\n" not in message
    assert len(message) < MAX_LENGTH


FILE_NAMES = ["a.h5ad", "a.h5", "a.csv", "a.csv.gz", "a.tsv", "a.txt", "a.mtx", "a.gem", "a.gem.gz", "a.gef",
                  "a.cellbin.gef", "a.parquet", "a"]  # fmt: skip


@pytest.mark.parametrize("name", FILE_NAMES)
def test_random_bytes(name: str) -> None:
    @BOUNDED
    @given(st.binary(max_size=300), st.sampled_from([b"", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08", b"PAR1", b"x,y\n"]))
    def check(data: bytes, start: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_bytes(start + data)
            assert_read_or_input_error(Path(folder) / name)
            (Path(folder) / "spots.csv").write_text(SPOTS)
            assert_read_or_input_error(Path(folder))

    check()


def small() -> AnnData:
    adata = sx.datasets.simulate_section(n_genes=5, n_spots=20, n_modules=1, n_domains=2)
    adata.varm["dense"] = np.ones((5, 2))
    return adata


def with_file(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def write_10x(path: Path) -> None:
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, value in {"barcodes": [b"s1", b"s2"], "data": [5, 7], "indices": [0, 1], "indptr": [0, 1, 2],
                            "shape": [2, 2]}.items():  # fmt: skip
            matrix[name] = np.asarray(value)
        for name, text in {"id": [b"g1", b"g2"], "name": [b"A", b"B"], "feature_type": [b"Gene Expression"] * 2,
                           "genome": [b"x"] * 2}.items():  # fmt: skip
            matrix[f"features/{name}"] = np.asarray(text)


def write_gef(path: Path) -> None:
    genes = np.array([(b"A", 0, 1), (b"B", 1, 1)], dtype=[("gene", "S8"), ("offset", "u4"), ("count", "u4")])
    molecules = np.array([(1, 1, 3), (2, 2, 1)], dtype=[("x", "i4"), ("y", "i4"), ("count", "u4")])
    with h5py.File(path, "w") as file:
        file["geneExp/bin1/gene"], file["geneExp/bin1/expression"] = genes, molecules


@cache
def valid() -> dict[str, dict[str, bytes]]:
    """Return valid sections, as the content of each file; tests damage the first file."""
    spots, names = {"spots.csv": SPOTS.encode()}, {name: text.encode() for name, text in NAMES}
    table = pd.DataFrame({"barcode": ["s1", "s2"], "x": [0.0, 1.0], "y": [1.0, 0.0]})
    return {
        "h5ad": {"a.h5ad": with_file("a.h5ad", small().write_h5ad)},
        "csv": {"counts.csv": TABLE.encode(), **spots},
        "csv.gz": {"counts.csv.gz": gzip.compress(TABLE.encode()), **spots},
        "spots.csv": {"spots.csv": SPOTS.encode(), "counts.csv": TABLE.encode()},
        "spots.parquet": {"positions.parquet": with_file("p.parquet", table.to_parquet), "counts.csv": TABLE.encode()},
        "mtx": {"matrix.mtx": MTX.encode(), **names, **spots},
        "features": {"features.tsv": names["features.tsv"], "matrix.mtx": MTX.encode(), **names, **spots},
        "gem": {"a.gem": GEM.encode()},
        "gef": {"a.gef": with_file("a.gef", write_gef)},
        "10x h5": {
            "filtered_feature_bc_matrix.h5": with_file("a.h5", write_10x),
            "spatial/tissue_positions.csv": b"barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,"
            b"pxl_col_in_fullres\ns1,1,0,0,1,1\ns2,1,0,1,1,2\n",
            "spatial/scalefactors_json.json": b'{"tissue_hires_scalef": 0.1}',
        },
        "scale factors": {
            "spatial/scalefactors_json.json": b'{"tissue_hires_scalef": 0.1}',
            "filtered_feature_bc_matrix.h5": with_file("a.h5", write_10x),
            "spatial/tissue_positions.csv": b"s1,1,0,0,1,1\ns2,1,0,1,1,2\n",
        },
    }


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files)) if len(files) == 1 else folder


@pytest.mark.parametrize("form", valid())
def test_damaged_files(form: str) -> None:
    files = valid()[form]
    with tempfile.TemporaryDirectory() as folder:
        assert sx.read(write_files(Path(folder), files)).n_vars >= 2  # valid before it is damaged

    @BOUNDED
    @given(EDITS)
    def check(edits: list[Edit]) -> None:
        first, data = next(iter(files.items()))
        with tempfile.TemporaryDirectory() as folder:
            assert_read_or_input_error(write_files(Path(folder), {**files, first: edited(data, edits)}))

    check()


@BOUNDED
@given(st.data())
def test_damaged_zarr(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        shutil.copytree(_zarr(), path)
        inside = sorted(entry for entry in path.rglob("*") if entry.is_file())
        victim = data.draw(st.sampled_from(inside))
        victim.write_bytes(edited(victim.read_bytes(), data.draw(EDITS)))
        assert_read_or_input_error(path)


@cache
def _zarr() -> Path:
    path = Path(tempfile.mkdtemp()) / "a.zarr"
    small().write_zarr(path)
    assert ad.read_zarr(path).n_obs == 20
    return path
