"""Readers: one call that recognises the layout of a section on disk and returns an AnnData.

Counts (spots x genes) come back in ``X`` and a coordinate for every spot in ``obsm["spatial"]``.
Nothing is filtered except what the vendor marks as not in the tissue or not a gene.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError
from spacex.io._anndata import read_h5ad_file, read_zarr_store
from spacex.io._files import UNDERSTOOD, reading
from spacex.io._tenx import MATRIX, XENIUM_MATRIX, read_visium, read_visium_hd, read_xenium

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["read"]

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")


def read(path: str | os.PathLike[str], *, bin: str = "008um") -> AnnData:
    """Read a section, whatever its layout on disk.

    Parameters
    ----------
    path
        A ``.h5ad`` file; a ``.zarr`` store of an AnnData or of a SpatialData (its table is read); a Space
        Ranger ``outs/`` folder (or the folder that holds it); a Visium HD or a Xenium output folder.
    bin
        Size of the Visium HD bins, as in the name of their folder: ``"002um"``, ``"008um"``, ``"016um"``.

    Returns
    -------
    AnnData
        Counts, spots x genes. From vendors' folders, with ``obsm["spatial"]`` of shape (S, 2), x and y, in
        full-resolution image pixels (Visium, Visium HD) or micrometres (Xenium); for Visium also
        ``obs["array_row"]``, ``obs["array_col"]`` and, where the files are there, images and scale factors
        in ``uns["spatial"]``. Only spots in the tissue and only genes are kept; repeated gene names are made
        unique.

    Raises
    ------
    FileNotFoundError
        Nothing is at `path`.
    InputError
        What is there is not understood, incomplete, damaged, or needs an extra that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import anndata, numpy as np, spacex as sx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     anndata.AnnData(np.eye(3, dtype="float32")).write_h5ad(f"{folder}/section.h5ad")
    ...     sx.read(f"{folder}/section.h5ad").shape
    (3, 3)
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InputError(f"path={path!r} is not a path; pass {UNDERSTOOD}")
    place = Path(path).expanduser()
    # Not Path.exists, which raises where a folder on the way may not be entered.
    if not os.path.exists(place):
        raise FileNotFoundError(f"path='{place}' cannot be found; check its spelling and the working directory")
    with reading(place, "input"):
        if not os.access(place, os.R_OK):
            raise PermissionError
        return _read_folder(place, bin) if place.is_dir() else _read_file(place)


def _read_file(path: Path) -> AnnData:
    if path.suffix.casefold() == ".h5ad":
        return read_h5ad_file(path)
    if path.name.endswith((MATRIX, XENIUM_MATRIX)):
        raise InputError(f"path='{path}' holds counts without coordinates; pass the folder that holds it")
    raise InputError(f"path='{path}' is not a format that is understood; pass {UNDERSTOOD}")


def _read_folder(path: Path, bin: str) -> AnnData:
    """Try each layout by the files that mark it, the most specific first."""
    found = {entry.name for entry in path.iterdir()}
    if found.intersection(_ZARR_MARKS):
        return read_zarr_store(path, bin)
    if "binned_outputs" in found:
        return read_visium_hd(path / "binned_outputs", bin)
    if any(name.startswith("square_") for name in found):
        return read_visium_hd(path, bin)
    if XENIUM_MATRIX in found:
        return read_xenium(path)
    if any(name.endswith("feature_bc_matrix.h5") for name in found):
        return read_visium(path)
    if "outs" in found and (path / "outs").is_dir():
        return _read_folder(path / "outs", bin)
    listed = ", ".join(sorted(found)[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    raise InputError(f"path='{path}' is a folder that holds {listed or 'nothing'}; what is understood: {UNDERSTOOD}")
