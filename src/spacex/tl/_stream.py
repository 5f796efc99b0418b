"""Writing an AnnData whose matrix is made row by row, so that it need not fit in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
from anndata import AnnData

from spacex._infra.atomic_write import atomic_path
from spacex._infra.errors import InputError
from spacex._infra.validation import check_output_file, check_path


def check_h5ad(path: str | os.PathLike[str]) -> Path:
    """The path of a ``.h5ad`` file that can be written, or `InputError`."""
    if check_path(path, name="path", hint="the name of a file that ends in .h5ad").suffix != ".h5ad":
        raise InputError(f"path='{path}' is not allowed; pass the name of a file that ends in .h5ad")
    return check_output_file(path, name="path", example="imputed.h5ad")


def write_rows(frame: AnnData, rows: Iterable[tuple[slice, np.ndarray]], path: Path) -> AnnData:
    """Write `frame` (S, G), which has no matrix, with rows (B, G) in place of it; return it backed by the file.

    The file gets its name when it is complete.
    """
    import h5py

    with atomic_path(path) as draft:
        frame.write_h5ad(draft)
        with h5py.File(draft, "r+") as file:
            if "X" in file:
                del file["X"]
            matrix = file.create_dataset("X", shape=frame.shape, dtype=np.float32)
            matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "array", "0.2.0"
            for where, values in rows:
                matrix[where] = values
    return ad.read_h5ad(path, backed="r")
