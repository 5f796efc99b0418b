"""Counts in one file, coordinates in another, in every form in which people hand them on."""

import gzip
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
from scipy.io import mmwrite

import spacex as sx
from spacex import InputError
from spacex.io import _counts

SPOTS = ["AAAC-1", "CCCG-1", "GGGT-1"]
GENES = ["Mbp", "NA", "1700001K19Rik", "Plp1"]
COUNTS = pd.DataFrame([[1, 0, 2, 0], [0, 3, 0, 7], [4, 0, 0, 0]], index=SPOTS, columns=GENES)
POSITIONS = pd.DataFrame(  # in another order, and with a spot that has no counts
    {"barcode": ["TTTT-1", "GGGT-1", "AAAC-1", "CCCG-1"], "x": [9.5, 3, 1, 2], "y": [0, 30, 10, 20], "layer": [*"dcab"]}
)
XY = [[1, 10], [2, 20], [3, 30]]
FORMS = ["counts.csv", "counts.csv.gz", "counts.tsv", "counts.tsv.gz", "counts.txt"]


def delimiter(name):
    return "," if ".csv" in name else "\t"


def write_pair(folder, *, name="counts.csv", turned=False, positions=POSITIONS, counts=COUNTS):
    (counts.T if turned else counts).to_csv(folder / name, sep=delimiter(name))
    positions.to_csv(folder / "spots.csv", index=False)
    return folder


def write_mtx(folder, counts=COUNTS, *, packed=False, prefix="", features="features.tsv", turned=True):
    """Write counts as Cell Ranger does, genes x barcodes."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = sparse.coo_matrix(counts.to_numpy())
    mmwrite(folder / f"{prefix}matrix.mtx", matrix.T if turned else matrix, field="integer")
    kinds = "\tGene Expression" if features == "features.tsv" else ""
    lines = [f"ENS{i}\t{gene}{kinds}\n" for i, gene in enumerate(counts.columns)]
    (folder / f"{prefix}{features}").write_text("".join(lines))
    (folder / f"{prefix}barcodes.tsv").write_text("".join(f"{spot}\n" for spot in counts.index))
    if packed:
        for path in list(folder.glob(f"{prefix}*")):
            if path.suffix in (".mtx", ".tsv"):
                with gzip.open(f"{path}.gz", "wb") as file:
                    file.write(path.read_bytes())
                path.unlink()
    return folder


def assert_section(adata, counts=COUNTS):
    assert sparse.issparse(adata.X)
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.float32
    assert (adata.X.data != 0).all()
    assert adata.obs_names.tolist() == counts.index.tolist()
    assert adata.var_names.tolist() == counts.columns.tolist()
    np.testing.assert_array_equal(adata.X.toarray(), counts)


def message_of(path, **kwargs):
    with pytest.raises(InputError) as caught:
        sx.read(path, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Tables


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("turned", [False, True], ids=["spots x genes", "genes x spots"])
def test_folder_of_tables(tmp_path, name, turned):
    adata = sx.read(write_pair(tmp_path, name=name, turned=turned))
    assert_section(adata)
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)
    assert adata.obs["layer"].tolist() == ["a", "b", "c"]


def test_what_comes_with_tables_is_passed_by(tmp_path):
    (tmp_path / "README.txt").write_text("Counts of a section.\n")
    (tmp_path / "photograph.png").touch()
    assert_section(sx.read(write_pair(tmp_path)))


def test_named_tables_may_lie_anywhere(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "more.csv").write_text("barcode,x,y\n")  # a second one, so that the folder alone is not enough
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "spots.csv", tmp_path / "elsewhere" / "p.csv")
    adata = sx.read(tmp_path / "counts.csv", coordinates=str(tmp_path / "elsewhere" / "p.csv"))
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)


def test_quotes_and_a_short_header_of_r(tmp_path):
    lines = [" ".join(f'"{gene}"' for gene in GENES)]
    lines += [f'"{spot}" ' + " ".join(map(str, COUNTS.loc[spot])) for spot in SPOTS]
    (tmp_path / "counts.txt").write_text("\n".join(lines) + "\n")
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    assert_section(sx.read(tmp_path))


def test_byte_order_mark_semicolons_and_windows_line_ends(tmp_path):
    text = COUNTS.rename_axis("spot").to_csv(sep=";").replace("\n", "\r\n")
    (tmp_path / "counts.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    assert_section(sx.read(tmp_path))


def test_commas_in_names_do_not_divide_a_tsv(tmp_path):
    counts = COUNTS.set_axis(["a,,,,b", "c", "d;e", "f,g"], axis=1)
    assert_section(sx.read(write_pair(tmp_path, name="counts.tsv", counts=counts)), counts)


def test_whole_numbers_as_names_stay_text(tmp_path):
    counts = COUNTS.set_axis(["007", "008", "12345678901234567890"])
    positions = POSITIONS.assign(barcode=["1", "12345678901234567890", "007", "008"])
    assert_section(sx.read(write_pair(tmp_path, counts=counts, positions=positions)), counts)


def test_chunks_add_up_to_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(_counts, "CHUNK_ENTRIES", 1)  # a row at a time
    assert_section(sx.read(write_pair(tmp_path)))


@pytest.mark.parametrize(
    ("names", "xy"),
    [
        (
            ["barcode", "pxl_col_in_fullres", "pxl_row_in_fullres", "x", "y"],
            ["pxl_col_in_fullres", "pxl_row_in_fullres"],
        ),
        (["cell_id", "x_centroid", "y_centroid"], ["x_centroid", "y_centroid"]),
        (["barcodes", "xcoord", "ycoord"], ["xcoord", "ycoord"]),
        (["", "X", "Y"], ["X", "Y"]),
        (["spot", "array_col", "array_row"], ["array_col", "array_row"]),
    ],
)
def test_names_of_coordinates(tmp_path, names, xy):
    positions = pd.DataFrame({name: 100 + np.arange(3.0) for name in names[1:]})
    positions.insert(0, names[0], SPOTS)
    positions[xy] = XY
    adata = sx.read(write_pair(tmp_path, positions=positions))
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)
    assert set(adata.obs) == set(names[1:]) - set(xy)


def test_coordinates_without_header(tmp_path):
    write_pair(tmp_path)
    POSITIONS.drop(columns="layer").to_csv(tmp_path / "spots.csv", index=False, header=False)
    np.testing.assert_array_equal(sx.read(tmp_path).obsm["spatial"], XY)


def test_coordinates_as_parquet(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "spots.csv").unlink()
    POSITIONS.to_parquet(tmp_path / "positions.parquet", index=False)
    np.testing.assert_array_equal(sx.read(tmp_path).obsm["spatial"], XY)


def test_spots_off_the_tissue_are_left_out(tmp_path):
    positions = POSITIONS.assign(in_tissue=[1, 0, 1, 1])
    assert sx.read(write_pair(tmp_path, positions=positions)).obs_names.tolist() == SPOTS[:2]


def test_repeated_genes_are_made_unique(tmp_path):
    counts = COUNTS.set_axis(["a", "b", "a", "a"], axis=1)
    assert sx.read(write_pair(tmp_path, counts=counts)).var_names.tolist() == ["a", "b", "a-1", "a-2"]


@pytest.mark.parametrize("form", ["h5ad", "table"])
def test_coordinates_for_an_anndata(tmp_path, form):
    write_pair(tmp_path)
    path = tmp_path / "counts.csv"
    if form == "h5ad":
        path = tmp_path / "counts.h5ad"
        ad.AnnData(sparse.csr_matrix(COUNTS.to_numpy(dtype="float32")), COUNTS[[]], COUNTS.T[[]]).write_h5ad(path)
    np.testing.assert_array_equal(sx.read(path, coordinates=tmp_path / "spots.csv").obsm["spatial"], XY)


# MatrixMarket


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("features", ["features.tsv", "genes.tsv"])
@pytest.mark.parametrize("prefix", ["", "GSM1_"])
@pytest.mark.parametrize("turned", [True, False], ids=["genes x spots", "spots x genes"])
def test_matrix_market(tmp_path, packed, features, prefix, turned):
    write_mtx(tmp_path, packed=packed, features=features, prefix=prefix, turned=turned)
    POSITIONS.to_csv(tmp_path / f"{prefix}spots.csv", index=False)
    adata = sx.read(tmp_path)
    assert_section(adata)
    np.testing.assert_array_equal(adata.obsm["spatial"], XY)
    assert adata.var["gene_ids"].tolist() == ["ENS0", "ENS1", "ENS2", "ENS3"]


def test_matrix_market_named_as_file_and_as_folder(tmp_path):
    write_mtx(tmp_path / "m", packed=True)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    for path in (tmp_path / "m", tmp_path / "m" / "matrix.mtx.gz"):
        assert_section(sx.read(path, coordinates=tmp_path / "spots.csv"))


def test_square_matrix_market_is_genes_x_barcodes(tmp_path):
    counts = COUNTS.iloc[:, :3]
    write_mtx(tmp_path, counts)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    assert_section(sx.read(tmp_path), counts)


def test_other_features_are_left_out(tmp_path):
    write_mtx(tmp_path)
    text = (tmp_path / "features.tsv").read_text().replace("Plp1\tGene Expression", "CD3\tAntibody Capture")
    (tmp_path / "features.tsv").write_text(text)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    assert_section(sx.read(tmp_path), COUNTS.iloc[:, :3])


@pytest.mark.parametrize("kind", ["header", "old", "parquet"])
@pytest.mark.parametrize("name", ["filtered_feature_bc_matrix", "raw_feature_bc_matrix"])
def test_space_ranger_without_h5(tmp_path, kind, name):
    write_mtx(tmp_path / "outs" / name, packed=True)
    spatial = tmp_path / "outs" / "spatial"
    spatial.mkdir()
    positions = pd.DataFrame(
        {"barcode": SPOTS, "in_tissue": [1, 0, 1], "array_row": [5, 6, 7], "array_col": 0, "row": 1, "col": [4, 5, 6]}
    )
    positions = positions.rename(columns={"row": "pxl_row_in_fullres", "col": "pxl_col_in_fullres"})
    if kind == "parquet":
        positions.to_parquet(spatial / "tissue_positions.parquet", index=False)
    else:
        old = kind == "old"
        positions.to_csv(spatial / f"tissue_positions{'_list' * old}.csv", index=False, header=not old)
    adata = sx.read(tmp_path)
    assert_section(adata, COUNTS.iloc[[0, 2]])
    np.testing.assert_array_equal(adata.obsm["spatial"], [[4, 1], [6, 1]])
    assert adata.obs["array_row"].tolist() == [5, 7]


# Whatever the counts, every form gives them back


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
@given(counts=sections(), name=st.sampled_from([*FORMS, "mtx", "mtx.gz"]), turned=st.booleans())
def test_any_counts_come_back(counts, name, turned):
    positions = pd.DataFrame({"barcode": counts.index, "x": np.arange(len(counts)), "y": 0.5})
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        if name.startswith("mtx"):
            square = counts.shape[0] == counts.shape[1]
            write_mtx(folder, counts, packed=name.endswith("gz"), turned=turned or square)
            positions.to_csv(folder / "spots.csv", index=False)
        else:
            write_pair(folder, name=name, turned=turned, counts=counts, positions=positions)
        adata = sx.read(folder)
    assert_section(adata, counts)
    np.testing.assert_array_equal(adata.obsm["spatial"], positions[["x", "y"]])


# Accidents


def test_counts_alone(tmp_path):
    write_pair(tmp_path)
    assert "sx.read(counts, coordinates=positions)" in message_of(tmp_path / "counts.csv")
    (tmp_path / "spots.csv").unlink()
    message = message_of(tmp_path)
    assert "counts.csv and none" in message
    assert "sx.read(counts, coordinates=positions)" in message


def test_two_tables_of_counts(tmp_path):
    write_pair(tmp_path)
    COUNTS.to_csv(tmp_path / "again.csv")
    assert "again.csv, counts.csv and spots.csv" in message_of(tmp_path)


def test_names_that_do_not_fit(tmp_path):
    message = message_of(write_pair(tmp_path, positions=POSITIONS.assign(barcode=["p", "q", "r", "s"])))
    for told in ("neither side", "'AAAC-1'", "'Mbp'", "'p'", "counts.csv", "spots.csv"):
        assert told in message


def test_names_that_fit_both_sides(tmp_path):
    square = COUNTS.iloc[:, :3].set_axis(SPOTS, axis=1)
    assert "both sides" in message_of(write_pair(tmp_path, counts=square))


def test_a_spot_without_coordinates(tmp_path):
    message = message_of(write_pair(tmp_path, positions=POSITIONS[POSITIONS["barcode"] != "CCCG-1"]))
    assert "1 of the 3 spots" in message
    assert "'CCCG-1'" in message


def test_rows_of_coordinates_that_repeat_alike_count_once(tmp_path):
    assert_section(sx.read(write_pair(tmp_path, positions=pd.concat([POSITIONS, POSITIONS]))))


def test_repeated_spots(tmp_path):
    moved = POSITIONS.assign(x=POSITIONS["x"] + 1)
    assert "repeats 'GGGT-1'" in message_of(write_pair(tmp_path, positions=pd.concat([POSITIONS, moved])))
    twice = pd.concat([COUNTS, COUNTS.iloc[:1]])
    assert "repeat spot 'AAAC-1'" in message_of(write_pair(tmp_path, counts=twice))


@pytest.mark.parametrize(("column", "value"), [("x", np.nan), ("y", np.inf)])
def test_coordinates_that_are_not_finite(tmp_path, column, value):
    positions = POSITIONS.astype({"x": float, "y": float})
    positions.loc[1, column] = value
    assert "spots.csv" in message_of(write_pair(tmp_path, positions=positions))


def test_unknown_columns_of_coordinates(tmp_path):
    write_pair(tmp_path, positions=POSITIONS.rename(columns={"x": "left", "y": "up"}))
    message = message_of(tmp_path / "counts.csv", coordinates=tmp_path / "spots.csv")
    assert "barcode, left, up, layer" in message
    assert "name two of them x and y" in message


@pytest.mark.parametrize("name", ["counts.csv", "counts.csv.gz"])
def test_counts_that_were_cut_off(tmp_path, name):
    path = write_pair(tmp_path, name=name) / name
    path.write_bytes(path.read_bytes()[: -12 if name.endswith("gz") else -4])
    message = message_of(tmp_path)
    assert name in message
    assert "download it again" in message


def test_a_word_among_the_counts(tmp_path):
    path = write_pair(tmp_path) / "counts.csv"
    path.write_text(path.read_text().replace("7", "many"))
    message = message_of(tmp_path)
    assert "counts.csv" in message
    assert "many" in message


def test_an_empty_table(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "counts.csv").write_text("")
    assert "counts.csv' is empty" in message_of(tmp_path)
    (tmp_path / "counts.csv").write_text("spot,a,b\n")
    assert "no rows" in message_of(tmp_path)


def test_gzip_in_name_only(tmp_path):
    write_pair(tmp_path, name="counts.csv")
    (tmp_path / "counts.csv").rename(tmp_path / "counts.csv.gz")
    assert_section(sx.read(tmp_path / "counts.csv.gz", coordinates=tmp_path / "spots.csv"))


@pytest.mark.parametrize("absent", ["features.tsv", "barcodes.tsv"])
def test_matrix_market_without_a_companion(tmp_path, absent):
    write_mtx(tmp_path)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    (tmp_path / absent).unlink()
    assert f"lacks its companion {absent}" in message_of(tmp_path)


def test_matrix_market_of_another_run(tmp_path):
    write_mtx(tmp_path)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    (tmp_path / "barcodes.tsv").write_text("AAAC-1\n")
    assert "4 features and 1 barcodes" in message_of(tmp_path)


def test_a_damaged_matrix_market(tmp_path):
    write_mtx(tmp_path)
    POSITIONS.to_csv(tmp_path / "spots.csv", index=False)
    text = (tmp_path / "matrix.mtx").read_text().splitlines()
    (tmp_path / "matrix.mtx").write_text("\n".join(text[:-2]))
    assert "matrix.mtx' is not a readable MatrixMarket matrix" in message_of(tmp_path)


def test_absent_coordinates(tmp_path):
    write_pair(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"coordinates='.*gone.csv' cannot be found"):
        sx.read(tmp_path / "counts.csv", coordinates=tmp_path / "gone.csv")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["stdata.tsv", "stdata.csv.gz"])
def test_spots_named_by_their_places_need_no_coordinates(tmp_path, name, turned):
    table = COUNTS.set_axis(["10x12", "10.2x11.9", "3x7"])
    (table.T if turned else table).to_csv(tmp_path / name, sep=delimiter(name))
    adata = sx.read(tmp_path / name)
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    np.testing.assert_array_equal(adata.obsm["spatial"], [[10, 12], [10.2, 11.9], [3, 7]])
    assert sparse.isspmatrix_csr(adata.X) or adata.X.format == "csr"


def test_a_spot_that_is_named_otherwise_is_told(tmp_path):
    COUNTS.set_axis(["10x12", "unknown", "3x7"]).to_csv(tmp_path / "stdata.csv")
    with pytest.raises(InputError, match="'unknown'"):
        sx.read(tmp_path / "stdata.csv")
    COUNTS.set_axis(["10x12", "3x7", "3x7"]).to_csv(tmp_path / "stdata.csv")
    with pytest.raises(InputError, match="repeat spot '3x7'"):
        sx.read(tmp_path / "stdata.csv")
