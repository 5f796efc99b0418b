"""Readers: one call that recognises the layout of a section on disk and returns an AnnData.

Counts (spots x genes) come back in ``X`` and a coordinate for every spot in ``obsm["spatial"]``.
Nothing is filtered except what the vendor marks as not in the tissue or not a gene.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError, check_extra, check_flag, check_key, check_path, shortened
from spacex.io._anndata import read_h5ad_file, read_zarr_store
from spacex.io._cell_tables import VENDORS, find_tables, read_cell_tables
from spacex.io._files import UNDERSTOOD, listed, reading
from spacex.io._spatialdata import from_spatialdata, to_spatialdata
from spacex.io._stereoseq import FORMS, read_stereoseq
from spacex.io._tables import find_pair, read_array_table, read_pair
from spacex.io._tenx import DEFAULT_BIN, XENIUM_MATRIX, read_visium, read_visium_hd, read_xenium, visium_matrices

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["from_spatialdata", "read", "to_spatialdata"]

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")


def read(
    path: str | os.PathLike[str],
    *,
    coordinates: str | os.PathLike[str] | None = None,
    bin: str | int | None = None,
    lazy: bool = False,
) -> AnnData:
    """Read a section, whatever its layout on disk.

    Parameters
    ----------
    path
        One of

        - a ``.h5ad`` file, or a ``.zarr`` store of an AnnData or of a SpatialData (its table is read);
        - an output folder of Space Ranger (``outs/`` or the folder that holds it), Visium HD or Xenium;
        - a folder of MERSCOPE (``cell_by_gene.csv``, ``cell_metadata.csv``) or CosMx (``*_exprMat_file.csv``,
          ``*_metadata_file.csv``), the tables gzipped or not;
        - a Stereo-seq file, ``.gem``, ``.gem.gz``, ``.gef`` or ``.cellbin.gef``, or a folder with one of them;
        - a folder with a file of counts (CSV or TSV, gzipped or not, or ``matrix.mtx`` with its features and
          barcodes) and a table of coordinates;
        - a file of counts, with `coordinates`, or with spots named by their places, such as ``10x12`` (ST arrays).
    coordinates
        Table with a row for every spot (CSV, TSV or parquet): its name, x and y, and what else is known of it,
        which becomes columns of ``obs``. Whether the rows or the columns of the counts are spots is told by which
        of them it names.
    bin
        Visium HD: size of the bins, as in the name of their folder, ``"002um"``, ``"008um"`` (default) or
        ``"016um"``. Stereo-seq: side of the square bins in DNBs of 500 nm, 50 by default.
    lazy
        Leave ``X`` and the layers of a ``.h5ad`` file or an AnnData's ``.zarr`` store on disk, as Dask arrays, for
        sections that do not fit in memory (extra ``scale``). Everything works as on other sections, and gives
        the same results; the file must stay where it is. Counts are read in blocks of about 64 MB; only
        `sx.tl.markers`, `sx.tl.compare` and `sx.tl.impute` read them whole.

    Returns
    -------
    AnnData
        Counts, spots x genes; from all but AnnData's own formats CSR float32, with ``obsm["spatial"]`` of shape
        (S, 2), x and y. Unit: pixels of the full-resolution image (Visium, Visium HD), micrometres (Xenium,
        MERSCOPE), pixels of the instrument (CosMx), DNBs (Stereo-seq), or that of the table.

        Visium also has ``obs["array_row"]``, ``obs["array_col"]`` and, where the files are there, images and scale
        factors in ``uns["spatial"]``; cells have what the vendor knows of them, such as ``obs["fov"]``,
        ``obs["volume"]``, ``obs["Area"]`` or ``obs["cell_area"]``. Only spots in the tissue and only genes are kept
        (no blank, negative or system controls); repeated gene names are made unique.

    Raises
    ------
    FileNotFoundError
        Nothing is at `path` or at `coordinates`.
    InputError
        What is there is not understood, incomplete, damaged, or needs an extra that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd, spacex as sx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pd.DataFrame({"s1": [3, 0], "s2": [1, 2]}, index=["Mbp", "Plp1"]).to_csv(f"{folder}/counts.csv")
    ...     pd.DataFrame({"barcode": ["s1", "s2"], "x": [0, 1], "y": [5, 5]}).to_csv(f"{folder}/spots.csv", index=False)
    ...     adata = sx.read(folder)
    >>> adata.shape, list(adata.var_names), adata.obsm["spatial"].tolist()
    ((2, 2), ['Mbp', 'Plp1'], [[0.0, 5.0], [1.0, 5.0]])
    """
    lazy = check_flag(lazy, name="lazy")
    check_key(bin, name="bin")
    place = _existing(path, "path")
    positions = None if coordinates is None else _existing(coordinates, "coordinates")
    if lazy:
        return _read_lazily(place, positions)
    with reading(place, "input"):
        if positions is not None:
            return read_pair(place, positions)
        return _read_folder(place, bin) if place.is_dir() else _read_file(place, bin)


def _read_lazily(path: Path, positions: Path | None) -> AnnData:
    """Read an AnnData whose matrices stay on disk."""
    check_extra("dask", extra="scale", purpose="lazy=True")
    h5ad = path.suffix.casefold() == ".h5ad"
    store = path.is_dir() and any((path / mark).exists() for mark in _ZARR_MARKS)
    if positions is not None or not (h5ad or store):
        raise InputError(f"path='{path}': lazy=True is for .h5ad files and .zarr stores of an AnnData; pass lazy=False")
    return read_h5ad_file(path, lazy=True) if h5ad else read_zarr_store(path, DEFAULT_BIN, lazy=True)


def _existing(path: str | os.PathLike[str], name: str) -> Path:
    """Return a path that is there and may be read."""
    place = check_path(path, name=name, mend=UNDERSTOOD)
    # Not Path.exists, which raises where a folder on the way may not be entered.
    if not os.path.exists(place):
        raise FileNotFoundError(
            shortened(f"{name}='{place}' cannot be found; check its spelling and the working directory")
        )
    if not (place.is_file() or place.is_dir()):
        raise InputError(f"{name}='{place}' is neither a file nor a folder; pass {UNDERSTOOD}")
    with reading(place, "input"):
        if not os.access(place, os.R_OK):
            raise PermissionError
    return place


def _read_file(path: Path, bin: str | int | None) -> AnnData:
    if bin is not None and not path.name.casefold().endswith(FORMS):
        raise InputError(f"bin={bin!r} does not apply to '{path}', which has no bins; leave it out")
    if path.suffix.casefold() == ".h5ad":
        return read_h5ad_file(path)
    if path.name.casefold().endswith(FORMS):
        return read_stereoseq(path, bin)
    return read_array_table(path)


def is_section(folder: Path) -> bool:
    """Whether the files of a folder make one section of a layout that `read` recognises."""
    with suppress(InputError):  # tables that may be anything
        return _reader(folder, None) is not None or find_pair(folder) is not None
    return False


def _read_folder(path: Path, bin: str | int | None) -> AnnData:
    if (reader := _reader(path, bin)) is not None:
        return reader()
    if (pair := find_pair(path)) is not None:
        return read_pair(*pair)
    found = [entry.name for entry in path.iterdir()]
    shown = ", ".join(sorted(found)[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    raise InputError(f"path='{path}' is a folder that holds {shown or 'nothing'}; what is understood: {UNDERSTOOD}")


def _reader(path: Path, bin: str | int | None) -> Callable[[], AnnData] | None:
    """What reads a vendor's folder: each layout by the files that mark it, the most specific first."""
    found = {entry.name for entry in path.iterdir()}
    size = DEFAULT_BIN if bin is None else str(bin)
    if found.intersection(_ZARR_MARKS):
        return partial(read_zarr_store, path, size)
    if "binned_outputs" in found:
        return partial(read_visium_hd, path / "binned_outputs", size)
    if any(name.startswith("square_") for name in found):
        return partial(read_visium_hd, path, size)
    if XENIUM_MATRIX in found:
        return partial(read_xenium, path)
    if visium_matrices(path):
        return partial(read_visium, path)
    if "outs" in found and (path / "outs").is_dir():
        return partial(_read_folder, path / "outs", bin)
    for vendor in VENDORS:
        if any(find_tables(path, vendor).values()):
            return partial(read_cell_tables, path, vendor)
    chips = sorted(name for name in found if name.casefold().endswith(FORMS))
    if len(chips) > 1:
        raise InputError(f"path='{path}' holds several Stereo-seq files, {listed(chips)}; pass one of them")
    return partial(read_stereoseq, path / chips[0], bin) if chips else None
