"""Write an AnnData block by block, so that its matrix need not fit in memory."""

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
    """Return the path of a ``.h5ad`` file that can be written, or raise `InputError`."""
    if check_path(path, name="path", hint="the name of a file that ends in .h5ad").suffix != ".h5ad":
        raise InputError(f"path='{path}' is not allowed; pass the name of a file that ends in .h5ad")
    return check_output_file(path, name="path", example="imputed.h5ad")


def write_blocks(result: AnnData, blocks: Iterable[tuple[slice, np.ndarray]], path: Path) -> AnnData:
    """Write `result` (S, G), which has no matrix, with the matrix given as blocks of rows (B, G).

    The file appears under its name only when it is complete. Returns the result backed by the file.
    """
    import h5py

    with atomic_path(path) as draft:
        result.write_h5ad(draft)
        with h5py.File(draft, "r+") as file:
            if "X" in file:
                del file["X"]
            matrix = file.create_dataset("X", shape=result.shape, dtype=np.float32)
            matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "array", "0.2.0"
            for rows, values in blocks:
                matrix[rows] = values
    return ad.read_h5ad(path, backed="r")
