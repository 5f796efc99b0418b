"""Writing an AnnData whose matrix is made row by row, so that it need not fit in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import numpy as np
from anndata import AnnData

from .. import _check
from .._check import InputError
from .._whole import whole_path


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path of a ``.h5ad`` file in a folder that is there, or `InputError`."""
    found = _check.check_path(path, name="path", mend="the name of a file that ends in .h5ad")
    if found.suffix != ".h5ad":
        raise InputError(f"path='{found}' is not allowed; pass the name of a file that ends in .h5ad")
    if not found.parent.is_dir():
        raise InputError(f"path='{found}' lies in a folder that does not exist; make it first")
    if found.is_dir():
        raise InputError(f"path='{found}' is a folder; pass the name of a file that ends in .h5ad")
    if not os.access(found.parent, os.W_OK | os.X_OK):
        raise InputError(f"path='{found}' cannot be written: no permission in '{found.parent}'; pass another folder")
    return found


def write_rows(frame: AnnData, rows: Iterable[tuple[slice, np.ndarray]], path: Path) -> AnnData:
    """Write `frame` (S, G), which has no matrix, with rows (B, G) in place of it; return it backed by the file.

    The file gets its name when it is complete.
    """
    import h5py

    with whole_path(path) as draft:
        frame.write_h5ad(draft)
        with h5py.File(draft, "r+") as file:
            if "X" in file:
                del file["X"]
            matrix = file.create_dataset("X", shape=frame.shape, dtype=np.float32)
            matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "array", "0.2.0"
            for where, values in rows:
                matrix[where] = values
    return ad.read_h5ad(path, backed="r")
