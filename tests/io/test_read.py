"""Small files in the vendors' formats, read back; and every accident that befalls files."""

import gzip
import json
import os
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imsave
from scipy import sparse

import spacex as sx
from spacex import InputError

GENES = ["Mbp", "Plp1", "Mbp", "NegControlProbe_1"]
TYPES = ["Gene Expression"] * 3 + ["Negative Control Probe"]
BARCODES = ["AAAC-1", "CCCG-1", "GGGT-1"]
COUNTS = np.array([[1, 0, 2, 9], [0, 3, 0, 9], [4, 0, 0, 9]], dtype=np.int32)
POSITIONS = pd.DataFrame(  # in another order than the matrix, with a spot off the tissue that the matrix lacks
    {
        "barcode": ["TTTT-1", "GGGT-1", "AAAC-1", "CCCG-1"],
        "in_tissue": [0, 1, 1, 1],
        "array_row": [5, 2, 0, 1],
        "array_col": [9, 4, 0, 3],
        "pxl_row_in_fullres": [90, 20, 0, 10],
        "pxl_col_in_fullres": [900, 200, 1, 100],
    }
)
XY = [[1, 0], [100, 10], [200, 20]]


def write_10x_h5(path, *, genes=GENES, types=TYPES, barcodes=BARCODES, counts=COUNTS):
    """Write the third version of the HDF5 matrix of 10x Genomics (genes x barcodes, compressed by column)."""
    matrix = sparse.csc_matrix(np.asarray(counts).T)
    with h5py.File(path, "w") as file:
        file.attrs["library_ids"] = np.array([b"sample"])
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"] = matrix.data
        group["indices"] = matrix.indices.astype(np.int64)
        group["indptr"] = matrix.indptr.astype(np.int64)
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array([b"genome"])
        features["id"] = np.array([f"ENS{i}" for i in range(len(genes))], dtype="S")
        features["name"] = np.array(genes, dtype="S")
        features["feature_type"] = np.array(types, dtype="S")
        features["genome"] = np.array(["GRCm39"] * len(genes), dtype="S")


def write_positions(folder, kind):
    if kind == "new":
        POSITIONS.to_csv(folder / "tissue_positions.csv", index=False)
    elif kind == "old":
        POSITIONS.to_csv(folder / "tissue_positions_list.csv", index=False, header=False)
    else:
        POSITIONS.to_parquet(folder / "tissue_positions.parquet", index=False)


def write_space_ranger(folder, *, kind="new", images=True, matrix="filtered_feature_bc_matrix.h5"):
    spatial = folder / "spatial"
    spatial.mkdir(parents=True)
    write_10x_h5(folder / matrix)
    write_positions(spatial, kind)
    if images:
        (spatial / "scalefactors_json.json").write_text(json.dumps({"tissue_hires_scalef": 0.1}))
        imsave(spatial / "tissue_hires_image.png", np.zeros((4, 5, 3)))
        imsave(spatial / "tissue_lowres_image.png", np.zeros((2, 3, 3)))
    return folder


def write_xenium(folder, *, form="csv.gz", ids=BARCODES):
    folder.mkdir(parents=True)
    write_10x_h5(folder / "cell_feature_matrix.h5", barcodes=[str(name) for name in ids])
    cells = pd.DataFrame({"cell_id": ids, "x_centroid": [1.5, 2.5, 3.5], "y_centroid": [7.0, 8.0, 9.0]})
    if form == "csv.gz":
        with gzip.open(folder / "cells.csv.gz", "wt") as file:
            cells.to_csv(file, index=False)
    else:
        cells["cell_id"] = [str(name).encode() for name in ids]  # as the first releases wrote it
        cells.to_parquet(folder / "cells.parquet", index=False)
    return folder


@pytest.fixture
def section():
    adata = ad.AnnData(sparse.csr_matrix(COUNTS.astype(np.float32)))
    adata.obsm["spatial"] = np.array(XY, dtype=float)
    return adata


def message_of(path, kind=InputError, **kwargs):
    """Read what cannot be read, and return the error's message: one line that names the path."""
    with pytest.raises(kind) as caught:
        sx.read(path, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


# AnnData's own formats


@pytest.mark.parametrize("as_text", [False, True])
def test_h5ad(tmp_path, section, as_text):
    path = tmp_path / "section.H5AD"
    section.write_h5ad(path)
    adata = sx.read(str(path) if as_text else path)
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)


def test_home_is_expanded(tmp_path, section, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    section.write_h5ad(tmp_path / "section.h5ad")
    assert sx.read("~/section.h5ad").shape == (3, 4)


def test_zarr(tmp_path, section):
    section.write_zarr(tmp_path / "section.zarr")
    np.testing.assert_array_equal(sx.read(tmp_path / "section.zarr").obsm["spatial"], XY)


def write_spatialdata(path, tables):
    """Lay out a SpatialData store as far as reading its tables goes."""
    (path / "tables").mkdir(parents=True)
    (path / ".zattrs").write_text("{}")
    for name, table in tables.items():
        table.write_zarr(path / "tables" / name)
    return path


def test_spatialdata_table(tmp_path, section):
    store = write_spatialdata(tmp_path / "s.zarr", {"table": section, "other": section[:1].copy()})
    assert sx.read(store).shape == (3, 4)


def test_spatialdata_table_of_a_bin(tmp_path, section):
    tables = {"square_008um": section, "square_016um": section[:1].copy()}
    store = write_spatialdata(tmp_path / "hd.zarr", tables)
    assert sx.read(store).n_obs == 3
    assert sx.read(store, bin="016um").n_obs == 1
    assert "square_008um, square_016um" in message_of(store, bin="002um")


def test_spatialdata_without_coordinates_names_the_extra(tmp_path, section, monkeypatch):
    del section.obsm["spatial"]
    store = write_spatialdata(tmp_path / "s.zarr", {"only": section})
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    assert 'pip install "spacex-st[io]"' in message_of(store)


def test_spatialdata_coordinates_come_from_the_shapes(tmp_path, section):
    spatialdata = pytest.importorskip("spatialdata")
    geopandas = pytest.importorskip("geopandas")
    from spatialdata.models import ShapesModel, TableModel

    del section.obsm["spatial"]
    section.obs["region"] = pd.Categorical(["spots"] * 3)
    section.obs["spot"] = [7, 5, 6]
    points = geopandas.points_from_xy(*np.array([XY[1], XY[2], XY[0]]).T)
    frame = geopandas.GeoDataFrame({"radius": [1.0] * 3}, geometry=points, index=[5, 6, 7])
    table = TableModel.parse(section, region="spots", region_key="region", instance_key="spot")
    store = spatialdata.SpatialData(shapes={"spots": ShapesModel.parse(frame)}, tables={"table": table})
    store.write(tmp_path / "s.zarr")
    np.testing.assert_array_equal(sx.read(tmp_path / "s.zarr").obsm["spatial"], XY)


# Accidents


@pytest.mark.parametrize("name", ["absent.h5ad", "absent.zarr", "absent/outs"])
def test_absent(tmp_path, name):
    message = message_of(tmp_path / name, FileNotFoundError)
    assert str(tmp_path / name) in message
    assert "check its spelling" in message


def test_symlink_loop(tmp_path):
    (tmp_path / "loop.h5ad").symlink_to(tmp_path / "loop.h5ad")
    assert "loop.h5ad" in message_of(tmp_path / "loop.h5ad", FileNotFoundError)


def test_no_permission(tmp_path, section, monkeypatch):
    section.write_h5ad(tmp_path / "secret.h5ad")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything: chmod would prove nothing
    assert "chmod" in message_of(tmp_path / "secret.h5ad")


@pytest.mark.parametrize("path", [None, 7, ""])
def test_not_a_path(path):
    assert f"path={path!r} is not a path" in message_of(path)


def test_empty_file(tmp_path):
    (tmp_path / "section.h5ad").touch()
    assert "is empty (0 bytes)" in message_of(tmp_path / "section.h5ad")


def test_not_hdf5(tmp_path):
    (tmp_path / "section.h5ad").write_text("gene,count\n")
    assert "not an HDF5 file" in message_of(tmp_path / "section.h5ad")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated(tmp_path, section, share):
    path = tmp_path / "section.h5ad"
    section.write_h5ad(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    message = message_of(path)
    assert "truncated" in message
    assert "download it again" in message


def test_hdf5_that_is_not_anndata(tmp_path):
    with h5py.File(tmp_path / "section.h5ad", "w") as file:
        file["x"] = 1
    assert "obs, var missing" in message_of(tmp_path / "section.h5ad")


def test_anndata_with_garbage_inside(tmp_path, section):
    section.write_h5ad(tmp_path / "section.h5ad")
    with h5py.File(tmp_path / "section.h5ad", "a") as file:
        del file["X/indptr"]
    assert "not a readable .h5ad file" in message_of(tmp_path / "section.h5ad")


def test_zarr_with_garbage_inside(tmp_path, section):
    section.write_zarr(tmp_path / "section.zarr")
    for file in (tmp_path / "section.zarr" / "obs").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\x00")
    assert "not a readable .zarr store" in message_of(tmp_path / "section.zarr")


def test_zarr_without_a_table(tmp_path):
    (tmp_path / "images.zarr" / "images").mkdir(parents=True)
    (tmp_path / "images.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    assert "neither an AnnData nor a SpatialData table" in message_of(tmp_path / "images.zarr")


def test_unknown_extension(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    message = message_of(tmp_path / "notes.txt")
    for known in (".h5ad", ".zarr", "Space Ranger", "Visium HD", "Xenium"):
        assert known in message


def test_a_matrix_alone_has_no_coordinates(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    assert "pass the folder" in message_of(folder / "filtered_feature_bc_matrix.h5")


def test_a_matrix_that_is_not_one(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        file.create_group("matrix")
    assert "must hold one 10x matrix" in message_of(folder)


def test_unknown_folder_lists_what_was_found(tmp_path):
    for i in range(12):
        (tmp_path / f"file{i:02}").touch()
    message = message_of(tmp_path)
    assert "file00, file01" in message
    assert "and 4 more" in message
    assert "Space Ranger" in message


def test_empty_folder(tmp_path):
    assert "holds nothing" in message_of(tmp_path)
