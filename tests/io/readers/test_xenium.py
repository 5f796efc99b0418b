"""Xenium: a matrix of cells, as HDF5 or MatrixMarket, and a table of their centroids."""

import pandas as pd
import pytest
from tests.io.layouts import COUNTS, XY, assert_section, message_of, write_10x_h5, write_mtx, write_table

import spacex as sx

TYPES = ["Gene Expression", "Gene Expression", "Negative Control Probe", "Unassigned Codeword"]
TEXT = ["aaaaficg-1", "aaabbaka-1", "aaabbjoo-1"]  # since Xenium Onboard Analysis 1.3; numbers before it


def write_xenium(folder, *, form=".h5", cells="cells.csv.gz", ids=TEXT, types=TYPES, rows=slice(None), **options):
    """Write the matrix and the table of cells, in another order."""
    counts = COUNTS.set_axis([str(name) for name in ids])
    if form == ".h5":
        write_10x_h5(folder / "cell_feature_matrix.h5", counts, types=types)
    else:
        text = "".join(f"ENS{i}\t{gene}\t{kind}\n" for i, (gene, kind) in enumerate(zip(COUNTS, types, strict=True)))
        write_mtx(folder / "cell_feature_matrix", counts, features=text, ending=".gz")
    table = pd.DataFrame(
        {
            "cell_id": ids,
            "x_centroid": XY[:, 0],
            "y_centroid": XY[:, 1],
            "transcript_counts": [3, 10, 4],
            "control_probe_counts": [2, 0, 0],
            "cell_area": [60.5, 50.25, 40],
            "nucleus_area": [10.5, 20, 30],
        }
    ).iloc[::-1][rows]
    if cells.endswith(".parquet"):
        if ids is TEXT:
            table["cell_id"] = [name.encode() for name in table["cell_id"]]  # as the first releases wrote it
        table.to_parquet(folder / cells, index=False)
    else:
        write_table(table, folder / cells, **options)
    return folder


def assert_xenium(adata, ids=TEXT):
    assert_section(adata, COUNTS.iloc[:, :2].set_axis(ids), XY)  # no control probes, no codewords
    assert adata.obs.to_dict("list") == {"cell_area": [60.5, 50.25, 40], "nucleus_area": [10.5, 20, 30]}


@pytest.mark.parametrize("form", [".h5", ""], ids=["h5", "mtx"])
@pytest.mark.parametrize("cells", ["cells.csv.gz", "cells.csv", "cells.parquet"])
@pytest.mark.parametrize("ids", [TEXT, [3, 1, 2]], ids=["text", "numbers"])
@pytest.mark.parametrize("outs", ["", "outs"])
def test_xenium(tmp_path, form, cells, ids, outs):
    write_xenium(tmp_path / "region" / outs, form=form, cells=cells, ids=ids)
    assert_xenium(sx.read(tmp_path / "region"), ids)


@pytest.mark.parametrize("name", ["", "index", "Unnamed: 0"])
@pytest.mark.parametrize("ids", [TEXT, [3, 1, 2]], ids=["text", "numbers"])
def test_cells_with_the_names_of_rows(tmp_path, name, ids):
    """R and pandas write the numbers of the rows first; here they are a permutation of the cells."""
    folder = write_xenium(tmp_path / "x", ids=ids, index=True, index_label=name)
    assert_xenium(sx.read(folder), ids)


@pytest.mark.parametrize("written", [["3.0", "1.0", "2.0"], ["3", "01", "002"], ["3e+00", "1", "2"]])
def test_numbers_written_otherwise(tmp_path, written):
    folder = write_xenium(tmp_path / "x", ids=[3, 1, 2])
    table = pd.read_csv(folder / "cells.csv.gz").assign(cell_id=written[::-1])
    write_table(table, folder / "cells.csv.gz")
    assert_xenium(sx.read(folder), [3, 1, 2])


def test_antibodies_alone_are_kept(tmp_path):
    folder = write_xenium(tmp_path / "x", types=["Protein Expression"] * 4)
    assert_section(sx.read(folder), COUNTS.set_axis(TEXT), XY)


def test_two_regions_in_one_folder(tmp_path):
    for sample in ("R1", "R10"):
        write_xenium(tmp_path / sample)
        for path in (tmp_path / sample).iterdir():
            path.rename(tmp_path / f"{sample}_{path.name}")
    assert "'R1', 'R10'" in message_of(tmp_path)
    assert_xenium(sx.read(tmp_path, sample="R1"))


def test_without_cells(tmp_path):
    folder = write_xenium(tmp_path / "x")
    (folder / "cells.csv.gz").unlink()
    assert "cells.csv" in message_of(folder)


def test_cells_that_were_cut_off(tmp_path):
    folder = write_xenium(tmp_path / "x")
    (folder / "cells.csv.gz").write_bytes((folder / "cells.csv.gz").read_bytes()[:-12])
    assert "cells.csv.gz" in message_of(folder)


def test_a_cell_without_position(tmp_path):
    assert "1 of the 3" in message_of(write_xenium(tmp_path / "x", rows=slice(2)))
