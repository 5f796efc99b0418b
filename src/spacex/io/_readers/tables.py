"""Counts in one file and coordinates in another, found in a folder or named one by one; or spots named ``10x12``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spacex._infra.errors import InputError
from spacex.io._anndata import read_h5ad_file
from spacex.io._counts import read_count_table, transposed, unique_genes, without_index_names
from spacex.io._delimited import is_text_table, read_header
from spacex.io._files import join_names
from spacex.io._folder import Folder, Part, is_of_sample, sample_names, several_samples
from spacex.io._joining import check_unique_rows, join_positions, orient
from spacex.io._matrix_market import companions, is_companion, is_matrix_market, read_matrix_market
from spacex.io._positions import GRID_NAME, is_positions, read_positions
from spacex.io._readers import h5ad
from spacex.io._readers.visium import INSIDE, POSITIONS, read_images
from spacex.io._request import Request
from spacex.io._ten_x import is_10x_h5, read_10x_h5

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "counts (.csv, .tsv, .txt, .mtx, .h5) with a table of coordinates, in one folder or as coordinates="
FILES: tuple[str, ...] = ("*.mtx*", "*.csv*", "*.tsv*", "*.txt*")
_NOT_TABLES = ("readme", "license", "metrics", "web_summary")


def sniff(request: Request) -> bool:
    """Whether a file may hold counts, or a folder holds such files."""
    if not request.is_folder:
        return _is_counts(request.path)
    return any(path.is_file() and (_is_table(path) or _is_counts(path)) for path in request.folder.entries)


def _is_counts(path: Path) -> bool:
    if is_text_table(path):
        return len(read_header(path).names) > 1
    return _is_matrix(path)


def _is_matrix(path: Path) -> bool:
    return is_matrix_market(path) or is_10x_h5(path)


def read(request: Request) -> AnnData:
    """Read counts and coordinates, or counts of spots that are named by their places."""
    request.refuse_bin()
    if request.is_folder:
        return read_pair(*find_pair(request.folder), request.sample)
    if is_text_table(request.path) and _names_places(request.path):
        return _read_places(request.path)
    raise InputError(
        f"path='{request.path}' has no coordinates with it; if it holds counts, pass the folder of both or name the "
        "coordinates: sx.read(counts, coordinates=positions)"
    )


def read_pair(counts: Path, coordinates: Path, sample: str | None = None) -> AnnData:
    """Read counts of any form, turned so that spots are rows, with the coordinates of another file."""
    positions = read_positions(coordinates)
    adata = join_positions(orient(_read_counts(counts, list(positions.table)), positions, counts), positions)
    folder = Folder(counts.parent, sample)
    images = read_images(lambda file: _of_counts(counts, folder.parts(file, inside=INSIDE), sample))
    if images["images"] and "spatial" not in adata.uns:
        adata.uns["spatial"] = {sample or counts.parent.resolve().name: images}
    return unique_genes(adata, counts)


def _of_counts(counts: Path, parts: Iterable[Part], sample: str | None) -> list[Path]:
    """Parts of the sample of some counts: by its name, or without a name where no sample was chosen."""
    named = [part for part in parts if is_of_sample(counts.name, part.sample.before or "/")]
    longest = max((part.sample.before for part in named), key=len, default="")
    own = [part.path for part in named if part.sample.before == longest]
    return own or [part.path for part in parts if sample is None and not part.sample.before]


def _read_counts(path: Path, known: Sequence[str]) -> AnnData:
    if path.is_dir() or is_matrix_market(path):
        return read_matrix_market(path)
    if is_10x_h5(path):
        return read_10x_h5(path)
    if h5ad.is_h5ad(path):
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
    odd = [name for name, join_positions in zip(adata.obs_names, places, strict=True) if join_positions is None]
    if odd:
        raise InputError(f"path='{path}' has spots named by their places, such as 10x12, and {odd[0]!r}; leave it out")
    check_unique_rows(adata)
    adata.obsm["spatial"] = np.array(
        [join_positions.groups() for join_positions in places if join_positions], dtype=float
    )
    adata.obs = adata.obs[[]]
    return unique_genes(without_index_names(adata), path)


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
    files = [path for path in folder.entries if path.is_file()]
    matrices = [path for path in files if _is_matrix(path)]
    named = {path for matrix in matrices if is_matrix_market(matrix) for path in _companions(matrix)}
    tables = [path for path in files if _is_table(path) and path not in named]
    positions = [path for path in tables if is_positions(path)]
    positions += [part.path for part in folder.parts("*positions*.parquet") if part.path in files]
    counts = matrices or [path for path in tables if path not in positions]
    if not positions:
        parts = folder.parts(*POSITIONS, inside=("spatial",))
        positions = _of_counts(counts[0], parts, folder.sample) if len(counts) == 1 else [part.path for part in parts]
    if len(positions) == 1 and len(counts) == 1:
        return counts[0], positions[0]
    names = sample_names(counts)
    if all(
        sum(is_of_sample(str(path.relative_to(folder.path)), name) for path in positions) == 1
        for name in names or ["none"]
    ):
        raise several_samples(folder.path, counts, names)
    raise InputError(
        f"path='{folder.path}' should hold one file of counts and one of coordinates, and holds "
        f"{join_names(path.name for path in counts) or 'none'} and "
        f"{join_names(path.name for path in positions) or 'none'}; "
        "name both: sx.read(counts, coordinates=positions)"
    )


def _companions(matrix: Path) -> list[Path]:
    with suppress(InputError):
        return list(companions(matrix).values())
    return []


def _is_table(path: Path) -> bool:
    name = path.name.casefold()
    return is_text_table(path) and not is_companion(path) and not name.startswith(_NOT_TABLES)
