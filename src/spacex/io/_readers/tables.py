"""Counts in one file and coordinates in another, found in a folder or named one by one; or spots named ``10x12``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spacex._check import InputError
from spacex.io._anndata import read_h5ad_file
from spacex.io._counts import read_count_table, transposed, unique_genes
from spacex.io._delimited import is_text_table, read_header
from spacex.io._files import listed
from spacex.io._folder import Folder, samples
from spacex.io._joining import check_unique_rows, orient, place
from spacex.io._matrix_market import companions, is_companion, read_matrix_market
from spacex.io._positions import GRID_NAME, is_positions, read_positions
from spacex.io._readers.visium import read_images
from spacex.io._request import Request
from spacex.io._spellings import common_start
from spacex.io._ten_x import read_10x_h5

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "counts (.csv, .tsv, .txt, .mtx, .h5) with a table of coordinates, in one folder or as coordinates="
FILES: tuple[str, ...] = ("*.mtx*", "*.csv*", "*.tsv*", "*.txt*")
_MATRICES = (".mtx", ".mtx.gz")
_NOT_TABLES = ("readme", "license", "metrics", "web_summary")


def sniff(request: Request) -> bool:
    """Whether a file may hold counts, or a folder holds such files."""
    if not request.is_folder:
        return _is_counts(request.path)
    return any(path.is_file() and (_is_table(path) or _is_counts(path)) for path in request.folder.entries)


def _is_counts(path: Path) -> bool:
    if is_text_table(path):
        return len(read_header(path).names) > 1
    return path.name.casefold().endswith((*_MATRICES, ".h5"))


def read(request: Request) -> AnnData:
    """Read counts and coordinates, or counts of spots that are named by their places."""
    request.refuse_bin()
    if request.is_folder:
        return read_pair(*find_pair(request.folder))
    if is_text_table(request.path) and _names_places(request.path):
        return _read_places(request.path)
    raise InputError(
        f"path='{request.path}' has no coordinates with it; if it holds counts, pass the folder of both or name the "
        "coordinates: sx.read(counts, coordinates=positions)"
    )


def read_pair(counts: Path, coordinates: Path) -> AnnData:
    """Read counts of any form, turned so that spots are rows, with the coordinates of another file."""
    positions = read_positions(coordinates)
    adata = place(orient(_read_counts(counts, list(positions.table)), positions, counts), positions)
    images = read_images(Folder(counts.parent))
    if images["images"] and "spatial" not in adata.uns:
        adata.uns["spatial"] = {counts.parent.resolve().name: images}
    return unique_genes(adata, counts)


def _read_counts(path: Path, known: Sequence[str]) -> AnnData:
    name = path.name.casefold()
    if path.is_dir() or name.endswith(_MATRICES):
        return read_matrix_market(path)
    if name.endswith(".h5"):
        return read_10x_h5(path)
    if name.endswith(".h5ad"):
        return read_h5ad_file(path)
    if is_text_table(path):
        return read_count_table(path, known=known)
    raise InputError(f"path='{path}' is not a format of counts; pass .csv, .tsv, .txt, .mtx, .h5 or .h5ad")


def _read_places(path: Path) -> AnnData:
    """Read counts whose spots are named by their places, such as 10x12 or 10.2x11.9 (ST arrays)."""
    adata = read_count_table(path)
    n_rows, n_columns = (
        sum(GRID_NAME.fullmatch(name) is not None for name in names) for names in (adata.obs_names, adata.var_names)
    )
    if n_columns > n_rows:
        adata = transposed(adata)
    places = [GRID_NAME.fullmatch(name) for name in adata.obs_names]
    odd = [name for name, place in zip(adata.obs_names, places, strict=True) if place is None]
    if odd:
        raise InputError(f"path='{path}' has spots named by their places, such as 10x12, and {odd[0]!r}; leave it out")
    check_unique_rows(adata)
    adata.obsm["spatial"] = np.array([place.groups() for place in places if place], dtype=float)
    adata.obs = adata.obs[[]]
    return unique_genes(adata, path)


def _names_places(path: Path) -> bool:
    """Whether the first row, or the first columns, of a table are named by places: told without reading it all."""
    header = read_header(path)
    first = header.rows[0][0].strip() if header.rows and header.rows[0] else ""
    return GRID_NAME.fullmatch(first) is not None or all(map(GRID_NAME.fullmatch, header.names[1:4] or ["none"]))


def find_pair(folder: Folder) -> tuple[Path, Path]:
    """Return the counts and the coordinates that a folder holds; an error where there is not one of each.

    A table is taken for coordinates by the names of its columns; positions may lie in ``spatial/``, as Space Ranger
    leaves them.
    """
    entries = [path for path in folder.entries if path.is_file()]
    matrices = [path for path in entries if path.name.casefold().endswith((*_MATRICES, ".h5"))]
    named = {path for matrix in matrices if matrix.suffix.casefold() != ".h5" for path in _companions(matrix)}
    tables = [path for path in entries if _is_table(path) and path not in named]
    places = [path for path in tables if is_positions(path)] + folder.glob("*positions*.parquet")
    places = places or [path for path in folder.glob("*positions*", inside=("spatial",)) if path.is_file()]
    counts = matrices or [path for path in tables if path not in places]
    if len(places) == 1 and len(counts) == 1:
        return counts[0], places[0]
    raise InputError(_not_a_pair(folder, counts, places))


def _not_a_pair(folder: Folder, counts: list[Path], places: list[Path]) -> str:
    """What to say of a folder that does not hold one file of counts and one of coordinates."""
    names = _samples(counts, places)
    if len(names) > 1:
        return f"path='{folder.path}' holds several samples, {listed(names)}; pass one of them: sample={names[0]!r}"
    return (
        f"path='{folder.path}' should hold one file of counts and one of coordinates, and holds "
        f"{listed(p.name for p in counts) or 'none'} and {listed(p.name for p in places) or 'none'}; "
        "name both: sx.read(counts, coordinates=positions)"
    )


def _samples(counts: Iterable[Path], places: Iterable[Path]) -> list[str]:
    """Names of samples, where each file of counts has one of coordinates that begins alike; empty otherwise."""
    counts, places = list(counts), list(places)
    if len(counts) < 2 or len(counts) != len(places):
        return []
    names = []
    for path in counts:
        n_shared = [len(common_start([path.name, other.name])) for other in places]
        nearest = places[int(np.argmax(n_shared))]
        names.append(common_start([path.name, nearest.name]).rstrip("._- "))
    return names if all(names) and len(set(names)) == len(names) else samples(counts, ["matrix", "counts", "."])


def _companions(matrix: Path) -> list[Path]:
    with suppress(InputError):
        return list(companions(matrix).values())
    return []


def _is_table(path: Path) -> bool:
    name = path.name.casefold()
    return is_text_table(path) and not is_companion(path) and not name.startswith(_NOT_TABLES)
