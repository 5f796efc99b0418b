"""Stereo-seq: molecules as text and HDF5 in square bins, and cells of a segmentation."""

import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.io.layouts import compress_file, compressed, message_of

import spacex as sx
from spacex.io import _bins
from spacex.io._readers import stereoseq as _stereoseq

NOTES = "#FileFormat=GEMv0.1\n#SortedBy=None\n#BinSize=1\n#Stereo-seqChip=SS200000135TL\n#OffsetX=0\n#OffsetY=0\n"
MOLECULES = [("Mbp", 10, 20, 2), ("Mbp", 59, 20, 1), ("NA", 10, 149, 3), ("Mbp", 11, 21, 4), ("NA", 60, 20, 5)]
# squares of side 50 by corner: Mbp, NA
SQUARES = {"0_0": (6, 0), "50_0": (1, 5), "0_100": (0, 3)}
CELL_OF = {(10, 20): 7, (59, 20): 0, (10, 149): 7, (11, 21): 3, (60, 20): 3}
IN_CELLS = {"3": (4, 5), "7": (2, 3)}  # the molecule in cell 0 is in none
CENTERS = [[(11 * 4 + 60 * 5) / 9, (21 * 4 + 20 * 5) / 9], [10, (20 * 2 + 149 * 3) / 5]]
CELLS = [("id", "u4"), ("x", "i4"), ("y", "i4"), ("offset", "u4"), ("geneCount", "u2"), ("expCount", "u2")]
CELLS += [("dnbCount", "u2"), ("area", "u2"), ("cellTypeID", "u2"), ("clusterID", "u2")]


def write_gem(path, *, header="geneID\tx\ty\tMIDCount\tExonCount", notes=NOTES, molecules=MOLECULES):
    columns = header.split("\t")
    lines = [header]
    for gene, x, y, count in molecules:
        values = {
            "x": x,
            "y": y,
            "geneID": f"ENS_{gene}" if "geneName" in columns else gene,
            "geneName": gene,
            "gene": gene,
        }
        values |= {name: CELL_OF.get((x, y), 0) for name in ("CellID", "label")}
        lines.append("\t".join(str(values.get(name, 0 if name == "ExonCount" else count)) for name in columns))
    path.write_bytes(compressed((notes + "\n".join(lines) + "\n").encode(), path.name))
    return path


def write_gef(path, *, name="gene", molecules=MOLECULES):
    """Write molecules sorted by gene, and the offset and count of each gene."""
    ordered = sorted(molecules)
    genes = sorted({gene for gene, *_ in ordered})
    counts = [sum(gene == other for other, *_ in ordered) for gene in genes]
    fields = [("geneID", "S64"), ("geneName", "S64")] if name == "geneName" else [(name, "S64")]
    table = np.zeros(len(genes), dtype=[*fields, ("offset", "u4"), ("count", "u4")])
    table[name], table["count"] = genes, counts
    table["offset"] = np.cumsum([0, *counts[:-1]])
    with h5py.File(path, "w") as file:
        group = file.create_group("geneExp/bin1")
        group["gene"] = table
        rows = [(x, y, count) for _, x, y, count in ordered]
        group["expression"] = np.array(rows, dtype=[("x", "u4"), ("y", "u4"), ("count", "u1")])
    return path


def write_cellbin(path):
    cells = np.zeros(3, dtype=CELLS)
    cells["id"], cells["x"], cells["y"], cells["area"] = [11, 12, 13], [100, 200, 300], [5, 6, 7], [50, 60, 70]
    cells["geneCount"], cells["offset"] = [2, 0, 1], [0, 2, 2]
    genes = np.zeros(2, dtype=[("geneName", "S32"), ("offset", "u4"), ("cellCount", "u4")])
    genes["geneName"] = [b"Mbp", b"Plp1"]
    counts = np.array([(0, 4), (1, 6), (1, 9)], dtype=[("geneID", "u4"), ("count", "u2")])
    with h5py.File(path, "w") as file:
        for name, values in (("cell", cells), ("gene", genes), ("cellExp", counts)):
            file[f"cellBin/{name}"] = values
    return path


def squares_of(adata):
    frame = adata.to_df()
    return {name: (frame.loc[name].get("Mbp", 0), frame.loc[name].get("NA", 0)) for name in adata.obs_names}


HEADERS = [
    "geneID\tx\ty\tMIDCount\tExonCount",
    "geneID\tx\ty\tMIDCounts",
    "geneID\tgeneName\tx\ty\tMIDCount\tExonCount",
    "gene\tx\ty\tUMICount",
]


@pytest.mark.parametrize("form", ["gem", "gem.gz"])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("notes", [NOTES, ""], ids=["notes", "bare"])
def test_gem(tmp_path, form, header, notes):
    adata = sx.read(write_gem(tmp_path / f"SS2.tissue.{form}", header=header, notes=notes))
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.float32
    assert squares_of(adata) == SQUARES
    corners = [tuple(map(int, name.split("_"))) for name in adata.obs_names]
    np.testing.assert_array_equal(adata.obsm["spatial"], np.array(corners) + 25)


@pytest.mark.parametrize("name", ["GEM_bin1.tsv.gz", "molecules.txt", "E9.5.csv.bz2", "a.gem.xz", "b.gem.zip"])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("notes", [NOTES, ""], ids=["notes", "bare"])
def test_gem_is_recognized_by_its_header(tmp_path, name, header, notes):
    path = write_gem(tmp_path / name, header=header, notes=notes)
    assert squares_of(sx.read(path)) == SQUARES
    assert squares_of(sx.read(tmp_path)) == SQUARES
    assert sx.read(path, bin=1).n_obs == 5


@pytest.mark.parametrize("name", ["S1.cellbin.gem", "S1.cellbin.gem.gz", "S1.gem", "E9.5_cell_bin.tsv.gz", "cells.txt"])
@pytest.mark.parametrize("column", ["CellID", "label"])
def test_gem_of_cells(tmp_path, name, column):
    path = write_gem(tmp_path / name, header=f"geneID\tx\ty\tMIDCount\tExonCount\t{column}")
    for bin in (None, "cells"):
        adata = sx.read(path, bin=bin)
        assert squares_of(adata) == IN_CELLS
        np.testing.assert_allclose(adata.obsm["spatial"], CENTERS)
    assert squares_of(sx.read(path, bin=50)) == SQUARES


def test_gem_without_molecules_in_cells_raises(tmp_path):
    header = "geneID\tx\ty\tMIDCount\tCellID"
    path = write_gem(tmp_path / "a.gem", header=header, molecules=[("Mbp", 59, 20, 1)])
    assert "bin=50" in message_of(path)
    assert squares_of(sx.read(path, bin=50)) == {"50_0": (1, 0)}
    assert "lacks the column(s) CellID" in message_of(write_gem(tmp_path / "b.gem"), bin="cells")
    assert "lacks the column(s) CellID" in message_of(write_gem(tmp_path / "b.cellbin.gem"))


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_gef(tmp_path, suffix):
    assert squares_of(sx.read(compress_file(write_gef(tmp_path / "a.gef"), suffix))) == SQUARES
    assert sx.read(compress_file(write_cellbin(tmp_path / "a.cellbin.gef"), suffix)).n_obs == 3


@pytest.mark.parametrize("name", ["gene", "geneID", "geneName"])
def test_gef(tmp_path, name):
    assert squares_of(sx.read(write_gef(tmp_path / "SS2.tissue.gef", name=name))) == SQUARES


@pytest.mark.parametrize("bin", [1, 7, 100, "bin20", "20"])
def test_bin_sizes(tmp_path, bin):
    adata = sx.read(write_gem(tmp_path / "a.gem"), bin=bin)
    size = int(str(bin).removeprefix("bin"))
    assert adata.X.sum() == sum(count for *_, count in MOLECULES)
    assert adata.n_obs == len({(x // size, y // size) for _, x, y, _ in MOLECULES})


molecules = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 300), st.integers(0, 300), st.integers(1, 9)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(molecules=molecules, size=st.integers(1, 120), block=st.integers(1, 50))
def test_gem_and_gef_agree_for_all_block_sizes(tmp_path_factory, molecules, size, block):
    folder = tmp_path_factory.mktemp("chip")
    expected = {}
    for gene, x, y, count in molecules:
        key = (f"{x // size * size}_{y // size * size}", gene)
        expected[key] = expected.get(key, 0) + count
    whole = _stereoseq.BLOCK_SIZE
    _stereoseq.BLOCK_SIZE = block
    try:
        for path in (
            write_gem(folder / "a.gem", molecules=molecules),
            write_gef(folder / "a.gef", molecules=molecules),
        ):
            frame = sx.read(path, bin=size).to_df().stack()
            assert frame[frame > 0].to_dict() == expected
    finally:
        _stereoseq.BLOCK_SIZE = whole
        shutil.rmtree(folder)


def test_memory_is_independent_of_the_number_of_molecules():
    bins = _bins.SquareBins(10)
    for _ in range(50):
        bins.add(np.zeros(1000, dtype=int), np.arange(1000) % 10, np.arange(1000) % 10, np.ones(1000))
    assert sum(len(sums) for _, sums in bins._sums) <= 2
    assert bins.result(["g"]).X.sum() == 50_000


def test_cells(tmp_path):
    adata = sx.read(write_cellbin(tmp_path / "SS2.cellbin.gef"))
    np.testing.assert_array_equal(adata.X.toarray(), [[4, 6], [0, 0], [0, 9]])
    assert adata.obs_names.tolist() == ["11", "12", "13"]
    assert adata.var_names.tolist() == ["Mbp", "Plp1"]
    np.testing.assert_array_equal(adata.obsm["spatial"], [[100, 5], [200, 6], [300, 7]])
    assert adata.obs["area"].tolist() == [50, 60, 70]


def test_folder(tmp_path):
    write_gem(tmp_path / "SS2.gem.gz")
    assert squares_of(sx.read(tmp_path)) == SQUARES
    assert sx.read(tmp_path, bin=1).n_obs == 5
    write_gef(tmp_path / "SS2.gef")
    assert "several Stereo-seq files, SS2.gef, SS2.gem.gz" in message_of(tmp_path)


@pytest.mark.parametrize("bin", [0, -5, 2.5, "002um"])
def test_invalid_bin_raises(tmp_path, bin):
    assert f"bin={bin!r} is not allowed" in message_of(write_gem(tmp_path / "a.gem"), bin=bin)


def test_bin_of_other_content_raises(tmp_path):
    assert "bin=50 does not apply" in message_of(write_cellbin(tmp_path / "a.cellbin.gef"), bin=50)
    assert "bin='cells' does not apply" in message_of(write_gef(tmp_path / "a.gef"), bin="cells")


def test_inconsistent_gef_raises(tmp_path):
    path = write_gef(tmp_path / "a.gef")
    with h5py.File(path, "a") as file:
        molecules = file["geneExp/bin1/expression"][:-1]
        del file["geneExp/bin1/expression"]
        file["geneExp/bin1/expression"] = molecules
    assert "do not fit its 4 molecules" in message_of(path)
    path = write_cellbin(tmp_path / "a.cellbin.gef")
    with h5py.File(path, "a") as file:
        file["cellBin/cell"][1, "geneCount"] = 3
    assert "do not fit its 3 counts" in message_of(path)
