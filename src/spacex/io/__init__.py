"""Readers: `read` recognizes the layout of a section on disk and returns an AnnData.

Counts (spots x genes) are in ``X``, coordinates in ``obsm["spatial"]``. Spots outside of the tissue and features that
are not genes are dropped; nothing else is filtered.
"""

from __future__ import annotations

import os
from pathlib import Path

from anndata import AnnData

from spacex import _adata
from spacex._infra.errors import InputError, truncate
from spacex._infra.validation import check_bool, check_installed, check_name, check_path
from spacex.io._anndata import is_h5ad, is_zarr_store, read_h5ad_file, read_zarr_store
from spacex.io._files import translate_errors
from spacex.io._readers.tables import read_pair
from spacex.io._readers.visium_hd import DEFAULT_BIN
from spacex.io._registry import SUPPORTED_FORMATS, find_reader, unsupported_input_error
from spacex.io._registry import is_section as is_section
from spacex.io._request import Request
from spacex.io._spatialdata import from_spatialdata, to_spatialdata

__all__ = ["from_spatialdata", "read", "to_spatialdata"]


def read(
    path: str | os.PathLike[str],
    *,
    coordinates: str | os.PathLike[str] | None = None,
    bin: str | int | None = None,
    sample: str | None = None,
    lazy: bool = False,
) -> AnnData:
    """Read a section in any supported layout.

    Parameters
    ----------
    path
        One of

        - a ``.h5ad`` file, or a ``.zarr`` store of an AnnData or of a SpatialData (its table is read);
        - Visium: the folder of Space Ranger (``outs/`` or the folder that contains it), or its files side by side,
          with or without the name of a sample in front, as in GEO;
        - Visium HD: a folder with ``binned_outputs/`` or ``segmented_outputs/`` (Space Ranger 4);
        - Xenium: a folder with ``cell_feature_matrix.h5``, or ``cell_feature_matrix/``, and a table of cells;
        - MERSCOPE (``cell_by_gene.csv``, ``cell_metadata.csv``), CosMx (``*_exprMat_file.csv``,
          ``*_metadata_file.csv``) and Curio Seeker (``*_MoleculesPerMatchedBead.mtx``, ``*_MatchedBeadLocation.csv``);
        - Stereo-seq: a ``.gem`` (recognized by its header, whatever its name), ``.gef``, ``.cellbin.gem`` or
          ``.cellbin.gef``, or a folder with one of them;
        - a folder with a file of counts (a table, a MatrixMarket file with tables of genes and spots, or a 10x HDF5
          file) and a table of coordinates, as Slide-seq, Giotto, Seurat and others write them;
        - a file of counts, with `coordinates`, or with spots named by array position, such as ``10x12`` (ST arrays).

        Tables are delimited by commas, tabs, semicolons or spaces, may begin with comments (``#``), and may be
        compressed by gzip, bzip2, xz or zip.
    coordinates
        Table with one row per spot (text or parquet): its name, x and y; other columns are added to ``obs``. The
        column of spot names is recognized by its values. Numbers and text, R's spelling of names, and a prefix or
        suffix on one side are reconciled if that is unambiguous. The side of the counts with these names, rows or
        columns, is the spots.
    bin
        Visium HD: size of the bins, as in the name of their folder, ``"002um"``, ``"008um"`` (default) or
        ``"016um"``, or ``"cells"`` for segmented cells. Stereo-seq: side of the square bins in DNBs of 500 nm, 50 by
        default, or ``"cells"``.
    sample
        Name of one sample, as in its file names, if a folder holds several.
    lazy
        Leave ``X`` and the layers of a ``.h5ad`` file or an AnnData's ``.zarr`` store on disk, as Dask arrays, for
        sections that do not fit in memory (extra ``scale``). All functions accept such sections and give the same
        results; the file must stay where it is. Counts are read in blocks of about 64 MB; only `sx.tl.markers`,
        `sx.tl.compare` and `sx.tl.impute` read them whole.

    Returns
    -------
    AnnData
        Counts, spots x genes. All layouts except AnnData's own formats give CSR float32, and ``obsm["spatial"]`` of
        shape (S, 2), x and y, in pixels of the full-resolution image (Visium, Visium HD), micrometers (Xenium,
        MERSCOPE), pixels of the instrument (CosMx), DNBs (Stereo-seq), or the unit of the table.

        Visium also has ``obs["array_row"]``, ``obs["array_col"]`` and, if the files exist, images and scale factors
        in ``uns["spatial"]``. Cells have the vendor's columns, such as ``obs["fov"]``, ``obs["volume"]``,
        ``obs["Area"]`` or ``obs["cell_area"]``. Spots outside of the tissue and features that are not genes (blanks,
        negative and system controls) are dropped; repeated gene names are made unique.

    Raises
    ------
    FileNotFoundError
        `path` or `coordinates` does not exist.
    InputError
        The input is not supported, incomplete or damaged, or needs an extra that is not installed.

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
    request = Request(_check_readable(path, "path"), bin, None if sample is None else str(sample))
    positions = None if coordinates is None else _check_readable(coordinates, "coordinates")
    if lazy:
        return _drop_off_tissue(_read_lazily(request.path, positions))
    with translate_errors(request.path, "input"):
        if positions is not None:
            return _drop_off_tissue(read_pair(request.path, positions))
        if sample is not None:
            request = _select_sample(request)
        match = find_reader(request)
        if match is None:
            raise unsupported_input_error(request)
        reader, request = match
        return _drop_off_tissue(reader.read(request))


def _drop_off_tissue(adata: AnnData) -> AnnData:
    """Drop the spots outside of the tissue, and log their number."""
    _adata.log_off_tissue(_adata.read_tissue_mask(adata))
    on_tissue = _adata.subset_to_tissue(adata)
    return on_tissue if on_tissue is adata else on_tissue.copy()


def _select_sample(request: Request) -> Request:
    """Return the request for the folder of a sample, if it has one; an error if no file has its name."""
    paths = request.folder.paths if request.is_folder else []
    if not paths:
        raise InputError(f"sample={request.sample!r} names no file in path='{request.path}'; pass part of a file name")
    return Request(paths[0], request.bin) if len(paths) == 1 and paths[0].is_dir() else request


def _read_lazily(path: Path, positions: Path | None) -> AnnData:
    """Read an AnnData whose matrices stay on disk."""
    check_installed("dask", extra="scale", purpose="lazy=True")
    if positions is None and is_h5ad(path):
        return read_h5ad_file(path, lazy=True)
    if positions is None and is_zarr_store(path):
        return read_zarr_store(path, DEFAULT_BIN, lazy=True)
    raise InputError(f"path='{path}': lazy=True is for .h5ad files and .zarr stores of an AnnData; pass lazy=False")


def _check_readable(path: str | os.PathLike[str], name: str) -> Path:
    """Return the path of a file or folder that exists and may be read."""
    checked = check_path(path, name=name, hint=SUPPORTED_FORMATS)
    if not os.path.exists(checked):  # Path.exists raises if a parent folder may not be entered
        raise FileNotFoundError(
            truncate(f"{name}='{checked}' cannot be found; check its spelling and the working directory")
        )
    if not (checked.is_file() or checked.is_dir()):
        raise InputError(f"{name}='{checked}' is neither a file nor a folder; pass {SUPPORTED_FORMATS}")
    with translate_errors(checked, "input"):
        if not os.access(checked, os.R_OK):
            raise PermissionError
    return checked
