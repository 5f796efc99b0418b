"""Xenium: a matrix of cells, as HDF5 or MatrixMarket, and a table of their centroids."""

import pandas as pd
import pytest
from tests.io.layouts import COUNTS, XY, assert_section, write_10x_h5, write_mtx, write_table

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
        write_mtx(folder / "cell_feature_matrix", counts, features=text, suffix=".gz")
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
