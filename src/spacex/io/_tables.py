"""Counts in one file, coordinates in another: found in a folder, or named one by one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError
from spacex.io._anndata import read_h5ad_file
from spacex.io._counts import open_text, read_count_table, read_header, unique_genes
from spacex.io._files import UNDERSTOOD, listed, reading
from spacex.io._matrix_market import market_matrices, read_matrix_market
from spacex.io._positions import is_positions, orient, place, read_positions
from spacex.io._tenx import read_10x_h5

if TYPE_CHECKING:
    from anndata import AnnData

_TEXT = tuple(f"{form}{packed}" for form in (".csv", ".tsv", ".txt") for packed in ("", ".gz"))
_PLACE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
_NOT_TABLES = ("features.tsv", "genes.tsv", "barcodes.tsv")  # companions of a matrix.mtx
_COUNTS_ALONE = (*_TEXT, ".mtx", ".mtx.gz", ".h5")


def read_pair(counts: Path, coordinates: Path) -> AnnData:
    """Read counts of any form, turned so that spots are rows, with the coordinates of another file."""
    positions = read_positions(coordinates)
    adata = orient(_read_counts(counts), positions, counts)
    return unique_genes(place(adata, positions), counts)


def _read_counts(path: Path) -> AnnData:
    name = path.name.casefold()
    if path.is_dir() or name.endswith((".mtx", ".mtx.gz")):
        return read_matrix_market(path)
    if name.endswith(".h5"):
        return read_10x_h5(path)
    if name.endswith(".h5ad"):
        return read_h5ad_file(path)
    if name.endswith(_TEXT):
        return read_count_table(path)
    raise InputError(f"path='{path}' is not a format of counts; pass .csv, .tsv, .txt, .mtx, .h5 or .h5ad")


def read_array_table(path: Path) -> AnnData:
    """Read counts whose spots are named by their places, such as 10x12 or 10.2x11.9 (ST arrays)."""
    import numpy as np

    if not path.name.casefold().endswith(_TEXT) or not _names_places(path):
        raise not_alone(path)
    adata = read_count_table(path)
    rows, columns = (sum(_PLACE.fullmatch(name) is not None for name in names)
                     for names in (adata.obs_names, adata.var_names))  # fmt: skip
    if columns > rows:
        turned = adata.T.copy()
        turned.X = turned.X.tocsr()
        adata = turned
    places = [_PLACE.fullmatch(name) for name in adata.obs_names]
    odd = [name for name, place in zip(adata.obs_names, places, strict=True) if place is None]
    if odd:
        raise InputError(f"path='{path}' has spots named by their places, such as 10x12, and {odd[0]!r}; leave it out")
    if adata.obs_names.has_duplicates:
        raise InputError(f"path='{path}' repeats spot {adata.obs_names[adata.obs_names.duplicated()][0]!r}; leave one")
    adata.obsm["spatial"] = np.array([place.groups() for place in places if place], dtype=float)
    return unique_genes(adata, path)


def _names_places(path: Path) -> bool:
    """Whether the first row, or the first columns, of a table are named by places: told without reading it all."""
    header = read_header(path)
    with reading(path, "table"), open_text(path) as file:
        file.readline(50_000_000)
        first = file.readline(1_000).split(header.delimiter)[0].strip().strip('"')
    return _PLACE.fullmatch(first) is not None or all(map(_PLACE.fullmatch, header.names[1:4] or ["none"]))


def find_pair(folder: Path) -> tuple[Path, Path] | None:
    """Return the counts and the coordinates that a folder holds, or None where it holds neither.

    A table is taken for coordinates by the names of its columns; positions may lie in ``spatial/``, as Space Ranger
    leaves them.
    """
    texts = [path for path in sorted(folder.iterdir()) if _is_table(path)]
    matrices = market_matrices(folder)
    if not texts and not matrices:
        return None
    places = [path for path in texts if is_positions(path)]
    places += [path for path in sorted(folder.glob("*positions*.parquet")) if path.is_file()]
    places = places or [path for path in sorted(folder.glob("spatial/*positions*")) if path.is_file()]
    counts = matrices or [path for path in texts if path not in places]
    if len(places) == 1 and len(counts) == 1:
        return counts[0], places[0]
    raise InputError(
        f"path='{folder}' should hold one file of counts and one of coordinates, and holds "
        f"{listed(p.name for p in counts) or 'none'} and {listed(p.name for p in places) or 'none'}; "
        f"name both, sx.read(counts, coordinates=positions); what else is understood: {UNDERSTOOD}"
    )


def _is_table(path: Path) -> bool:
    name = path.name.casefold()
    other = name.removesuffix(".gz").endswith(_NOT_TABLES) or name.startswith(("readme", "license"))
    return path.is_file() and name.endswith(_TEXT) and not other


def not_alone(path: Path) -> InputError:
    """Return the error of a file that holds counts and no coordinates, or is not understood at all."""
    if path.name.casefold().endswith(_COUNTS_ALONE):
        return InputError(
            f"path='{path}' has no coordinates with it; if it holds counts, pass the folder of both or name the "
            f"coordinates, sx.read(counts, coordinates=positions); otherwise pass {UNDERSTOOD}"
        )
    return InputError(f"path='{path}' is not a format that is understood; pass {UNDERSTOOD}")
