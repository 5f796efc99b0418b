"""Visium HD: squares of ``binned_outputs/``, and cells of ``segmented_outputs/`` (Space Ranger 4)."""

import json

import numpy as np
import pytest
from tests.io.layouts import (
    COUNTS,
    PIXELS,
    assert_section,
    compress_file,
    message_of,
    write_10x_h5,
    write_images,
    write_mtx,
    write_space_ranger,
)

import spacex as sx

CELLS = COUNTS.set_axis([f"cellid_{i:09}-1" for i in (2, 1, 10)])
CENTERS = {1: (20.5, 7.25), 2: (3, 4), 10: (100, 200)}
AREAS = {1: 4 * 8, 2: 2 * 2, 10: 6 * 2}


def rectangle(center, area, clockwise):
    """Return the closed outline of a rectangle, clockwise or counterclockwise."""
    x, y = center
    height = 8 if area == 32 else 2
    dx, dy = area / height / 2, height / 2
    ring = [[x - dx, y - dy], [x + dx, y - dy], [x + dx, y + dy], [x - dx, y + dy], [x - dx, y - dy]]
    return ring[::-1] if clockwise else ring


def write_outlines(path, *, key="cell_id", form=int):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [rectangle(center, AREAS[cell], clockwise=cell == 2)]},
            "properties": {key: form(cell), "classification": {"name": "Cluster 1"}},
        }
        for cell, center in CENTERS.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_segmented(folder, *, form=".h5", kind="filtered", outlines="cell_segmentations.geojson"):
    folder.mkdir(parents=True)
    if form == ".h5":
        write_10x_h5(folder / f"{kind}_feature_cell_matrix.h5", CELLS)
    else:
        write_mtx(folder / f"{kind}_feature_cell_matrix", CELLS, suffix=".gz")
    write_outlines(folder / outlines)
    write_images(folder / "spatial")
    return folder


def assert_cells(adata, name):
    assert_section(adata, CELLS, [CENTERS[2], CENTERS[1], CENTERS[10]])
    assert adata.obs["cell_area"].tolist() == [4, 32, 12]
    assert list(adata.uns["spatial"]) == [name]
    assert adata.uns["spatial"][name]["images"]["hires"].shape[:2] == (4, 5)


@pytest.fixture
def bins(tmp_path):
    for n, size in enumerate(("002um", "008um")):
        folder = tmp_path / "hd" / "binned_outputs" / f"square_{size}"
        write_space_ranger(folder, COUNTS * (n + 1), positions="tissue_positions.parquet")
    return tmp_path / "hd"


def test_bins(bins):
    adata = sx.read(bins)
    assert_section(adata, COUNTS * 2, PIXELS)
    assert list(adata.uns["spatial"]) == ["square_008um"]
    for bin in ("002um", "2um", 2, "2"):
        assert_section(sx.read(bins, bin=bin), COUNTS, PIXELS)


def test_inner_and_outer_folders(bins, tmp_path):
    assert_section(sx.read(bins / "binned_outputs", bin=2))
    assert_section(sx.read(bins / "binned_outputs" / "square_002um"))
    (tmp_path / "run").mkdir()
    bins.rename(tmp_path / "run" / "outs")
    assert_section(sx.read(tmp_path / "run", bin=2))


@pytest.mark.parametrize("form", [".h5", ""])
@pytest.mark.parametrize("kind", ["filtered", "raw"])
@pytest.mark.parametrize("folder", ["run/segmented_outputs", "run/outs/segmented_outputs"])
def test_cells_alone(tmp_path, form, kind, folder):
    write_segmented(tmp_path / folder, form=form, kind=kind)
    for path in (tmp_path / folder, tmp_path / "run"):
        assert_cells(sx.read(path), "run")
    assert_cells(sx.read(tmp_path / "run", bin="cells"), "run")
    assert "pass one of 'cells'" in message_of(tmp_path / "run", bin=8)


def test_cells_beside_bins(bins):
    write_segmented(bins / "segmented_outputs")
    assert_section(sx.read(bins), COUNTS * 2, PIXELS)
    assert_cells(sx.read(bins, bin="cells"), "hd")
    assert "'002um', '008um', 'cells'" in message_of(bins, bin=16)


@pytest.mark.parametrize("name", ["graphclust_annotated_cell_segmentations.geojson", "cell_segmentations.geojson.gz"])
def test_other_names_of_outlines(tmp_path, name):
    folder = write_segmented(tmp_path / "run" / "segmented_outputs", outlines=name.removesuffix(".gz"))
    if name.endswith(".gz"):
        compress_file(folder / name.removesuffix(".gz"))
    assert_cells(sx.read(folder), "run")


@pytest.mark.parametrize(("key", "form"), [("cell_id", "cellid_{:09}-1".format), ("cellid", int), ("cell_id", str)])
def test_other_names_of_cells(tmp_path, key, form):
    folder = write_segmented(tmp_path / "run" / "segmented_outputs")
    write_outlines(folder / "cell_segmentations.geojson", key=key, form=form)
    assert_cells(sx.read(folder), "run")


def test_centroid_of_multipolygon(tmp_path):
    folder = write_segmented(tmp_path / "run" / "segmented_outputs")
    path = folder / "cell_segmentations.geojson"
    outlines = json.loads(path.read_text())
    parts = [[rectangle((0, 0), 4, clockwise=True)], [rectangle((9, 3), 32, clockwise=False)]]
    outlines["features"][1]["geometry"] = {"type": "MultiPolygon", "coordinates": parts}
    path.write_text(json.dumps(outlines))
    adata = sx.read(folder)
    np.testing.assert_allclose(adata.obsm["spatial"][0], [9 * 32 / 36, 3 * 32 / 36])
    assert adata.obs["cell_area"].iloc[0] == 36


def test_missing_files_raise(bins):
    assert "pass one of '002um', '008um'" in message_of(bins, bin="016um")
    (bins / "binned_outputs" / "square_008um" / "filtered_feature_bc_matrix.h5").unlink()
    assert "lacks filtered_feature_bc_matrix.h5" in message_of(bins)
    folder = write_segmented(bins / "segmented_outputs")
    path = folder / "cell_segmentations.geojson"
    write_10x_h5(folder / "filtered_feature_cell_matrix.h5", COUNTS)
    assert "no outline for 3 of the 3" in message_of(bins, bin="cells")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    assert "no cells" in message_of(bins, bin="cells")
    path.write_text("{")
    assert "not a readable GeoJSON" in message_of(bins, bin="cells")
    path.unlink()
    assert "lacks cell_segmentations.geojson" in message_of(bins, bin="cells")


def test_parquet_message_names_the_extra(bins, monkeypatch):
    monkeypatch.setattr("spacex._infra.validation.find_spec", lambda name: None)
    message = message_of(bins)
    assert "pyarrow" in message
    assert 'pip install "spacex-st[io]"' in message
