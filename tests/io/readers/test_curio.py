"""Curio Seeker: beads, with the name of the sample in front of every file."""

import pandas as pd
import pytest
from tests.io.layouts import COUNTS, XY, assert_section, message_of, shifted, write_mtx, write_table

import spacex as sx

BEADS = COUNTS.set_axis(["ACGTACGTACGTAC", "CCCCACGTACGTAC", "GGGGACGTACGTAC"])


def write_curio(folder, sample="Mouse_brain_1", *, header=("", "SPATIAL_1", "SPATIAL_2"), n=0):
    """Write the files of a run; genes and barcodes are lists without anything else."""
    write_mtx(
        folder,
        BEADS * (n + 1),
        prefix=f"{sample}_",
        names=("MoleculesPerMatchedBead.mtx", "genes.tsv", "barcodes.tsv"),
        features="".join(f"{gene}\n" for gene in BEADS.columns),
    )
    table = pd.DataFrame({"": BEADS.index, "SPATIAL_1": XY[:, 0] + n, "SPATIAL_2": XY[:, 1]}).iloc[::-1]
    write_table(table, folder / f"{sample}_MatchedBeadLocation.csv", header=header)
    (folder / f"{sample}_Metrics.csv").write_text("metric,value\nreads,7\n")
    (folder / f"{sample}_cluster_assignment.txt").write_text("Bead_BC\tSeurat_cluster\nACGTACGTACGTAC\t1\n")
    (folder / f"{sample}_variable_features_clusters.txt").write_text("Mbp\n")
    return folder


@pytest.mark.parametrize("header", [("", "SPATIAL_1", "SPATIAL_2"), ("barcode", "x", "y"), False])
def test_curio(tmp_path, header):
    assert_section(sx.read(write_curio(tmp_path / "run", header=header)), BEADS, XY)


def test_several_samples(tmp_path):
    for n, sample in enumerate(("A", "A_2")):
        write_curio(tmp_path, sample, n=n)
    assert "'A', 'A_2'" in message_of(tmp_path)
    for n, sample in enumerate(("A", "A_2")):
        assert_section(sx.read(tmp_path, sample=sample), BEADS * (n + 1), shifted(XY, n))


def test_anndata_replaces_missing_counts(tmp_path):
    folder = write_curio(tmp_path)
    sx.read(folder).write_h5ad(folder / "Mouse_brain_1_anndata.h5ad")
    (folder / "Mouse_brain_1_MoleculesPerMatchedBead.mtx").unlink()
    assert_section(sx.read(folder), BEADS, XY)


@pytest.mark.parametrize("name", ["MoleculesPerMatchedBead.mtx", "MatchedBeadLocation.csv", "barcodes.tsv"])
def test_missing_file_raises(tmp_path, name):
    folder = write_curio(tmp_path)
    (folder / f"Mouse_brain_1_{name}").unlink()
    assert name in message_of(folder)
