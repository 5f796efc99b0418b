"""Readers: one call that recognises the layout of a section on disk and returns an AnnData.

Counts (spots x genes) come back in ``X`` and a coordinate for every spot in ``obsm["spatial"]``.
Nothing is filtered except what the vendor marks as not in the tissue or not a gene.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from spacex import _adata
from spacex._infra.errors import InputError, truncate
from spacex._infra.validation import check_bool, check_installed, check_name, check_path
from spacex.io._anndata import is_zarr_store, read_h5ad_file, read_zarr_store
from spacex.io._files import reading
from spacex.io._readers.h5ad import is_h5ad
from spacex.io._readers.tables import read_pair
from spacex.io._readers.visium_hd import DEFAULT_BIN
from spacex.io._registry import SUPPORTED_FORMATS, find_reader, unsupported_input_error
from spacex.io._registry import is_section as is_section
from spacex.io._request import Request
from spacex.io._spatialdata import from_spatialdata, to_spatialdata

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["from_spatialdata", "read", "to_spatialdata"]


def read(
    path: str | os.PathLike[str],
    *,
    coordinates: str | os.PathLike[str] | None = None,
    bin: str | int | None = None,
    sample: str | None = None,
    lazy: bool = False,
) -> AnnData:
    """Read a section, whatever its layout on disk.

    Parameters
    ----------
    path
        One of

        - a ``.h5ad`` file, or a ``.zarr`` store of an AnnData or of a SpatialData (its table is read);
        - Visium: the folder of Space Ranger (``outs/`` or the folder that holds it), or its files side by side, with
          or without the name of a sample in front, as in GEO;
        - Visium HD: a folder with ``binned_outputs/`` or ``segmented_outputs/`` (Space Ranger 4);
        - Xenium: a folder with ``cell_feature_matrix.h5``, or ``cell_feature_matrix/``, and a table of cells;
        - MERSCOPE (``cell_by_gene.csv``, ``cell_metadata.csv``), CosMx (``*_exprMat_file.csv``,
          ``*_metadata_file.csv``) and Curio Seeker (``*_MoleculesPerMatchedBead.mtx``, ``*_MatchedBeadLocation.csv``);
        - Stereo-seq: a ``.gem`` (recognized by its header, whatever its name), ``.gef``, ``.cellbin.gem`` or
          ``.cellbin.gef``, or a folder with one of them;
        - a folder with a file of counts (a table, a MatrixMarket file with the names of genes and spots beside it, or
          a 10x HDF5 file) and a table of coordinates, as Slide-seq, Giotto, Seurat and others write them;
        - a file of counts, with `coordinates`, or with spots named by their places, such as ``10x12`` (ST arrays).

        Tables are divided by commas, tabs, semicolons or spaces, may begin with comments (``#``), and are compressed
        by gzip, bzip2, xz, zip, or not at all.
    coordinates
        Table with a row for every spot (text or parquet): its name, x and y, and what else is known of it, which
        becomes columns of ``obs``. The column that names the spots is told by its values; numbers and text, R's
        spelling of names, and a prefix or suffix on one side alone are reconciled where that is unambiguous. Whether
        the rows or the columns of the counts are spots is told by which of them it names.
    bin
        Visium HD: size of the bins, as in the name of their folder, ``"002um"``, ``"008um"`` (default) or
        ``"016um"``, or ``"cells"`` for segmented cells. Stereo-seq: side of the square bins in DNBs of 500 nm, 50 by
        default.
    sample
        Name of one sample, as in the names of its files, where a folder holds those of several.
    lazy
        Leave ``X`` and the layers of a ``.h5ad`` file or an AnnData's ``.zarr`` store on disk, as Dask arrays, for
        sections that do not fit in memory (extra ``scale``). Everything works as on other sections, and gives
        the same results; the file must stay where it is. Counts are read in blocks of about 64 MB; only
        `sx.tl.markers`, `sx.tl.compare` and `sx.tl.impute` read them whole.

    Returns
    -------
    AnnData
        Counts, spots x genes; from all but AnnData's own formats CSR float32, with ``obsm["spatial"]`` of shape
        (S, 2), x and y. Unit: pixels of the full-resolution image (Visium, Visium HD), micrometers (Xenium,
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
    lazy = check_bool(lazy, name="lazy")
    check_name(bin, name="bin")
    check_name(sample, name="sample")
    request = Request(_existing(path, "path"), bin, None if sample is None else str(sample))
    positions = None if coordinates is None else _existing(coordinates, "coordinates")
    if lazy:
        return _in_tissue(_read_lazily(request.path, positions))
    with reading(request.path, "input"):
        if positions is not None:
            return _in_tissue(read_pair(request.path, positions))
        if sample is not None:
            request = _of_sample(request)
        found = find_reader(request)
        if found is None:
            raise unsupported_input_error(request)
        reader, request = found
        return _in_tissue(reader.read(request))


def _in_tissue(adata: AnnData) -> AnnData:
    """Leave out the spots off the tissue, and say so in one line."""
    _adata.log_off_tissue(_adata.read_tissue_mask(adata))
    kept = _adata.subset_to_tissue(adata)
    return kept if kept is adata else kept.copy()


def _of_sample(request: Request) -> Request:
    """The request for the folder of a sample, where it has one of its own; an error where nothing has its name."""
    entries = request.folder.entries if request.is_folder else []
    if not entries:
        raise InputError(f"sample={request.sample!r} names no file in path='{request.path}'; pass a part of the names")
    return Request(entries[0], request.bin) if len(entries) == 1 and entries[0].is_dir() else request


def _read_lazily(path: Path, positions: Path | None) -> AnnData:
    """Read an AnnData whose matrices stay on disk."""
    check_installed("dask", extra="scale", purpose="lazy=True")
    in_hdf5 = is_h5ad(path)
    if positions is not None or not (in_hdf5 or is_zarr_store(path)):
        raise InputError(f"path='{path}': lazy=True is for .h5ad files and .zarr stores of an AnnData; pass lazy=False")
    return read_h5ad_file(path, lazy=True) if in_hdf5 else read_zarr_store(path, DEFAULT_BIN, lazy=True)


def _existing(path: str | os.PathLike[str], name: str) -> Path:
    """Return a path that is there and may be read."""
    place = check_path(path, name=name, hint=SUPPORTED_FORMATS)
    # Not Path.exists, which raises where a folder on the way may not be entered.
    if not os.path.exists(place):
        raise FileNotFoundError(
            truncate(f"{name}='{place}' cannot be found; check its spelling and the working directory")
        )
    if not (place.is_file() or place.is_dir()):
        raise InputError(f"{name}='{place}' is neither a file nor a folder; pass {SUPPORTED_FORMATS}")
    with reading(place, "input"):
        if not os.access(place, os.R_OK):
            raise PermissionError
    return place
