"""Counts and coordinates in separate tables, as Slide-seq, Giotto, Seurat and others write them.

Files: counts (delimited text, MatrixMarket with its companions, 10x HDF5, or ``.h5ad`` with ``coordinates=``) and a
coordinate table (delimited text or parquet), in one folder or passed one by one; or counts of Spatial Transcriptomics
arrays, with spots named by their position, such as ``10x12``.
Read: counts of genes, coordinates in the unit of the table, its other columns, and images in ``spatial/``.
Ignored: other features than genes, and all other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex.io._anndata import is_h5ad, read_h5ad_file
from spacex.io._counts import clear_index_names, make_gene_names_unique, read_count_table, transpose
from spacex.io._files import join_names
from spacex.io._folder import Entry, Folder, is_of_sample, sample_names, several_samples_error
from spacex.io._matrix_market import find_companions, is_companion, is_matrix_market, read_matrix_market
from spacex.io._position_join import check_unique_rows, join_positions, orient_counts
from spacex.io._positions import ARRAY_NAME, is_position_table, read_positions
from spacex.io._readers.visium import POSITIONS, SUBFOLDERS, read_images
from spacex.io._request import Request
from spacex.io._ten_x import is_10x_h5, read_10x_h5
from spacex.io._text_tables import is_text_table, read_header

LAYOUT = "counts (.csv, .tsv, .txt, .mtx, .h5) with a table of coordinates, in one folder or as coordinates="
FILES: tuple[str, ...] = ("*.mtx*", "*.csv*", "*.tsv*", "*.txt*")
_NOT_TABLES = ("readme", "license", "metrics", "web_summary")


def sniff(request: Request) -> bool:
    """Whether a file may hold counts, or a folder holds such files."""
    if not request.is_folder:
        return _is_counts(request.path)
    return any(path.is_file() and (_is_table(path) or _is_counts(path)) for path in request.folder.paths)


def _is_counts(path: Path) -> bool:
    return len(read_header(path).names) > 1 if is_text_table(path) else _is_matrix(path)


def _is_matrix(path: Path) -> bool:
    return is_matrix_market(path) or is_10x_h5(path)


def _is_table(path: Path) -> bool:
    return is_text_table(path) and not is_companion(path) and not path.name.casefold().startswith(_NOT_TABLES)


def read(request: Request) -> AnnData:
    """Read counts and coordinates, or counts of an array."""
    request.reject_bin()
    if request.is_folder:
        return read_pair(*find_pair(request.folder), request.sample)
    if is_text_table(request.path) and _is_array(request.path):
        return _read_array(request.path)
    raise InputError(
        f"path='{request.path}' has no coordinates with it; if it holds counts, pass the folder of both files or the "
        "coordinates: sx.read(counts, coordinates=positions)"
    )


def read_pair(counts: Path, coordinates: Path, sample: str | None = None) -> AnnData:
    """Read counts in any format, with either side as spots, and the coordinates of another file."""
    positions = read_positions(coordinates)
    adata = orient_counts(_read_counts(counts, list(positions.table)), positions, counts)
    adata = join_positions(adata, positions)
    folder = Folder(counts.parent, sample)
    images = read_images(lambda name: _files_of_sample(counts, folder.find(name, subfolders=SUBFOLDERS), sample))
    if images["images"] and "spatial" not in adata.uns:
        adata.uns["spatial"] = {sample or counts.parent.resolve().name: images}
    return make_gene_names_unique(adata, counts)


def _files_of_sample(counts: Path, entries: Iterable[Entry], sample: str | None) -> list[Path]:
    """Return the files of the sample of some counts, or files without a sample name if no sample was selected."""
    matching = [entry for entry in entries if is_of_sample(counts.name, entry.sample.prefix or "/")]
    longest = max((entry.sample.prefix for entry in matching), key=len, default="")
    files = [entry.path for entry in matching if entry.sample.prefix == longest]
    return files or [entry.path for entry in entries if sample is None and not entry.sample.prefix]


def _read_counts(path: Path, position_columns: Sequence[str]) -> AnnData:
    if path.is_dir() or is_matrix_market(path):
        return read_matrix_market(path)
    if is_10x_h5(path):
        return read_10x_h5(path)
    if is_h5ad(path):
        return read_h5ad_file(path)
    if is_text_table(path):
        return read_count_table(path, position_columns=position_columns)
    raise InputError(f"path='{path}' is not in a format of counts; pass .csv, .tsv, .txt, .mtx, .h5 or .h5ad")


def _read_array(path: Path) -> AnnData:
    """Read counts with spots named by their array position, such as 10x12 or 10.2x11.9."""
    adata = read_count_table(path)
    n_rows, n_columns = (
        sum(ARRAY_NAME.fullmatch(name) is not None for name in names) for names in (adata.obs_names, adata.var_names)
    )
    if n_columns > n_rows:
        adata = transpose(adata)
    xy = []
    for name in adata.obs_names:
        match = ARRAY_NAME.fullmatch(name)
        if match is None:
            raise InputError(f"path='{path}' has spots named by array position, such as 10x12, and {name!r}; remove it")
        xy.append(match.groups())
    check_unique_rows(adata)
    adata.obsm["spatial"] = np.array(xy, dtype=float)
    adata.obs = adata.obs[[]]
    return make_gene_names_unique(clear_index_names(adata), path)


def _is_array(path: Path) -> bool:
    """Whether the first row or the first columns of a table are named by array position; reads only its start."""
    header = read_header(path)
    first = header.rows[0][0].strip() if header.rows and header.rows[0] else ""
    return ARRAY_NAME.fullmatch(first) is not None or all(map(ARRAY_NAME.fullmatch, header.names[1:4] or ["none"]))


def find_pair(folder: Folder) -> tuple[Path, Path]:
    """Return the files of counts and of coordinates in a folder; an error unless there is one of each.

    A table holds coordinates if the names of its columns say so. Positions may be in ``spatial/``, as Space Ranger
    writes them.
    """
    files = [path for path in folder.paths if path.is_file()]
    matrices = [path for path in files if _is_matrix(path)]
    companions = {path for matrix in matrices if is_matrix_market(matrix) for path in _companions(matrix)}
    tables = [path for path in files if _is_table(path) and path not in companions]
    positions = [path for path in tables if is_position_table(path)]
    positions += [entry.path for entry in folder.find("*positions*.parquet") if entry.path in files]
    counts = matrices or [path for path in tables if path not in positions]
    if not positions:
        entries = folder.find(*POSITIONS, subfolders=("spatial",))
        is_single = len(counts) == 1
        positions = _files_of_sample(counts[0], entries, folder.sample) if is_single else [e.path for e in entries]
    if len(positions) == 1 and len(counts) == 1:
        return counts[0], positions[0]
    names = sample_names(counts)
    relative_paths = [str(path.relative_to(folder.path)) for path in positions]
    if names and all(sum(is_of_sample(path, name) for path in relative_paths) == 1 for name in names):
        raise several_samples_error(folder.path, counts, names)
    raise InputError(
        f"path='{folder.path}' should hold one file of counts and one of coordinates, and holds "
        f"{join_names(path.name for path in counts) or 'none'} and "
        f"{join_names(path.name for path in positions) or 'none'}; pass both: sx.read(counts, coordinates=positions)"
    )


def _companions(matrix: Path) -> list[Path]:
    with suppress(InputError):
        return list(find_companions(matrix).values())
    return []
