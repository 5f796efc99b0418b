"""MERSCOPE: a table of counts and a table of cells, as Vizgen and its post-processing tool write them."""

import numpy as np
import pandas as pd
import pytest
from tests.io.layouts import COUNTS, XY, assert_section, message_of, shifted, write_table

import spacex as sx

IDS = ["1057000000000000001", "1057000000000000002", "1057000000000000003"]  # more digits than a float has
WITH_BLANKS = COUNTS.set_axis(["Gad1", "Blank-1", "NA", "blank_2"], axis=1)


def write_merscope(
    folder, *, ids=IDS, cell="cell", entity="EntityID", fov=(3, 7, 7), suffix="", before="", after="", n=0, **options
):
    """Write the tables, cells in another order; releases before 232 leave the first column of both without a name."""
    counts = (WITH_BLANKS * (n + 1)).reset_index(drop=True)
    counts.insert(0, cell, ids)
    cells = pd.DataFrame(
        {
            entity: ids,
            "fov": fov,
            "volume": [10.5, 20.5, 30.5],
            "center_x": XY[:, 0] + n,
            "center_y": XY[:, 1],
            "min_x": 0.0,
            "min_y": 0.0,
            "max_x": 9.0,
            "max_y": 9.0,
        }
    ).iloc[::-1]
    write_table(counts, folder / f"{before}cell_by_gene{after}.csv{suffix}", **options)
    write_table(cells, folder / f"{before}cell_metadata{after}.csv{suffix}", **options)
    (folder / "detected_transcripts.csv").write_text("barcode_id,global_x,global_y\n")
    return folder


def assert_merscope(adata, ids=IDS, n=0):
    assert_section(adata, (WITH_BLANKS * (n + 1)).iloc[:, [0, 2]].set_axis(ids), shifted(XY, n))  # no blanks
    assert adata.obs["volume"].tolist() == [10.5, 20.5, 30.5]


@pytest.mark.parametrize("names", [("cell", "EntityID"), ("cell", "cell_id"), ("", ""), ("", "EntityID")])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zip"])
@pytest.mark.parametrize("before", ["", "HumanLung_"])
def test_merscope(tmp_path, names, suffix, before):
    cell, entity = names
    adata = sx.read(write_merscope(tmp_path / "m", cell=cell, entity=entity, suffix=suffix, before=before))
    assert_merscope(adata)
    assert adata.obs["fov"].tolist() == ["3", "7", "7"]
    assert list(adata.obs) == ["fov", "volume", "min_x", "min_y", "max_x", "max_y"]


@pytest.mark.parametrize("fov", [np.nan, ""])
def test_empty_fov_is_removed(tmp_path, fov):
    adata = sx.read(write_merscope(tmp_path / "m", fov=[fov] * 3))
    assert_merscope(adata)
    assert "fov" not in adata.obs


@pytest.mark.parametrize("name", ["", "index"])
@pytest.mark.parametrize("ids", [IDS, ["3", "1", "2"]], ids=["long", "permuted"])
def test_row_names_before_the_cells(tmp_path, name, ids):
    assert_merscope(sx.read(write_merscope(tmp_path / "m", ids=ids, index=True, index_label=name)), ids)


@pytest.mark.parametrize(
    "regions",
    [[("", "_region_0"), ("", "_region_1")], [("", "_S1R1"), ("", "_S1R10")], [("a_", ""), ("ab_", "")],
     [("Slice1_Replicate1_", "_S1R1"), ("Slice1_Replicate2_", "_S1R2")]],
)  # fmt: skip
def test_several_regions(tmp_path, regions):
    for n, (before, after) in enumerate(regions):
        write_merscope(tmp_path, before=before, after=after, n=n)
    message = message_of(tmp_path)
    for n, (before, after) in enumerate(regions):
        name = (before or after).strip("_")
        assert repr(name) in message
        assert_merscope(sx.read(tmp_path, sample=name), n=n)


def test_cells_without_metadata_are_dropped(tmp_path):
    folder = write_merscope(tmp_path / "m")
    cells = (folder / "cell_metadata.csv").read_text().splitlines()
    (folder / "cell_metadata.csv").write_text("\n".join([cells[0], *cells[2:]]) + "\n")
    assert sx.read(folder).obs_names.tolist() == IDS[:2]


# Damaged or incomplete files


@pytest.mark.parametrize("name", ["cell_by_gene.csv", "cell_metadata.csv"])
def test_missing_file_raises(tmp_path, name):
    folder = write_merscope(tmp_path / "f")
    (folder / name).unlink()
    message = message_of(folder)
    assert f"lacks {name}" in message
    assert "copy the vendor's whole" in message


def test_missing_column_raises(tmp_path):
    path = write_merscope(tmp_path / "f") / "cell_metadata.csv"
    pd.read_csv(path).drop(columns="center_y").to_csv(path, index=False)
    assert "cell_metadata.csv' lacks the column(s) center_y" in message_of(tmp_path / "f")


@pytest.mark.parametrize("entity", ["EntityID", ""])
def test_repeated_cells(tmp_path, entity):
    folder = write_merscope(tmp_path / "m", entity=entity)
    path = folder / "cell_metadata.csv"
    again = path.read_text().splitlines()[-1]
    path.write_text(path.read_text() + again + "\n")
    assert_merscope(sx.read(folder))
    path.write_text(path.read_text() + again.replace(",1.5,", ",9.5,") + "\n")
    assert f"repeats '{IDS[0]}'" in message_of(folder)
