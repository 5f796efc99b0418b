"""Checks of untrusted files: claimed sizes against stored bytes, links to other files, indices out of range."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from numcodecs import VLenUTF8
from numcodecs.compat import ensure_contiguous_ndarray
from scipy.io import mminfo

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices
from spacex.io._files import INPUT_HINT, REDOWNLOAD_HINT, translate_errors

SIZE_SLACK = 2**28
"""Bytes that a file may claim whatever its stored size."""

MAX_COMPRESSION_RATIO = 1_100
"""Upper bound on the compression ratio of HDF5 filters; deflate reaches 1,032."""

MIN_ENTRY_LENGTH = 4
"""Bytes of the shortest entry of a MatrixMarket file: two digits, a space and the end of the line."""

MAX_ENTRY_LENGTH = 1_000
BLOCK_SIZE = 2**24
CONTROL_CHARACTERS = bytes(set(range(32)) - set(b"\t\n\r"))
INTEGER_ENTRY = re.compile(rb"[ \t]*([0-9]+[ \t]+){0,2}[-+]?[0-9]+")
REAL_ENTRY = re.compile(rb"[ \t]*([0-9]+[ \t]+){0,2}[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def check_hdf5(path: Path, file: Path) -> None:
    """Raise `InputError` for a file that is not HDF5, claims more than it stores, or links to other files.

    The message names `path`; `file` is the decompressed file.
    """
    if file.stat().st_size == 0:
        raise InputError(f"path='{path}' is empty (0 bytes); {REDOWNLOAD_HINT}")
    if not h5py.is_hdf5(file):
        raise InputError(f"path='{path}' is not an HDF5 file in spite of its name; pass {INPUT_HINT}")
    with translate_errors(path, "HDF5 file"), h5py.File(file, "r") as root:

        def find_problem(name: str, link: Any) -> str | None:
            if isinstance(link, h5py.ExternalLink):
                return f"{name} is a link to another file, which is not followed; copy the data into this file"
            element = root.get(name)
            return _dataset_problem(element) if isinstance(element, h5py.Dataset) else None

        problem = root.visititems_links(find_problem)  # returned, not raised: h5py loses exceptions of the callback
        if problem is not None:
            raise InputError(f"path='{path}' is damaged: {problem}")


@contextmanager
def checked_zarr_strings() -> Iterator[None]:
    """Inside the block, zarr chunks that claim more strings than their bytes can hold raise `ValueError`.

    The first four bytes of a chunk are the number of its strings, each of which has four bytes of length. numcodecs
    allocates that number before it reads the strings: up to 32 GB for a damaged chunk.
    """
    decode = VLenUTF8.decode

    def checked_decode(codec: VLenUTF8, buf: Any, out: Any = None) -> Any:
        data = ensure_contiguous_ndarray(buf).view(np.uint8)
        n_strings = int.from_bytes(data[:4].tobytes(), "little")
        if 4 + 4 * n_strings > data.size:
            raise ValueError(f"a chunk of {data.size} bytes claims {n_strings} strings")
        return decode(codec, buf, out)

    VLenUTF8.decode = checked_decode
    try:
        yield
    finally:
        VLenUTF8.decode = decode


def _dataset_problem(dataset: h5py.Dataset) -> str | None:
    """Return why an HDF5 dataset must not be read, or None."""
    if dataset.shape is None:  # a null dataspace, such as None in uns
        return None
    if dataset.external:
        return f"{dataset.name} is stored in another file, which is not read; copy the data into this file"
    n_claimed = int(np.prod(dataset.shape or (), dtype=object)) * dataset.dtype.itemsize
    n_stored = dataset.id.get_storage_size()
    if n_claimed > SIZE_SLACK + MAX_COMPRESSION_RATIO * n_stored:
        return f"{dataset.name} claims {n_claimed / 1e9:.3g} GB but stores {n_stored} bytes; {REDOWNLOAD_HINT}"
    return None


def check_matrix_market(path: Path, file: Path, shape: tuple[int, int]) -> None:
    """Raise `InputError` for a MatrixMarket file that does not fit its companions or that scipy cannot read safely.

    The message names `path`; `file` is the decompressed file, and `shape` the number of features and barcodes.
    """
    n_rows, n_columns, n_entries, form, field, _ = mminfo(file)
    _check_entries(path, file, INTEGER_ENTRY if field in ("integer", "unsigned-integer", "pattern") else REAL_ENTRY)
    if (n_rows, n_columns) not in (shape, shape[::-1]):
        raise InputError(
            f"path='{path}' is {n_rows} x {n_columns}, but there are {shape[0]} features and {shape[1]} barcodes; copy "
            "all three files of one run, without headers"
        )
    if field == "complex":
        raise InputError(f"path='{path}' holds complex numbers, not counts; export the raw counts")
    n_claimed = (n_entries if form == "coordinate" else n_rows * n_columns) * MIN_ENTRY_LENGTH
    if n_claimed > file.stat().st_size + SIZE_SLACK:
        raise InputError(f"path='{path}' claims {n_entries} entries, but is too short for them; {REDOWNLOAD_HINT}")


def _check_entries(path: Path, file: Path, entry: re.Pattern[bytes]) -> None:
    """Reject files that make scipy's MatrixMarket reader read out of bounds.

    These contain null bytes, or end in a line without a line break that holds more than one entry.
    """
    tail = b""
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_SIZE):
            if len(block.translate(None, CONTROL_CHARACTERS)) != len(block):
                raise InputError(f"path='{path}' is not text: it contains control characters; {REDOWNLOAD_HINT}")
            tail = (tail + block)[-MAX_ENTRY_LENGTH:]
    last_line = tail[tail.rfind(b"\n") + 1 :]
    if last_line and not entry.fullmatch(last_line):
        raise InputError(f"path='{path}' ends in {last_line[:20]!r}, which is not an entry; {REDOWNLOAD_HINT}")


def validate_arrays(adata: AnnData, path: Path) -> AnnData:
    """Return the AnnData, or raise `InputError` if the indices of a sparse matrix are out of range."""
    matrices = {"X": adata.X} | {
        f"{slot}[{key!r}]": value
        for slot in ("layers", "obsm", "varm", "obsp", "varp")
        for key, value in getattr(adata, slot).items()
    }
    for name, matrix in matrices.items():
        check_sparse_indices(matrix, what=f"path='{path}' is damaged: {name}")
    return adata
