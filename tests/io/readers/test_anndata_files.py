"""AnnData in HDF5 and zarr: read as by anndata, and usable by all commands; tables of SpatialData stores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import zarr
from anndata import AnnData
from numcodecs import VLenUTF8
from scipy import sparse
from tests.io.layouts import COUNTS, XY, message_of, to_anndata

import spacex as sx
from spacex.cli import main


def section() -> AnnData:
    return sx.datasets.simulate_section(n_genes=40, n_spots=120, n_modules=2, n_domains=2, depth=1.0, seed=0)


def after_scanpy(adata: AnnData) -> AnnData:
    """Usual results of scanpy; ``uns["log1p"]["base"]`` is None."""
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=3)
    adata.obs["group"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, "a", "b"))
    sc.tl.rank_genes_groups(adata, "group")
    return adata


def odd_uns(adata: AnnData) -> AnnData:
    """Null values, empty groups and arrays, and the libraries of CELLxGENE Discover."""
    library = {"images": {}, "scalefactors": {}}
    adata.uns |= {"none": None, "empty": {}, "inner": {"empty": {}, "none": None}, "array": np.array([])}
    adata.uns["spatial"] = {"is_single": True, "library": library, "bare": {}}
    return adata


def nullable(adata: AnnData) -> AnnData:
    n = adata.n_obs // 2
    adata.obs["flag"] = pd.array([True, None] * n, dtype="boolean")
    adata.obs["number"] = pd.array([7, None] * n, dtype="Int64")
    adata.obs["category"] = pd.Categorical(["x", None] * n)
    adata.obs["text"] = pd.array(["t", None] * n, dtype="string")
    adata.var["number"] = pd.array([1, None] * (adata.n_vars // 2), dtype="Int64")
    return adata


def frames(adata: AnnData) -> AnnData:
    adata.obsm["frame"] = pd.DataFrame({"a": np.arange(adata.n_obs)}, index=adata.obs_names)
    adata.obsm["sparse"] = sparse.csr_matrix(np.eye(adata.n_obs, 3))
    return adata


def csc(adata: AnnData) -> AnnData:
    adata.X = sparse.csc_matrix(adata.X)
    return adata


def dense(adata: AnnData) -> AnnData:
    adata.X = adata.X.toarray().astype(np.float64)
    return adata


def integers(adata: AnnData) -> AnnData:
    adata.X = adata.X.toarray().astype(np.int32)
    return adata


FORMS: list[Callable[[AnnData], AnnData]] = [
    after_scanpy, odd_uns, nullable, frames, csc, dense, integers,
]  # fmt: skip


def write(adata: AnnData, path: Path) -> Path:
    version = 3 if path.name.endswith("3.zarr") else 2
    with ad.settings.override(allow_write_nullable_strings=True, zarr_write_format=version):
        (adata.write_zarr if path.suffix == ".zarr" else adata.write_h5ad)(path)
    return path


@pytest.mark.parametrize("name", ["a.h5ad", "v2.zarr", "v3.zarr"])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_same_as_anndata(tmp_path: Path, form: Callable[[AnnData], AnnData], name: str) -> None:
    path = write(form(section()), tmp_path / name)
    expected = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    adata = sx.read(path)
    assert adata.shape == expected.shape
    np.testing.assert_array_equal(*(sparse.csr_matrix(section.X).toarray() for section in (adata, expected)))
    pd.testing.assert_frame_equal(adata.obs, expected.obs)
    pd.testing.assert_frame_equal(adata.var, expected.var)
    assert set(adata.uns) == set(expected.uns)
    assert set(adata.obsm) == set(expected.obsm)


@pytest.mark.parametrize(
    ("form", "name"),
    [(after_scanpy, "a.h5ad"), (nullable, "a.h5ad"), (odd_uns, "v3.zarr")],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_result_of_run_is_readable(
    tmp_path: Path,
    form: Callable[[AnnData], AnnData],
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spacex.get._gene_layout._umap", lambda direction: direction[:, :2])  # UMAP compiles slowly
    path, out = write(form(section()), tmp_path / name), tmp_path / "out"
    assert main(["run", str(path), "-o", str(out), "--n-modules", "2"]) == 0
    capsys.readouterr()
    assert main(["query", str(out / "result.h5ad"), "gene0001", "-n", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["report", str(out / "result.h5ad"), "-o", str(tmp_path / "again.html")]) == 0
    result = sx.read(out / "result.h5ad")
    assert result.shape == (120, 40)
    assert result.varm["X_spacex"].shape[0] == 40


def test_old_encodings(tmp_path: Path) -> None:
    """Tables as compound arrays, and categories in ``uns``, as anndata wrote them before 0.7."""
    counts = np.arange(60, dtype=np.float32).reshape(20, 3)
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["X"] = counts
        obs = np.zeros(20, dtype=[("index", "S4"), ("layer", "i1")])
        obs["index"], obs["layer"] = [f"s{i}".encode() for i in range(20)], np.arange(20) % 2
        var = np.zeros(3, dtype=[("index", "S4")])
        var["index"] = [b"A", b"B", b"C"]
        file["obs"], file["var"] = obs, var
        file["uns/layer_categories"] = np.array([b"inner", b"outer"])
        obsm = np.zeros(20, dtype=[("spatial", "f8", (2,))])
        obsm["spatial"] = np.arange(40.0).reshape(20, 2)
        file["obsm"] = obsm
    expected, adata = ad.read_h5ad(tmp_path / "old.h5ad"), sx.read(tmp_path / "old.h5ad")
    np.testing.assert_array_equal(adata.X, counts)
    assert adata.var_names.tolist() == ["A", "B", "C"]
    pd.testing.assert_frame_equal(adata.obs, expected.obs)
    np.testing.assert_array_equal(adata.obsm["spatial"], np.arange(40.0).reshape(20, 2))
    with pytest.raises(sx.InputError, match=r"old.h5ad.*pass lazy=False"):
        sx.read(tmp_path / "old.h5ad", lazy=True)


@pytest.mark.parametrize("name", ["a.h5ad", "v3.zarr"])
@pytest.mark.parametrize(
    "values", [[0, 1], [False, True], ["0", "1"], [0.0, 1.0]], ids=["int", "bool", "text", "float"]
)
def test_spots_off_tissue_are_dropped(tmp_path: Path, name: str, values: list[object]) -> None:
    adata = section()
    adata.obs["in_tissue"] = [values[i % 3 > 0] for i in range(adata.n_obs)]
    expected = [name for i, name in enumerate(adata.obs_names) if i % 3]
    assert sx.read(write(adata, tmp_path / name)).obs_names.tolist() == expected


# SpatialData


def write_tables(path: Path, tables: dict[str, AnnData]) -> Path:
    """Write the tables of a SpatialData store, without its other elements."""
    (path / "tables").mkdir(parents=True)
    (path / ".zattrs").write_text("{}")
    for name, table in tables.items():
        table.write_zarr(path / "tables" / name)
    return path


def test_table_of_spatialdata(tmp_path: Path) -> None:
    full, part = to_anndata(), to_anndata()[:1].copy()
    assert sx.read(write_tables(tmp_path / "named.zarr", {"table": full, "other": part})).shape == COUNTS.shape
    bins = write_tables(tmp_path / "bins.zarr", {"square_008um": full, "square_016um": part})
    assert sx.read(bins).n_obs == 3
    assert sx.read(bins, bin="016um").n_obs == 1
    assert "square_008um, square_016um" in message_of(bins, bin="002um")


def test_missing_coordinates_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adata = to_anndata()
    del adata.obsm["spatial"]
    store = write_tables(tmp_path / "s.zarr", {"only": adata})
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    assert 'pip install "spacex-st[io]"' in message_of(store)


def test_coordinates_of_shapes(tmp_path: Path) -> None:
    spatialdata, geopandas = pytest.importorskip("spatialdata"), pytest.importorskip("geopandas")
    from spatialdata.models import ShapesModel, TableModel

    adata = to_anndata()
    del adata.obsm["spatial"]
    adata.obs["region"] = pd.Categorical(["spots"] * 3)
    adata.obs["spot"] = [7, 5, 6]
    points = geopandas.points_from_xy(*XY[[1, 2, 0]].T)
    frame = geopandas.GeoDataFrame({"radius": [1.0] * 3}, geometry=points, index=[5, 6, 7])
    table = TableModel.parse(adata, region="spots", region_key="region", instance_key="spot")
    store = spatialdata.SpatialData(shapes={"spots": ShapesModel.parse(frame)}, tables={"table": table})
    store.write(tmp_path / "s.zarr")
    np.testing.assert_array_equal(sx.read(tmp_path / "s.zarr").obsm["spatial"], XY)


@pytest.mark.parametrize("version", [2, 3])
def test_chunk_that_claims_too_many_strings_raises(version: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with ad.settings.override(zarr_write_format=version):
        ad.AnnData(COUNTS, obsm={"spatial": XY}).write_zarr(path)
    root = zarr.open_group(path, mode="r+")
    name = root["obs"].attrs["_index"]
    values, attributes = root["obs"][name][:], dict(root["obs"][name].attrs)
    del root["obs"][name]
    array = root["obs"].create_array(name, data=values, chunks=values.shape, compressors=None)
    array.attrs.update(attributes)
    zarr.consolidate_metadata(path)
    assert sx.read(path).obs_names.tolist() == values.tolist()
    files = [file for file in (path / "obs" / name).rglob("*") if file.is_file()]
    (chunk,) = [file for file in files if file.name != "zarr.json" and not file.name.startswith(".")]
    chunk.write_bytes(b"\xff\xff\xff\x7f" + chunk.read_bytes()[4:])
    with pytest.raises(sx.InputError, match=r"a\.zarr.*claims 2147483647 strings"):
        sx.read(path)
    assert VLenUTF8.decode.__module__ != "spacex.io._file_checks"  # numcodecs is as before
