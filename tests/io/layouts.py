"""A small section, and functions that write it in the layouts of the vendors."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.image import imsave
from scipy import sparse
from scipy.io import mmwrite

import spacex as sx
from spacex import InputError

SPOTS = ["AAAC-1", "CCCG-1", "GGGT-1"]
GENES = ["Mbp", "NA", "1700001K19Rik", "Plp1"]
COUNTS = pd.DataFrame([[1, 0, 2, 0], [0, 3, 0, 7], [4, 0, 0, 0]], index=SPOTS, columns=GENES)
XY = np.array([[1.5, 10], [2.25, 20], [3, 30]])

POSITIONS = pd.DataFrame(  # in another order than the counts, with a spot that has no counts
    {
        "barcode": ["TTTT-1", "GGGT-1", "AAAC-1", "CCCG-1"],
        "x": [9.5, 3, 1.5, 2.25],
        "y": [0, 30, 10, 20],
        "layer": [*"dcab"],
    }
)
TISSUE_POSITIONS = pd.DataFrame(  # the first spot is off the tissue
    {
        "barcode": ["TTTT-1", "GGGT-1", "AAAC-1", "CCCG-1"],
        "in_tissue": [0, 1, 1, 1],
        "array_row": [5, 2, 0, 1],
        "array_col": [9, 4, 0, 3],
        "pxl_row_in_fullres": [90, 30, 10, 20],
        "pxl_col_in_fullres": [900, 300, 100, 200],
    }
)
PIXELS = np.array([[100, 10], [200, 20], [300, 30]])  # x is the column of the image


def to_anndata(counts: pd.DataFrame = COUNTS, xy: np.ndarray = XY) -> AnnData:
    """Return the section as AnnData."""
    adata = AnnData(sparse.csr_matrix(counts.to_numpy(dtype=np.float32)), counts[[]], counts.T[[]])
    adata.obsm["spatial"] = np.array(xy, dtype=float)
    return adata


def assert_section(adata: AnnData, counts: pd.DataFrame = COUNTS, xy: Any = None) -> None:
    """Check counts, names and coordinates of a section."""
    assert sparse.issparse(adata.X)
    assert adata.obs_names.name is None
    assert adata.var_names.name is None
    assert adata.X.format == "csr"
    assert adata.X.dtype == np.float32
    assert (adata.X.data != 0).all()
    assert adata.obs_names.tolist() == [str(name) for name in counts.index]
    assert adata.var_names.tolist() == [str(name) for name in counts.columns]
    np.testing.assert_array_equal(adata.X.toarray(), counts)
    if xy is not None:
        np.testing.assert_array_equal(adata.obsm["spatial"], xy)


def shifted(xy: np.ndarray, n: float) -> np.ndarray:
    """Return coordinates shifted to the right, as those of another sample."""
    return xy + np.array([n, 0])


def message_of(path: Path, **options: Any) -> str:
    """Return the message of the `InputError` that reading raises: one line, and not the one for unexpected errors."""
    with pytest.raises(InputError) as caught:
        sx.read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "not a readable input" not in message
    return message


def compressed(data: bytes, suffix: str, name: str = "table.csv") -> bytes:
    """Compress data in the format of a file suffix."""
    match suffix.rpartition(".")[2]:
        case "gz":
            return gzip.compress(data)
        case "bz2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zip":
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as file:
                file.writestr(name, data)
            return archive.getvalue()
    return data


def write_table(table: pd.DataFrame, path: Path, **options: Any) -> Path:
    """Write a table, with the delimiter and compression of its suffix."""
    defaults = {"sep": "," if ".csv" in path.name else "\t", "index": False}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compressed(table.to_csv(**{**defaults, **options}).encode(), path.name))
    return path


def compress_file(path: Path, suffix: str = ".gz") -> Path:
    """Compress a file, and append the suffix to its name."""
    target = path.with_name(path.name + suffix)
    target.write_bytes(compressed(path.read_bytes(), suffix))
    path.unlink()
    return target


def write_10x_h5(
    path: Path,
    counts: pd.DataFrame = COUNTS,
    *,
    types: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    data: Any = "i4",
    indices: Any = "i8",
    without: Sequence[str] = (),
) -> Path:
    """Write version 3 of the HDF5 matrix of 10x Genomics (genes x barcodes, by columns)."""
    matrix = sparse.csc_matrix(counts.to_numpy().T)
    names = [str(name) for name in counts.columns]
    features = {
        "id": ids or [f"ENS{i}" for i in range(len(names))],
        "name": names,
        "feature_type": types or ["Gene Expression"] * len(names),
        "genome": ["GRCm39"] * len(names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["library_ids"] = np.array([b"sample"])
        group = file.create_group("matrix")
        group["barcodes"] = np.array([str(name) for name in counts.index], dtype="S")
        group["data"] = matrix.data.astype(data)
        group["indices"], group["indptr"] = matrix.indices.astype(indices), matrix.indptr.astype(indices)
        group["shape"] = np.array(matrix.shape, dtype=indices)
        group.create_group("features")["_all_tag_keys"] = np.array([b"genome"])
        for name, values in features.items():
            if name not in without:
                group[f"features/{name}"] = np.array(values, dtype="S")
    return path


def write_old_10x_h5(path: Path, counts: pd.DataFrame = COUNTS, genomes: Sequence[str] = ("mm10",)) -> Path:
    """Write version 2 of the format, with one group per genome."""
    matrix = sparse.csc_matrix(counts.to_numpy().T)
    with h5py.File(path, "w") as file:
        for genome in genomes:
            file[f"{genome}/barcodes"] = np.array(list(counts.index), dtype="S")
            file[f"{genome}/genes"] = np.array([f"ENS{i}" for i in range(counts.shape[1])], dtype="S")
            file[f"{genome}/gene_names"] = np.array(list(counts.columns), dtype="S")
            file[f"{genome}/shape"] = np.array(matrix.shape, dtype="i4")
            for name in ("data", "indices", "indptr"):
                file[f"{genome}/{name}"] = getattr(matrix, name)
    return path


def write_mtx(
    folder: Path,
    counts: pd.DataFrame = COUNTS,
    *,
    prefix: str = "",
    names: tuple[str, str, str] = ("matrix.mtx", "features.tsv", "barcodes.tsv"),
    features: str | None = None,
    barcodes: str | None = None,
    suffix: str = "",
    transpose: bool = True,
) -> Path:
    """Write counts as Cell Ranger does, genes x barcodes; `features` and `barcodes` replace the text of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix = sparse.coo_matrix(counts.to_numpy())
    text = io.BytesIO()
    mmwrite(text, matrix.T if transpose else matrix, field="integer")
    lines = [f"ENS{i}\t{gene}\tGene Expression\n" for i, gene in enumerate(counts.columns)]
    features = "".join(lines) if features is None else features
    barcodes = "".join(f"{spot}\n" for spot in counts.index) if barcodes is None else barcodes
    for name, data in zip(names, (text.getvalue(), features.encode(), barcodes.encode()), strict=True):
        (folder / f"{prefix}{name}{suffix}").write_bytes(compressed(data, suffix))
    return folder


def write_images(folder: Path, *, prefix: str = "", suffix: str = "", scale: float = 0.1, width: int = 5) -> None:
    """Write the images and scale factors of ``spatial/``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}scalefactors_json.json").write_text(json.dumps({"tissue_hires_scalef": scale}))
    imsave(folder / f"{prefix}tissue_hires_image.png", np.zeros((4, width, 3)))
    imsave(folder / f"{prefix}tissue_lowres_image.png", np.zeros((2, 3, 3)))
    for name in ("scalefactors_json.json", "tissue_hires_image.png", "tissue_lowres_image.png"):
        if suffix:
            compress_file(folder / f"{prefix}{name}", suffix)


def write_tissue_positions(path: Path, positions: pd.DataFrame = TISSUE_POSITIONS) -> Path:
    """Write positions with header, without (``_list``, before Space Ranger 2.0), or as parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        positions.to_parquet(path, index=False)
        return path
    return write_table(positions, path, header="_list" not in path.name)


def write_space_ranger(
    folder: Path,
    counts: pd.DataFrame = COUNTS,
    *,
    positions: str = "tissue_positions.csv",
    images: bool = True,
    matrix: str = "filtered_feature_bc_matrix.h5",
) -> Path:
    """Write an output folder of Space Ranger."""
    if matrix.endswith(".h5"):
        write_10x_h5(folder / matrix, counts)
    else:
        write_mtx(folder / matrix, counts, suffix=".gz")
    write_tissue_positions(folder / "spatial" / positions)
    if images:
        write_images(folder / "spatial")
    return folder
