"""Visium: folders of Space Ranger, and its files side by side as in GEO."""

import logging

import h5py
import pandas as pd
import pytest
from tests.io.layouts import (
    COUNTS,
    PIXELS,
    TISSUE_POSITIONS,
    assert_section,
    compress_file,
    message_of,
    shifted,
    write_10x_h5,
    write_images,
    write_mtx,
    write_old_10x_h5,
    write_space_ranger,
    write_tissue_positions,
)

import spacex as sx

POSITIONS = ["tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions.parquet"]
MATRICES = [f"{kind}_feature_bc_matrix{form}" for kind in ("filtered", "raw") for form in (".h5", "")]
CONTROLS = COUNTS.set_axis(["Mbp", "Plp1", "Mbp", "NegControlProbe_1"], axis=1)
TYPES = ["Gene Expression"] * 3 + ["Negative Control Probe"]


# The folder of Space Ranger


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("above", [False, True], ids=["outs", "above"])
def test_space_ranger(tmp_path, positions, matrix, above):
    write_space_ranger(tmp_path / "brain" / "outs", positions=positions, matrix=matrix)
    adata = sx.read(tmp_path / "brain" if above else tmp_path / "brain" / "outs")
    assert_section(adata, xy=PIXELS)
    assert adata.var["gene_ids"].tolist() == ["ENS0", "ENS1", "ENS2", "ENS3"]
    assert adata.obs.to_dict("list") == {"in_tissue": [1, 1, 1], "array_row": [0, 1, 2], "array_col": [0, 3, 4]}
    entry = adata.uns["spatial"]["brain"]
    assert entry["images"]["hires"].shape[:2] == (4, 5)
    assert entry["images"]["lowres"].shape[:2] == (2, 3)
    assert entry["scalefactors"] == {"tissue_hires_scalef": 0.1}


def test_round_trip(tmp_path):
    sx.read(write_space_ranger(tmp_path / "brain" / "outs")).write_h5ad(tmp_path / "again.h5ad")
    assert sx.read(tmp_path / "again.h5ad").uns["spatial"]["brain"]["images"]["hires"].shape[:2] == (4, 5)


def test_without_images(tmp_path):
    adata = sx.read(write_space_ranger(tmp_path / "brain", images=False))
    assert adata.uns["spatial"]["brain"] == {"images": {}, "scalefactors": {}, "metadata": {}}


@pytest.mark.parametrize("matrix", ["raw_feature_bc_matrix.h5", "raw_feature_bc_matrix"])
def test_spots_off_tissue_are_dropped(tmp_path, matrix):
    every = pd.concat([COUNTS, COUNTS.iloc[:1].set_axis(["TTTT-1"])])
    assert_section(sx.read(write_space_ranger(tmp_path / "outs", every, matrix=matrix)), xy=PIXELS)


def test_controls_are_dropped_and_gene_names_made_unique(tmp_path, caplog, recwarn):
    folder = write_space_ranger(tmp_path / "outs")
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5", CONTROLS, types=TYPES)
    with caplog.at_level(logging.INFO, logger="spacex"):
        adata = sx.read(folder)
    assert_section(adata, CONTROLS.iloc[:, :3].set_axis(["Mbp", "Plp1", "Mbp-1"], axis=1))
    assert adata.var["gene_ids"].tolist() == ["ENS0", "ENS1", "ENS2"]
    assert "1 repeated gene name(s)" in caplog.text
    assert not [warning for warning in recwarn if "not unique" in str(warning.message)]


# Variants of the 10x HDF5 format


@pytest.mark.parametrize("data", ["f8", "f4", "i8", "u2", "u1", "u8"])
@pytest.mark.parametrize("indices", ["i8", "i4", "u4", "f8"])
def test_dtypes_of_the_matrix(tmp_path, data, indices):
    folder = write_space_ranger(tmp_path / "outs")
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5", data=data, indices=indices)
    assert_section(sx.read(folder), xy=PIXELS)


@pytest.mark.parametrize("without", [["genome"], ["feature_type"], ["genome", "feature_type", "id"], ["name"]])
def test_missing_feature_columns(tmp_path, without):
    folder = write_space_ranger(tmp_path / "outs")
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5", without=without)
    genes = [f"ENS{i}" for i in range(4)] if "name" in without else COUNTS.columns
    assert_section(sx.read(folder), COUNTS.set_axis(genes, axis=1), xy=PIXELS)


def test_version_2_of_the_format(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    write_old_10x_h5(folder / "filtered_feature_bc_matrix.h5")
    adata = sx.read(folder)
    assert_section(adata, xy=PIXELS)
    assert adata.var["gene_ids"].tolist() == ["ENS0", "ENS1", "ENS2", "ENS3"]
    write_old_10x_h5(folder / "filtered_feature_bc_matrix.h5", genomes=("GRCh38", "mm10"))
    assert "GRCh38, mm10" in message_of(folder)


@pytest.mark.parametrize("kind", ["Antibody Capture", "protein_coding"])
def test_features_are_kept_if_none_is_a_gene(tmp_path, kind):
    folder = write_space_ranger(tmp_path / "outs")
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5", types=[kind] * 4)
    assert_section(sx.read(folder), xy=PIXELS)


def test_invalid_matrix_raises(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        file.create_group("matrix")
    assert "must hold one 10x matrix" in message_of(folder)
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5", without=["id", "name"])
    assert "no feature names" in message_of(folder)
    write_10x_h5(folder / "filtered_feature_bc_matrix.h5")
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "a") as file:
        file["matrix/indices"][0] = 99
    assert "filtered_feature_bc_matrix.h5' is" in message_of(folder)


# Files side by side, as in GEO


def write_geo(folder, sample, *, form=".h5", suffix=".gz", spatial="", positions="tissue_positions_list.csv", n=0):
    """Write the files of a sample, with its name in front; `n` shifts pixels and multiplies counts."""
    prefix = f"{sample}_" if sample else ""
    counts = COUNTS * (n + 1)
    if form == ".h5":
        matrix = write_10x_h5(folder / f"{prefix}filtered_feature_bc_matrix.h5", counts)
        if suffix:
            compress_file(matrix, suffix)
    else:
        write_mtx(folder, counts, prefix=prefix, suffix=suffix)
    inside = folder / spatial.format(sample)
    if "{}" in spatial:
        prefix = ""
    shifted = TISSUE_POSITIONS.assign(pxl_col_in_fullres=TISSUE_POSITIONS["pxl_col_in_fullres"] + n)
    file = write_tissue_positions(inside / f"{prefix}{positions}", shifted)
    if suffix and file.suffix == ".csv":
        compress_file(file, suffix)
    write_images(inside, prefix=prefix, suffix=suffix, scale=(n + 1) / 10, width=5 + n)


def assert_geo(adata, sample, n=0):
    assert_section(adata, COUNTS * (n + 1), shifted(PIXELS, n))
    ((name, entry),) = adata.uns["spatial"].items()
    assert name == sample
    assert entry["images"]["hires"].shape[1] == 5 + n
    assert entry["scalefactors"] == {"tissue_hires_scalef": (n + 1) / 10}


@pytest.mark.parametrize("sample", ["", "GSM1_S1", "V1-brain"])
@pytest.mark.parametrize("form", [".h5", ".mtx"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("spatial", ["", "spatial", "{}_spatial"])
def test_files_of_one_sample(tmp_path, sample, form, suffix, spatial):
    write_geo(tmp_path / "GSE1", sample, form=form, suffix=suffix, spatial=spatial if sample else spatial[-7:])
    assert_geo(sx.read(tmp_path / "GSE1"), "GSE1")


@pytest.mark.parametrize("form", [".h5", ".mtx"])
@pytest.mark.parametrize("spatial", ["", "spatial", "{}_spatial"])
@pytest.mark.parametrize(
    "samples",
    [["GSM1_S1", "GSM2_S10", "GSM3_S2"], ["A1", "A1_left", "B"]],
    ids=["numbered", "one name in another"],
)
def test_several_samples(tmp_path, form, spatial, samples):
    for n, sample in enumerate(samples):
        write_geo(tmp_path / "GSE1", sample, form=form, spatial=spatial, n=n)
    message = message_of(tmp_path / "GSE1")
    for sample in samples if form == ".h5" else samples[2:]:
        assert repr(sample) in message
    assert "sample=" in message
    for n, sample in enumerate(samples):
        if form == ".h5" or "A1" not in samples:
            assert_geo(sx.read(tmp_path / "GSE1", sample=sample), sample, n)


def test_sample_by_part_of_its_name(tmp_path):
    for n, sample in enumerate(["GSM1_S1", "GSM2_S10"]):
        write_geo(tmp_path, sample, n=n)
    assert_geo(sx.read(tmp_path, sample="S1"), "GSM1_S1")
    assert_geo(sx.read(tmp_path, sample="GSM2"), "GSM2_S10", 1)
    assert "sample='S3' names no file" in message_of(tmp_path, sample="S3")
    assert "several samples" in message_of(tmp_path, sample="GSM")


def test_sample_with_raw_matrix_only(tmp_path):
    write_geo(tmp_path, "A")
    write_geo(tmp_path, "B", n=1)
    (tmp_path / "B_filtered_feature_bc_matrix.h5.gz").rename(tmp_path / "B_raw_feature_bc_matrix.h5.gz")
    assert "'A', 'B'" in message_of(tmp_path)
    assert_geo(sx.read(tmp_path, sample="B"), "B", 1)


def test_positions_of_another_sample_are_not_used(tmp_path):
    """All slides have the same barcodes: positions of another sample would match."""
    write_geo(tmp_path, "A")
    write_10x_h5(tmp_path / "B_filtered_feature_bc_matrix.h5")
    assert "B_filtered_feature_bc_matrix.h5" in message_of(tmp_path, sample="B")
    write_tissue_positions(tmp_path / "spatial" / "tissue_positions.csv")
    assert "B_filtered_feature_bc_matrix.h5" in message_of(tmp_path, sample="B")


def test_file_names_of_public_downloads(tmp_path):
    name = "V1_Mouse_Brain_filtered_feature_bc_matrix.h5"
    assert_section(sx.read(write_space_ranger(tmp_path / "download", matrix=name)), xy=PIXELS)


# Damaged or incomplete folders


def test_missing_positions_raise(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    (folder / "spatial" / "tissue_positions.csv").unlink()
    assert "tissue_positions_list.csv" in message_of(folder)


def test_missing_column_raises(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    write_tissue_positions(folder / "spatial" / "tissue_positions.csv", TISSUE_POSITIONS.drop(columns="array_col"))
    assert "array_col" in message_of(folder)


@pytest.mark.parametrize("name", ["scalefactors_json.json", "tissue_hires_image.png", "tissue_positions.csv"])
@pytest.mark.parametrize("content", [b"", b"{\x00"])
def test_damaged_companion_raises(tmp_path, name, content):
    folder = write_space_ranger(tmp_path / "outs")
    (folder / "spatial" / name).write_bytes(content)
    assert name in message_of(folder)


def test_matrix_without_coordinates_raises(tmp_path):
    folder = write_space_ranger(tmp_path / "outs")
    assert "pass the folder" in message_of(folder / "filtered_feature_bc_matrix.h5")
