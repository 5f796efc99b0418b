"""CosMx: the flat files that AtoMx exports."""

import numpy as np
import pandas as pd
import pytest
from tests.io.layouts import message_of, write_table

import spacex as sx

GENES = ["KRT5", "CD3E", "Negative3", "SystemControl12"]
KNOWN = ["fov", "cell_ID", "Area", "CenterX_local_px", "CenterY_local_px", "Mean.CD45"]


def tables(*, unique=False, slide=1):
    """Return counts and metadata; cell 0 holds molecules outside of cells; newer exports have a unique cell name."""
    counts = pd.DataFrame([[1, 0, 9, 8], [0, 9, 9, 8], [0, slide, 2, 8], [0, 0, 0, 8], [5, 6, 0, 0]], columns=GENES)
    counts.insert(0, "fov", [1, 1, 1, 2, 2])
    counts.insert(1, "cell_ID", [0, 1, 2, 0, 1])
    counts["NegPrb07"] = 4
    cells = pd.DataFrame(
        {
            "fov": [2, 1, 1],
            "cell_ID": [1, 1, 2],
            "Area": [300, 100, 200],
            "CenterX_local_px": 5,
            "CenterY_local_px": 6,
            "CenterX_global_px": [90030.5, 10, 20],
            "CenterY_global_px": [-3.5, -1, -2],
            "Mean.CD45": [3, 1, 2],
        }
    )
    if unique:
        for table in (counts, cells):
            names = [f"c_{slide}_{f}_{c}" for f, c in zip(table["fov"], table["cell_ID"], strict=True)]
            table.insert(2, "cell", names)
        cells["cell_id"] = cells["cell"]
    return counts, cells


def write_cosmx(folder, counts, cells, *, suffix="", prefix="Run1_S0_", **options):
    write_table(counts, folder / f"{prefix}exprMat_file.csv{suffix}", **options)
    write_table(cells, folder / f"{prefix}metadata_file.csv{suffix}", **options)
    (folder / f"{prefix}fov_positions_file.csv").write_text("fov,x_global_px,y_global_px\n1,0,0\n2,90000,0\n")
    return folder


def assert_cosmx(adata, names=("1_1", "2_1", "1_2")):
    assert adata.X.format == "csr"
    assert adata.var_names.tolist() == GENES[:2]  # no controls
    assert adata.obs_names.tolist() == list(names)  # cells of two fields of view, and none outside
    np.testing.assert_array_equal(adata.X.toarray(), [[0, 9], [0, 1], [5, 6]])
    np.testing.assert_array_equal(adata.obsm["spatial"], [[10, -1], [20, -2], [90030.5, -3.5]])
    assert adata.obs["Area"].tolist() == [100, 200, 300]
    assert adata.obs["fov"].tolist() == ["1", "1", "2"]
    assert adata.obs["cell_ID"].tolist() == ["1", "2", "1"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("unique", [False, True], ids=["old", "with cell"])
def test_cosmx(tmp_path, suffix, unique):
    adata = sx.read(write_cosmx(tmp_path / "c", *tables(unique=unique), suffix=suffix))
    assert_cosmx(adata)
    # no "cell_id", which SpatialData could not tell from "cell_ID"
    assert set(adata.obs) == {*KNOWN, *(["cell"] if unique else [])}


@pytest.mark.parametrize("unique", [False, True], ids=["old", "with cell"])
@pytest.mark.parametrize("name", ["", "index"])
def test_row_names_before_the_cells(tmp_path, unique, name):
    options = {"index": True, "index_label": name}
    assert_cosmx(sx.read(write_cosmx(tmp_path / "c", *tables(unique=unique), **options)))


@pytest.mark.parametrize("which", [0, 1], ids=["counts", "cells"])
def test_other_number_formats(tmp_path, which):
    pair = list(tables())
    pair[which] = pair[which].astype({"fov": float}).assign(cell_ID=[f"{i:03}" for i in pair[which]["cell_ID"]])
    adata = sx.read(write_cosmx(tmp_path / "c", *pair))
    assert adata.obs_names.tolist() == ["1_1", "2_1", "1_2"]
    np.testing.assert_array_equal(adata.obsm["spatial"][:, 0], [10, 20, 90030.5])


@pytest.mark.parametrize("unique", [False, True], ids=["old", "with cell"])
@pytest.mark.parametrize("which", [0, 1], ids=["counts", "cells"])
@pytest.mark.parametrize("index", [False, True], ids=["bare", "numbered"])
def test_repeated_rows_are_dropped(tmp_path, unique, which, index):
    pair = list(tables(unique=unique))
    pair[which] = pd.concat([pair[which], pair[which].iloc[1:2]], ignore_index=True)
    assert_cosmx(sx.read(write_cosmx(tmp_path / "c", *pair, index=index)))


def test_contradicting_rows_raise(tmp_path):
    counts, cells = tables()
    again = counts.iloc[1:2].assign(KRT5=7)
    message = message_of(write_cosmx(tmp_path / "a", pd.concat([counts, again]), cells))
    assert "'1_1'" in message
    assert "exprMat_file" in message
    again = cells.iloc[1:2].assign(CenterX_global_px=11)
    message = message_of(write_cosmx(tmp_path / "b", counts, pd.concat([cells, again])))
    assert "repeats '1_1'" in message
    assert "metadata_file" in message


def test_cells_in_one_table_are_dropped(tmp_path):
    counts, cells = tables()
    adata = sx.read(write_cosmx(tmp_path / "a", counts, cells.iloc[:2]))
    assert adata.obs_names.tolist() == ["1_1", "1_2"]
    np.testing.assert_array_equal(adata.X.toarray(), [[0, 9], [5, 6]])
    adata = sx.read(write_cosmx(tmp_path / "b", counts.iloc[:3], cells))
    assert adata.obs_names.tolist() == ["1_1", "2_1"]


def test_slides_are_distinguished_by_the_unique_name(tmp_path):
    slides = [tables(unique=True, slide=slide) for slide in (1, 2)]
    counts, cells = (pd.concat(part) for part in zip(*slides, strict=True))
    adata = sx.read(write_cosmx(tmp_path / "a", counts, cells))
    names = [f"c_{slide}_{end}" for slide in (1, 2) for end in ("1_1", "1_2", "2_1")]
    assert adata.obs_names.tolist() == names
    assert_cosmx(adata[:3], names[:3])
    np.testing.assert_array_equal(adata.X.toarray()[3:], [[0, 9], [0, 2], [5, 6]])
    without = [part.drop(columns=["cell", "cell_id"], errors="ignore") for part in (counts, cells)]
    assert "'cell'" in message_of(write_cosmx(tmp_path / "b", *without))


@pytest.mark.parametrize("name", ["exprMat_file.csv", "metadata_file.csv"])
def test_missing_file_raises(tmp_path, name):
    folder = write_cosmx(tmp_path / "c", *tables())
    (folder / f"Run1_S0_{name}").unlink()
    assert f"lacks {name}" in message_of(folder)


@pytest.mark.parametrize(("which", "column"), [(1, "CenterX_global_px"), (0, "cell_ID"), (1, "fov")])
def test_missing_column_raises(tmp_path, which, column):
    pair = list(tables())
    pair[which] = pair[which].drop(columns=column)
    assert f"lacks the column(s) {column}" in message_of(write_cosmx(tmp_path / "c", *pair))
