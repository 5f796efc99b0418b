"""Counts and coordinates in separate tables, in the formats of many tools."""

import shutil
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from tests.io.layouts import (
    COUNTS,
    GENES,
    POSITIONS,
    SPOTS,
    TISSUE_POSITIONS,
    XY,
    assert_section,
    compressed,
    message_of,
    shifted,
    write_10x_h5,
    write_images,
    write_mtx,
    write_table,
)

import spacex as sx
from spacex.io import _counts

FORMS = ["counts.csv", "counts.csv.gz", "counts.tsv", "counts.tsv.gz", "counts.txt"]


def write_pair(folder, *, name="counts.csv", transpose=False, positions=POSITIONS, counts=COUNTS):
    write_table(counts.T if transpose else counts, folder / name, index=True)
    write_table(positions, folder / "spots.csv")
    return folder


def pair_of_texts(folder, counts, positions):
    (folder / "counts.txt").write_text(counts)
    (folder / "spots.txt").write_text(positions)
    return folder


# Delimited text


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("transpose", [False, True], ids=["spots x genes", "genes x spots"])
def test_folder_of_tables(tmp_path, name, transpose):
    adata = sx.read(write_pair(tmp_path, name=name, transpose=transpose))
    assert_section(adata, xy=XY)
    assert adata.obs["layer"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_compression_is_detected_by_the_first_bytes(tmp_path, suffix):
    counts, spots = COUNTS.to_csv().encode(), POSITIONS.to_csv(index=False).encode()
    for n, names in enumerate([(f"counts.csv.{suffix}", f"spots.txt.{suffix}"), ("counts.csv", "spots.txt")]):
        folder = tmp_path / str(n)
        folder.mkdir()
        for name, data in zip(names, (counts, spots), strict=True):
            (folder / name).write_bytes(compressed(data, suffix))
        assert_section(sx.read(folder), xy=XY)
        for name, data in zip(names, (counts, spots), strict=True):  # uncompressed, whatever the suffix
            (folder / name).write_bytes(data)
        assert_section(sx.read(folder), xy=XY)


def test_archive_of_several_files_raises(tmp_path):
    write_pair(tmp_path)
    shutil.make_archive(str(tmp_path / "counts"), "zip", tmp_path)
    (tmp_path / "counts.zip").rename(tmp_path / "counts.csv")
    assert "archive of" in message_of(tmp_path)


def test_other_files_are_ignored(tmp_path):
    (tmp_path / "README.txt").write_text("Counts of a section.\n")
    (tmp_path / "photograph.png").touch()
    assert_section(sx.read(write_pair(tmp_path)))


def test_coordinates_in_another_folder(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "more.csv").write_text("barcode,x,y\n")  # a second coordinate table: the folder is ambiguous
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "spots.csv", tmp_path / "elsewhere" / "p.csv")
    adata = sx.read(tmp_path / "counts.csv", coordinates=str(tmp_path / "elsewhere" / "p.csv"))
    assert_section(adata, xy=XY)


def test_quotes_and_short_header_of_r(tmp_path):
    lines = [" ".join(f'"{gene}"' for gene in GENES)]
    lines += [f'"{spot}" ' + " ".join(map(str, COUNTS.loc[spot])) for spot in SPOTS]
    spots = '"x" "y"\n' + "".join(f'"{spot}" {x} {y}\n' for spot, (x, y) in zip(SPOTS, XY, strict=True))
    assert_section(sx.read(pair_of_texts(tmp_path, "\n".join(lines) + "\n", spots)), xy=XY)


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("whole", [False, True], ids=["first rows with decimals", "first rows whole"])
@pytest.mark.parametrize("name", ["spots.csv", "spots.txt"])
def test_spreadsheet_formats(tmp_path, decimal, whole, name):
    text = COUNTS.rename_axis("spot").to_csv(sep=";").replace("\n", "\r\n")
    (tmp_path / "counts.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first = pd.DataFrame({"barcode": [f"T{i}" for i in range(9 * whole)], "x": "7", "y": "8", "z": "1"})
    section = pd.DataFrame({"barcode": SPOTS, "x": XY[:, 0], "y": XY[:, 1], "z": [0.5, 1, 2]}).astype(str)
    written = section.replace(r"\.", decimal, regex=True).assign(y=section["y"].str.removesuffix(".0"))
    write_table(pd.concat([first, written]), tmp_path / name, sep=";")
    adata = sx.read(tmp_path)
    assert_section(adata, xy=XY)
    assert adata.obs["z"].tolist() == [0.5, 1, 2]


def test_commas_in_names_of_a_tsv(tmp_path):
    counts = COUNTS.set_axis(["a,,,,b", "c", "d;e", "f,g"], axis=1)
    assert_section(sx.read(write_pair(tmp_path, name="counts.tsv", counts=counts)), counts)


def test_comments_before_the_header(tmp_path):
    """The tools of Drop-seq and Slide-seq write comments that begin with #DGE."""
    counts = "#DGE\tVERSION:1.1\tEXPRESSION_FORMAT:raw\n#LIBRARY\tUEI:x\n\n" + COUNTS.T.to_csv(
        sep="\t", index_label="GENE"
    )
    spots = "# beads\n#barcode\tx\ty\n" + "".join(f"{s}\t{x}\t{y}\n" for s, (x, y) in zip(SPOTS, XY, strict=True))
    assert_section(sx.read(pair_of_texts(tmp_path, counts, spots)), xy=XY)


def test_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(_counts, "CHUNK_ENTRIES", 1)  # a row at a time
    assert_section(sx.read(write_pair(tmp_path)))


# Coordinates


@pytest.mark.parametrize(
    ("names", "xy"),
    [
        (["barcode", "pxl_col_in_fullres", "pxl_row_in_fullres", "x", "y"], "pxl_col_in_fullres pxl_row_in_fullres"),
        (["cell_id", "x_centroid", "y_centroid"], "x_centroid y_centroid"),
        (["barcodes", "xcoord", "ycoord"], "xcoord ycoord"),
        (["", "X", "Y"], "X Y"),
        (["spot", "array_col", "array_row"], "array_col array_row"),
        (["cell_ID", "sdimx", "sdimy"], "sdimx sdimy"),  # Giotto
        (["", "tissue", "row", "col", "imagerow", "imagecol"], "imagecol imagerow"),  # Seurat
        (["X", "imagerow", "imagecol"], "imagecol imagerow"),  # the same, read and written by R again
        (["X", "barcode", "x", "y"], "x y"),
        (["bead", "bead_x_px", "bead_y_px"], "bead_x_px bead_y_px"),
        (["Object ID", "Centroid X µm", "Centroid Y µm", "umap_x", "umap_y"], "Centroid X µm*Centroid Y µm"),
        (["cell", "x_umap", "y_umap", "sdimx", "sdimy"], "sdimx sdimy"),
    ],
)
def test_coordinate_columns(tmp_path, names, xy):
    xy = xy.split("*") if "*" in xy else xy.split()
    positions = pd.DataFrame({name: 100 + np.arange(3) for name in names})
    positions[next(name for name in (*SPOTS, *names) if name in names and (name != "X" or "barcode" not in names))] = (
        SPOTS
    )
    positions[xy] = XY
    if "barcode" in names:
        positions["barcode"] = SPOTS
    adata = sx.read(write_pair(tmp_path, positions=positions))
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)
    assert not set(adata.obs) & {*xy, "barcode", ""}


def test_numeric_spot_names_are_not_coordinates(tmp_path):
    """A header of numeric spot names may have as many fields as a coordinate table without header."""
    for n in (2, 5):
        names = [str(i + 10) for i in range(n)]
        counts = pd.DataFrame([range(n)], index=names[:1], columns=names).T.set_axis(["g"], axis=1)
        positions = pd.DataFrame({"cell": names, "x": np.arange(n), "y": 2})
        for label in ("gene", ""):
            write_table(counts.T, tmp_path / str(n) / f"counts{label}" / "counts.csv", index=True, index_label=label)
            write_table(positions, tmp_path / str(n) / f"counts{label}" / "spots.csv")
            assert_section(sx.read(tmp_path / str(n) / f"counts{label}"), counts, positions[["x", "y"]])


@pytest.mark.parametrize("ids", [SPOTS, [3, 1, 2]], ids=["text", "numbers"])
def test_parquet_coordinates(tmp_path, ids):
    counts = COUNTS.set_axis(ids)
    write_pair(tmp_path, counts=counts)
    (tmp_path / "spots.csv").unlink()
    table = pd.DataFrame({"cell_id": ids, "x": XY[:, 0], "y": XY[:, 1]}).iloc[::-1]
    for frame in (table, table.set_index("cell_id"), table.astype({"cell_id": "category"})):
        frame.to_parquet(tmp_path / "positions.parquet")
        assert_section(sx.read(tmp_path), counts, XY)


@pytest.mark.parametrize("named", ["index", "column"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_coordinates_for_h5ad(tmp_path, named, suffix):
    write_pair(tmp_path)
    adata = ad.AnnData(sparse.csr_matrix(COUNTS.to_numpy(dtype="float32")), COUNTS[[]], COUNTS.T[[]])
    adata.obs["n"] = [3.5, 10, 4]
    if named == "column":
        adata.obs["barcode"], adata.obs_names = SPOTS, ["0", "1", "2"]
    adata.write_h5ad(tmp_path / "counts.h5ad")
    path = tmp_path / f"counts.h5ad{suffix}"
    path.write_bytes(compressed((tmp_path / "counts.h5ad").read_bytes(), suffix))
    assert_section(sx.read(path, coordinates=tmp_path / "spots.csv"), xy=XY)


def test_column_names_that_hdf5_cannot_store(tmp_path):
    positions = POSITIONS.assign(**{"area (px/um)": 1.5, "_index": 7})
    adata = sx.read(write_pair(tmp_path, positions=positions))
    assert list(adata.obs) == ["layer", "area (px_um)"]
    adata.write_h5ad(tmp_path / "again.h5ad")
    assert list(sx.read(tmp_path / "again.h5ad").obs) == ["layer", "area (px_um)"]


# Identifiers


@pytest.mark.parametrize("name", ["", "index", "Unnamed: 0", "X"])
@pytest.mark.parametrize("ids", [SPOTS, [3, 1, 2], ["3", "01", "2.0"]], ids=["text", "permuted", "in other spellings"])
@pytest.mark.parametrize("where", ["counts", "coordinates", "both"])
def test_row_numbers_before_the_identifiers(tmp_path, name, ids, where):
    """In R these are row names; here they are the same numbers as the cells, in another order."""
    counts = COUNTS.set_axis(SPOTS if ids is SPOTS else ["3", "1", "2"])
    table = counts.rename_axis("cell_id").reset_index()
    positions = pd.DataFrame({"cell_id": ids, "x": XY[:, 0], "y": XY[:, 1]}).iloc[::-1].reset_index(drop=True)
    for file, frame in (("counts", table), ("coordinates", positions)):
        numbered = pd.Series(range(1, 4)).astype(str)
        if where in (file, "both"):
            frame.insert(0, name if file == "coordinates" else name.replace("X", ""), numbered)
        write_table(frame, tmp_path / f"{file}.csv")
    assert_section(sx.read(tmp_path), counts, XY)


def test_label_is_recognized_from_the_coordinates(tmp_path):
    table = COUNTS.set_axis([30, 10, 20]).rename_axis("segment").reset_index()
    write_table(table, tmp_path / "counts.csv", index=True)
    write_table(pd.DataFrame({"segment": [10, 20, 30], "x": [2.25, 3, 1.5], "y": [20, 30, 10]}), tmp_path / "spots.csv")
    assert_section(sx.read(tmp_path), COUNTS.set_axis([30, 10, 20]), XY)


@pytest.mark.parametrize(
    ("counted", "positioned"),
    [(["AAAC.1", "CCCG.1", "GGGT.1"], SPOTS), (["S1_AAAC", "S1_CCCG", "S1_GGGT"], SPOTS),
     (["cell_3", "cell_1", "cell_2"], [3, 1, 2]), (["X10x12", "X3.5x7", "X10x13"], ["10x12", "3.5x7", "10x13"])],
)  # fmt: skip
@pytest.mark.parametrize("transpose", [False, True])
def test_other_spellings_match(tmp_path, counted, positioned, transpose):
    counts = COUNTS.set_axis(counted)
    positions = pd.DataFrame({"barcode": [*positioned[::-1]], "x": XY[::-1, 0], "y": XY[::-1, 1]})
    assert_section(sx.read(write_pair(tmp_path, counts=counts, positions=positions, transpose=transpose)), counts, XY)


@pytest.mark.parametrize(
    ("counted", "positioned"),
    [(SPOTS, ["AAAC-2", "CCCG-2", "GGGT-2"]), (["1.5", "1.7", "1.9"], ["5", "7", "9"]),
     (["1057000000000000001", "1057000000000000002", "1057000000000000003"], ["1.057e+18"] * 3)],
)  # fmt: skip
def test_names_of_other_spots_raise(tmp_path, counted, positioned):
    positions = POSITIONS.iloc[1:].assign(barcode=positioned)
    message_of(write_pair(tmp_path, counts=COUNTS.set_axis(counted), positions=positions))


def test_numeric_names_stay_text(tmp_path):
    counts = COUNTS.set_axis(["007", "008", "12345678901234567890"])
    positions = POSITIONS.assign(barcode=["1", "12345678901234567890", "007", "008"])
    assert_section(sx.read(write_pair(tmp_path, counts=counts, positions=positions)), counts)


def test_row_numbers_do_not_replace_labels(tmp_path):
    """The row numbers of R also occur in the coordinates, as cells, ranks, or row numbers."""
    for n, (spots, column) in enumerate([("B_cell_{}", "cell_id"), ("b{}", "rank"), ("b{}", "")]):
        table = COUNTS.set_axis(["1", "2", "3"]).assign(barcode=[f"A_cell_{i}" for i in range(3)])
        positions = pd.DataFrame({"name": [spots.format(i) for i in range(4)], "x": 1.5, "y": [0, 1, 2, 3]})
        if column == "cell_id":
            positions = positions.rename(columns={"name": column})
        else:
            positions[column] = [3, 0, 1, 2]
        write_table(table, tmp_path / str(n) / "counts.csv", index=True, index_label="")
        write_table(positions, tmp_path / str(n) / "spots.csv")
        assert "neither rows nor columns are spot names" in message_of(tmp_path / str(n))


@pytest.mark.parametrize("label", ["", "cell_id", "my_spot"])
def test_labels_after_the_genes(tmp_path, label):
    """A column without a name is not a gene."""
    table = COUNTS.assign(**{label: SPOTS})
    write_table(table, tmp_path / "counts.csv")
    write_table(POSITIONS, tmp_path / "spots.csv")
    assert_section(sx.read(tmp_path), xy=XY)


def test_array_positions_are_the_last_choice(tmp_path):
    positions = POSITIONS.rename(columns={"x": "bead_x", "y": "bead_y"}).assign(row=[1, 2, 3, 4], col=0)
    assert_section(sx.read(write_pair(tmp_path, positions=positions)), xy=XY)


# Spots named by array position (ST arrays)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("name", ["stdata.tsv", "stdata.csv.gz"])
def test_array_names_need_no_coordinates(tmp_path, name, transpose):
    table = COUNTS.set_axis(["10x12", "10.2x11.9", "3x7"])
    write_table(table.T if transpose else table, tmp_path / name, index=True)
    assert_section(sx.read(tmp_path / name), table, [[10, 12], [10.2, 11.9], [3, 7]])


@pytest.mark.parametrize("named", ["x y", "new_x new_y"])
@pytest.mark.parametrize("r", ["", "X"], ids=["", "R"])
def test_selection_tables(tmp_path, named, r):
    selection = pd.DataFrame(
        {
            "x": [12, 10, 10],
            "y": [10, 12, 13],
            "new_x": [12.05, 9.98, 10],
            "new_y": [10, 11.97, 13.02],
            "pixel_x": XY[:, 0],
            "pixel_y": XY[:, 1],
        }
    )
    x, y = named.split()
    counts = COUNTS.set_axis([f"{r}{a:g}x{b:g}" for a, b in zip(selection[x], selection[y], strict=True)])
    write_table(counts, tmp_path / "B1.tsv", index=True)
    write_table(selection.iloc[::-1], tmp_path / "B1_selection.tsv")
    assert_section(sx.read(tmp_path), counts, XY)


def test_invalid_array_names_raise(tmp_path):
    write_table(COUNTS.set_axis(["10x12", "unknown", "3x7"]), tmp_path / "stdata.csv", index=True)
    assert "'unknown'" in message_of(tmp_path / "stdata.csv")
    write_table(COUNTS.set_axis(["10x12", "3x7", "3x7"]), tmp_path / "stdata.csv", index=True)
    assert "repeat spot '3x7'" in message_of(tmp_path / "stdata.csv")


# Slide-seq


BEADS = COUNTS.set_axis(["ACGTACGTACGTAC", "CCCCACGTACGTAC", "GGGGACGTACGTAC"])


@pytest.mark.parametrize("header", [["barcode", "xcoord", "ycoord"], ["", "x", "y"], False])
def test_pucks(tmp_path, header):
    for n in range(2):
        table = (BEADS * (n + 1)).T
        write_table(table, tmp_path / f"Puck_20{n}.digital_expression.txt.gz", index=True, index_label="GENE")
        spots = pd.DataFrame({"barcode": BEADS.index, "xcoord": XY[:, 0] + n, "ycoord": XY[:, 1]}).iloc[::-1]
        write_table(spots, tmp_path / f"Puck_20{n}_bead_locations.csv", header=header)
        if n == 0:
            assert_section(sx.read(tmp_path), BEADS, XY)
    assert "'200', '201'" in message_of(tmp_path).replace("Puck_", "")
    for n in range(2):
        assert_section(sx.read(tmp_path, sample=f"Puck_20{n}"), BEADS * (n + 1), shifted(XY, n))


# Several samples


@pytest.mark.parametrize(
    ("counts", "spots"),
    [
        ("{}_counts.csv", "{}_coords.csv"),
        ("counts_{}.csv.gz", "coords_{}.txt"),
        ("GSM_{}_counts.tsv.gz", "GSM_{}_spots.csv"),
        ("{}_matrix.mtx.gz", "{}_coords.csv"),
        ("{}.h5", "{}_coords.csv"),
    ],
)
def test_several_samples(tmp_path, counts, spots):
    samples = ["S1", "S10", "B"]
    for n, sample in enumerate(samples):
        table, path = COUNTS * (n + 1), tmp_path / counts.format(sample)
        if ".mtx" in counts:
            write_mtx(tmp_path, table, prefix=f"{sample}_", suffix=".gz")
        elif ".h5" in counts:
            write_10x_h5(path, table)
        else:
            write_table(table, path, index=True)
        write_table(POSITIONS.assign(x=POSITIONS["x"] + n), tmp_path / spots.format(sample))
        write_images(tmp_path, prefix=f"{sample}_", width=5 + n)
    message = message_of(tmp_path)
    for n, sample in enumerate(samples):
        assert repr(sample) in message
        adata = sx.read(tmp_path, sample=sample)
        assert_section(adata, COUNTS * (n + 1), shifted(XY, n))
        assert adata.uns["spatial"][sample]["images"]["hires"].shape[1] == 5 + n


def test_folder_per_sample(tmp_path):
    for n, sample in enumerate(["S1", "S10"]):
        write_pair(tmp_path / sample, counts=COUNTS * (n + 1))
        assert_section(sx.read(tmp_path, sample=sample), COUNTS * (n + 1), XY)


# MatrixMarket and HDF5


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("features", ["features.tsv", "genes.tsv"])
@pytest.mark.parametrize("prefix", ["", "GSM1_"])
@pytest.mark.parametrize("transpose", [True, False], ids=["genes x spots", "spots x genes"])
def test_matrix_market(tmp_path, suffix, features, prefix, transpose):
    write_mtx(
        tmp_path, prefix=prefix, names=("matrix.mtx", features, "barcodes.tsv"), suffix=suffix, transpose=transpose
    )
    write_table(POSITIONS, tmp_path / f"{prefix}spots.csv")
    adata = sx.read(tmp_path)
    assert_section(adata, xy=XY)
    assert adata.var["gene_ids"].tolist() == ["ENS0", "ENS1", "ENS2", "ENS3"]


NUMBERS = [f"{i + 1}" for i in range(4)]


@pytest.mark.parametrize(
    "names",
    [
        ("counts.mtx", "genes.csv", "cells.csv"),
        ("Brain_cells_counts.mtx", "Brain_cells_genes.txt", "Brain_cells_barcodes.txt"),
        ("expr.mtx", "geneNames.txt", "spotIDs.txt"),
        ("raw.mtx", "var_names.csv", "obs_names.csv"),
        ("m.mtx", "rownames.txt", "colnames.txt"),
    ],
)
@pytest.mark.parametrize(
    ("features", "barcodes"),
    [
        ("{0}\n", "{0}\n"),
        ("gene\n|{0}\n", "barcode\n|{0}\n"),
        ('"x"\n|"{0}"\n', '"x"\n|"{0}"\n'),
        ('"","x"\n|"{1}","{0}"\n', '"","x"\n|"{1}","{0}"\n'),
        ('"x"\n|"{1}" "{0}"\n', '"x"\n|"{1}" "{0}"\n'),
        ("{1},{0}\n", "{1},{0}\n"),
        ("id;symbol\n|{1};{0}\n", "n;barcode;area\n|{1};{0};7\n"),
    ],
)
@pytest.mark.parametrize("transpose", [True, False], ids=["genes x spots", "spots x genes"])
def test_companions(tmp_path, names, features, barcodes, transpose):
    files = []
    for form, values in ((features, GENES), (barcodes, SPOTS)):
        *header, line = form.split("|")
        files.append("".join(header) + "".join(line.format(*pair) for pair in zip(values, NUMBERS, strict=False)))
    write_mtx(tmp_path, names=names, features=files[0], barcodes=files[1], transpose=transpose)
    write_table(POSITIONS, tmp_path / "positions.csv")
    assert_section(sx.read(tmp_path), xy=XY)


@pytest.mark.parametrize("header", [True, False])
def test_numeric_barcodes_with_other_columns(tmp_path, header):
    barcodes = "cell_id,area\n" * header + "1,30\n2,10\n3,20\n"
    write_mtx(tmp_path, names=("m.mtx", "genes.tsv", "cells.csv"), barcodes=barcodes)
    write_table(pd.DataFrame({"cell_id": [3, 1, 2], "x": [3, 1.5, 2.25], "y": [30, 10, 20]}), tmp_path / "spots.csv")
    assert_section(sx.read(tmp_path), COUNTS.set_axis(["1", "2", "3"]), XY)


@pytest.mark.parametrize(
    ("line", "genes", "ids"),
    [
        ("{1}\t{0}\tprotein_coding\n", GENES, NUMBERS),
        ("{1}\t{0}\tAntibody Capture\n", GENES, NUMBERS),
        ("{1}\t{0}\n", GENES, NUMBERS),
        ("{0}\n", GENES, GENES),
        ("{0}\tGene Expression\n", GENES, GENES),
        ("{0}\t{1}00\n", GENES, GENES),
        ("gene_id\tgene_name\tfeature_type\n|{1}\t{0}\tGene Expression\n", GENES, NUMBERS),
        ("gene_name\tgene_id\tbiotype\n|{0}\t{1}\tlncRNA\n", GENES, NUMBERS),
    ],
)
def test_feature_columns(tmp_path, line, genes, ids):
    *header, line = line.split("|")
    ids = ids if ids is GENES else [f"ENS{i}" for i in ids]
    line = line.replace("{1}\t{0}", "ENS{1}\t{0}").replace("{0}\t{1}\t", "{0}\tENS{1}\t")
    features = "".join(header) + "".join(line.format(*pair) for pair in zip(GENES, NUMBERS, strict=True))
    write_mtx(tmp_path, features=features)
    write_table(POSITIONS, tmp_path / "spots.csv")
    adata = sx.read(tmp_path)
    assert_section(adata, COUNTS.set_axis(genes, axis=1), XY)
    assert adata.var["gene_ids"].tolist() == ids


def test_matrix_market_as_file_or_folder(tmp_path):
    write_mtx(tmp_path / "m", suffix=".gz")
    write_table(POSITIONS, tmp_path / "spots.csv")
    for path in (tmp_path / "m", tmp_path / "m" / "matrix.mtx.gz"):
        assert_section(sx.read(path, coordinates=tmp_path / "spots.csv"))


def test_square_matrix_is_genes_x_barcodes(tmp_path):
    counts = COUNTS.iloc[:, :3]
    write_mtx(tmp_path, counts)
    write_table(POSITIONS, tmp_path / "spots.csv")
    assert_section(sx.read(tmp_path), counts)


@pytest.mark.parametrize("form", [".h5", ".mtx"])
def test_uncompressed_files_with_compression_suffix(tmp_path, form):
    if form == ".h5":
        write_10x_h5(tmp_path / "counts.h5").rename(tmp_path / "counts.h5.gz")
    else:
        write_mtx(tmp_path)
        (tmp_path / "matrix.mtx").rename(tmp_path / "matrix.mtx.gz")
    write_table(POSITIONS, tmp_path / "spots.csv")
    assert_section(sx.read(tmp_path), xy=XY)


@pytest.mark.parametrize("name", ["expression_matrix.h5", "a.h5.gz"])
@pytest.mark.parametrize("positions", ["positions.txt", "spatial/tissue_positions_list.csv"])
def test_10x_matrix_under_any_name(tmp_path, name, positions):
    """As in SpaGCN's tutorial."""
    path = write_10x_h5(tmp_path / "a.h5")
    data = path.read_bytes()
    path.unlink()
    (tmp_path / name).write_bytes(compressed(data, name))
    write_table(TISSUE_POSITIONS, tmp_path / positions, header=False, sep=",")
    assert_section(sx.read(tmp_path), xy=TISSUE_POSITIONS.iloc[[2, 3, 1], [5, 4]])


# Random counts


@st.composite
def sections(draw):
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    filled = st.integers(0, 2**24)
    values = [[draw(st.one_of(st.just(0), filled)) for _ in range(shape[1])] for _ in range(shape[0])]
    letters = st.text("ABCxyz0129_.- ,\"'", min_size=0, max_size=5)
    spots = [f"s{draw(letters)}{i}" for i in range(shape[0])]
    genes = [f"g{draw(letters)}{i}" for i in range(shape[1])]
    return pd.DataFrame(values, index=spots, columns=genes)


@settings(max_examples=60, deadline=None)
@given(counts=sections(), name=st.sampled_from([*FORMS, "mtx", "mtx.gz"]), transpose=st.booleans())
def test_round_trip_of_any_counts(counts, name, transpose):
    positions = pd.DataFrame({"barcode": counts.index, "x": np.arange(len(counts)), "y": 0.5})
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        if name.startswith("mtx"):
            square = counts.shape[0] == counts.shape[1]
            write_mtx(folder, counts, suffix=name[3:], transpose=transpose or square)
            write_table(positions, folder / "spots.csv")
        else:
            write_pair(folder, name=name, transpose=transpose, counts=counts, positions=positions)
        assert_section(sx.read(folder), counts, positions[["x", "y"]])


# Damaged or incomplete files


def test_names_on_both_sides_raise(tmp_path):
    square = COUNTS.iloc[:, :3].set_axis(SPOTS, axis=1)
    assert "both rows and columns" in message_of(write_pair(tmp_path, counts=square))


def test_repeated_rows_of_coordinates_are_dropped(tmp_path):
    twice = pd.concat([POSITIONS, POSITIONS])
    assert_section(sx.read(write_pair(tmp_path, positions=twice)), xy=XY)
    write_table(twice.reset_index(drop=True), tmp_path / "spots.csv", index=True)
    assert_section(sx.read(tmp_path), xy=XY)


def test_repeated_spots_raise(tmp_path):
    shifted = POSITIONS.assign(x=POSITIONS["x"] + 1)
    assert "repeats 'GGGT-1'" in message_of(write_pair(tmp_path, positions=pd.concat([POSITIONS, shifted])))
    twice = pd.concat([COUNTS, COUNTS.iloc[:1]])
    assert "repeat spot 'AAAC-1'" in message_of(write_pair(tmp_path, counts=twice))


def test_unknown_coordinate_columns_raise(tmp_path):
    write_pair(tmp_path, positions=POSITIONS.rename(columns={"x": "left", "y": "up"}))
    message = message_of(tmp_path / "counts.csv", coordinates=tmp_path / "spots.csv")
    assert "barcode, left, up, layer" in message
    assert "name two of them x and y" in message


def test_extra_gene_is_not_a_header(tmp_path):
    """With one gene more, from another run, all genes would get the counts of their neighbors."""
    write_mtx(tmp_path, features="".join(f"{gene}\n" for gene in ["Gad1", *GENES]))
    write_table(POSITIONS, tmp_path / "spots.csv")
    assert "5 features and 3 barcodes" in message_of(tmp_path)
