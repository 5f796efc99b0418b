"""MERSCOPE and CosMx: small folders as the vendors write them, read back."""

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import spacex as sx
from spacex import InputError

IDS = ["1057000000000000001", "1057000000000000002", "1057000000000000003"]  # more digits than a float has
COUNTS = np.array([[1, 0, 2], [0, 3, 0], [4, 0, 5]])


def write_csv(frame, path, *, packed):
    text = frame.to_csv(index=False)
    if packed:
        with gzip.open(f"{path}.gz", "wt") as file:
            file.write(text)
    else:
        path.write_text(text)


def write_merscope(folder, *, named=True, packed=False, prefix=""):
    """Write the tables; releases before 232 leave the first column of both without a name."""
    folder.mkdir(exist_ok=True)
    counts = pd.DataFrame(COUNTS, columns=["Gad1", "Blank-1", "Slc17a7"])
    counts.insert(0, "cell" if named else "", IDS)
    cells = pd.DataFrame(
        {
            "EntityID" if named else "": IDS[::-1],
            "fov": [7, 7, 3],
            "volume": [30.5, 20.5, 10.5],
            "center_x": [3.25, 2.25, 1.25],
            "center_y": [33.0, 22.0, 11.0],
            "min_x": 0.0,
            "min_y": 0.0,
            "max_x": 9.0,
            "max_y": 9.0,
        }
    )
    write_csv(counts, folder / f"{prefix}cell_by_gene.csv", packed=packed)
    write_csv(cells, folder / f"{prefix}cell_metadata.csv", packed=packed)
    (folder / "detected_transcripts.csv").write_text("barcode_id,global_x,global_y\n")
    return folder


def write_cosmx(folder, *, packed=False, extra=False):
    """Write the flat files: cell 0 is what lies outside of cells; newer exports also have the cell's full name."""
    folder.mkdir(exist_ok=True)
    counts = pd.DataFrame(
        [[1, 0, 9, 8], [0, 9, 9, 8], [0, 1, 2, 8], [0, 0, 0, 8], [5, 6, 0, 0]],
        columns=["KRT5", "CD3E", "Negative3", "SystemControl12"],
    )
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
    if extra:
        counts.insert(2, "cell", [f"c_1_{f}_{c}" for f, c in zip(counts["fov"], counts["cell_ID"], strict=True)])
        cells.insert(2, "cell", [f"c_1_{f}_{c}" for f, c in zip(cells["fov"], cells["cell_ID"], strict=True)])
        cells["cell_id"] = cells["cell"]
    write_csv(counts, folder / "Run1_S0_exprMat_file.csv", packed=packed)
    write_csv(cells, folder / "Run1_S0_metadata_file.csv", packed=packed)
    (folder / "Run1_S0_fov_positions_file.csv").write_text("fov,x_global_px,y_global_px\n1,0,0\n2,90000,0\n")
    return folder


def message_of(path):
    with pytest.raises(InputError) as caught:
        sx.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("prefix", ["", "HumanLung_"])
def test_merscope(tmp_path, named, packed, prefix):
    adata = sx.read(write_merscope(tmp_path / "m", named=named, packed=packed, prefix=prefix))
    assert sparse.issparse(adata.X)
    assert adata.X.format == "csr"
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS[:, [0, 2]])
    assert adata.var_names.tolist() == ["Gad1", "Slc17a7"]  # no blanks
    assert adata.obs_names.tolist() == IDS
    np.testing.assert_array_equal(adata.obsm["spatial"], [[1.25, 11], [2.25, 22], [3.25, 33]])
    assert adata.obs["volume"].tolist() == [10.5, 20.5, 30.5]
    assert adata.obs["fov"].tolist() == ["3", "7", "7"]
    assert list(adata.obs) == ["fov", "volume", "min_x", "min_y", "max_x", "max_y"]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("extra", [False, True], ids=["old", "with cell"])
def test_cosmx(tmp_path, packed, extra):
    adata = sx.read(write_cosmx(tmp_path / "c", packed=packed, extra=extra))
    assert adata.X.format == "csr"
    assert adata.var_names.tolist() == ["KRT5", "CD3E"]  # no controls
    assert adata.obs_names.tolist() == ["1_1", "2_1", "1_2"]  # cells of two fields of view, and none outside
    np.testing.assert_array_equal(adata.X.toarray(), [[0, 9], [0, 1], [5, 6]])
    np.testing.assert_array_equal(adata.obsm["spatial"], [[10, -1], [20, -2], [90030.5, -3.5]])
    assert adata.obs["fov"].tolist() == ["1", "1", "2"]
    assert adata.obs["Area"].tolist() == [100, 200, 300]
    assert adata.obs["cell_ID"].tolist() == ["1", "2", "1"]
    full_name = ["cell"] if extra else []
    known = ["fov", "cell_ID", *full_name, "Area", "CenterX_local_px", "CenterY_local_px", "Mean.CD45"]
    assert list(adata.obs) == known  # no "cell_id", which SpatialData could not tell from "cell_ID"


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_merscope, "cell_by_gene.csv"),
        (write_merscope, "cell_metadata.csv"),
        (write_cosmx, "exprMat_file.csv"),
        (write_cosmx, "metadata_file.csv"),
    ],
)
def test_half_of_a_folder(tmp_path, write, name):
    folder = write(tmp_path / "f")
    next(folder.glob(f"*{name}")).unlink()
    message = message_of(folder)
    assert f"lacks {name} (or .gz)" in message
    assert "copy the whole" in message


@pytest.mark.parametrize("write", [write_merscope, write_cosmx])
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_was_cut_off(tmp_path, write, which):
    folder = write(tmp_path / "f", packed=True)
    path = sorted(folder.glob("*.gz"))[which]
    path.write_bytes(path.read_bytes()[:-12])
    assert path.name in message_of(folder)


@pytest.mark.parametrize(
    ("write", "file", "column"),
    [
        (write_merscope, "cell_metadata.csv", "center_y"),
        (write_cosmx, "Run1_S0_metadata_file.csv", "CenterX_global_px"),
        (write_cosmx, "Run1_S0_exprMat_file.csv", "cell_ID"),
    ],
)
def test_a_column_that_is_missing(tmp_path, write, file, column):
    path = write(tmp_path / "f") / file
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    message = message_of(tmp_path / "f")
    assert f"{file}' lacks the column(s) {column}" in message


def test_tables_of_two_runs(tmp_path):
    folder = write_merscope(tmp_path / "m")
    (folder / "cell_metadata.csv").write_text((folder / "cell_metadata.csv").read_text().replace("10570", "99999"))
    assert "has no position for 3 of the 3" in message_of(folder)


def test_two_runs_in_one_folder(tmp_path):
    folder = write_merscope(tmp_path / "m")
    write_merscope(folder, prefix="b_")
    assert "several cell_by_gene.csv, b_cell_by_gene.csv, cell_by_gene.csv" in message_of(folder)


def test_a_repeated_cell(tmp_path):
    folder = write_merscope(tmp_path / "m")
    path = folder / "cell_metadata.csv"
    again = path.read_text().splitlines()[-1]
    path.write_text(path.read_text() + again + "\n")
    assert sx.read(folder).n_obs == 3
    path.write_text(path.read_text() + again.replace(",1.25,", ",9.5,") + "\n")
    assert f"repeats '{IDS[0]}'" in message_of(folder)
