"""What a file may claim: sizes are held against what is stored before memory is taken, and nothing lies elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices
from spacex.io._files import REDOWNLOAD_HINT

if TYPE_CHECKING:
    from anndata import AnnData

SIZE_SLACK = 2**28
"""Bytes that anything may claim."""

MAX_COMPRESSION_RATIO = 1_100
"""Bytes that deflate, and what else HDF5 and gzip pack with, make of one at most: 1,032."""

MIN_ENTRY_LENGTH = 4
"""Bytes of the shortest entry of a MatrixMarket file: two numbers, a space and the end of the line."""

CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
BLOCK = 2**24
MAX_ENTRY_LENGTH = 1000
WHOLE = re.compile(rb"[ \t]*([0-9]+[ \t]+){0,2}[-+]?[0-9]+")
REAL = re.compile(rb"[ \t]*([0-9]+[ \t]+){0,2}[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def check_hdf5(file: Any, path: Path) -> None:
    """Raise `InputError` for an open HDF5 file that claims arrays it does not hold, or leads to other files."""
    import h5py

    def look(name: str, link: Any) -> str | None:
        if isinstance(link, h5py.ExternalLink):
            return f"{name} is a link to another file, which is not followed; copy it in"
        found = file.get(name)
        return _wrong(found) if isinstance(found, h5py.Dataset) else None

    wrong = file.visititems_links(look)  # ends at the first; what is raised inside would be lost on the way
    if wrong is not None:
        raise InputError(f"path='{path}' is damaged: {wrong}")


def _wrong(found: Any) -> str | None:
    """What is wrong with an HDF5 array, if anything is."""
    if found.shape is None:  # a null value, such as None in uns
        return None
    if found.external:
        return f"{found.name} lies in another file, which is not read; copy it in"
    claimed, stored = int(np.prod(found.shape or (), dtype=object)) * found.dtype.itemsize, found.id.get_storage_size()
    if claimed > SIZE_SLACK + MAX_COMPRESSION_RATIO * stored:
        return f"{found.name} is said to have {claimed / 1e9:.3g} GB and has {stored} bytes; {REDOWNLOAD_HINT}"
    return None


def check_market(path: Path, file: Path, sides: tuple[int, int]) -> None:
    """Raise `InputError` for a MatrixMarket file whose header does not fit its length, its companions, or counts.

    `file` is the file without its compression.
    """
    from scipy.io import mminfo

    rows, columns, entries, form, field, _ = mminfo(file)
    _check_text(path, file, WHOLE if field in ("integer", "unsigned-integer", "pattern") else REAL)
    if (rows, columns) not in (sides, sides[::-1]):
        raise InputError(
            f"path='{path}' is {rows} x {columns}, but there are {sides[0]} features and {sides[1]} barcodes; copy all "
            "three files of one run, and leave out headers"
        )
    if field == "complex":
        raise InputError(f"path='{path}' holds complex numbers, which are no counts; export the raw counts")
    if (entries if form == "coordinate" else rows * columns) * MIN_ENTRY_LENGTH > file.stat().st_size + SIZE_SLACK:
        raise InputError(
            f"path='{path}' is said to have {entries} entries, and is too short for them; {REDOWNLOAD_HINT}"
        )


def _check_text(path: Path, market: Path, entry: re.Pattern[bytes]) -> None:
    """Raise `InputError` for what scipy's reader of MatrixMarket leaves its memory at.

    That is a last line without an end that has more in it than an entry, and null bytes.
    """
    tail = b""
    with market.open("rb") as file:
        while block := file.read(BLOCK):
            if len(block.translate(None, CONTROL)) != len(block):
                raise InputError(f"path='{path}' is no text: it holds control characters; {REDOWNLOAD_HINT}")
            tail = (tail + block)[-MAX_ENTRY_LENGTH:]
    last = tail[tail.rfind(b"\n") + 1 :]
    if last and not entry.fullmatch(last):
        raise InputError(f"path='{path}' ends in {last[:20]!r}, which is no entry; {REDOWNLOAD_HINT}")


def validate_arrays(adata: AnnData, path: Path) -> AnnData:
    """Return an AnnData whose sparse matrices fit together."""
    matrices = {"X": adata.X} | {
        f"{name}[{key!r}]": value
        for name in ("layers", "obsm", "varm", "obsp", "varp")
        for key, value in getattr(adata, name).items()
    }
    for name, matrix in matrices.items():
        check_sparse_indices(matrix, what=f"path='{path}' is damaged: {name}")
    return adata


def check_settings(found: Any, path: Path) -> dict[str, Any]:
    """Return what a JSON file of settings holds, if they are numbers and texts by name."""
    plain = isinstance(found, Mapping) and all(isinstance(value, (int, float, str)) for value in found.values())
    if not plain:
        raise InputError(f"path='{path}' holds no settings by name; {REDOWNLOAD_HINT}")
    return dict(found)
