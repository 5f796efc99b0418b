"""The readers, one for each layout on disk, in the order in which they are tried.

To add a reader, write a module in ``_readers`` that implements `Reader`, add its name to `READER_NAMES`, and test it
in ``tests/io/readers``.
"""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from anndata import AnnData

from spacex._infra.errors import InputError
from spacex.io._files import join_names
from spacex.io._readers import tables
from spacex.io._request import Request

MAX_LISTED = 8


class Reader(Protocol):
    """A module that reads one layout."""

    LAYOUT: str
    """The platform and its files, for messages."""
    FILES: tuple[str, ...]
    """Patterns of the file names of the layout."""

    def sniff(self, request: Request) -> bool:
        """Whether a file or folder has this layout."""

    def read(self, request: Request) -> AnnData:
        """Read the section."""


READER_NAMES = ("anndata_files", "visium_hd", "xenium", "visium", "merscope", "cosmx", "curio", "stereoseq", "tables")
"""Modules in ``_readers``. Tables come last, since folders of other layouts may contain tables too."""

READERS = tuple(cast(Reader, import_module(f"spacex.io._readers.{name}")) for name in READER_NAMES)
SUPPORTED_FORMATS = join_names(reader.LAYOUT for reader in READERS)


def find_reader(request: Request) -> tuple[Reader, Request] | None:
    """Return the reader of a file or folder, or of its ``outs`` folder, and the request for it; None if unknown."""
    *vendors, last = READERS
    reader = next((reader for reader in vendors if reader.sniff(request)), None)
    if reader is not None:
        return reader, request
    outs = request.path / "outs"
    if request.is_folder and outs.is_dir():
        return find_reader(request.with_path(outs))
    return (last, request) if last.sniff(request) else None


def is_section(path: Path) -> bool:
    """Whether a file or folder is one section in a layout that `read` recognizes."""
    result = find_reader(Request(path))
    if result is None or result[0] is not tables:
        return result is not None
    with suppress(InputError):  # several candidate tables
        return tables.find_pair(result[1].folder) is not None
    return False


def unsupported_input_error(request: Request) -> InputError:
    """Return the error for an unsupported input; it lists the files and the most similar layout."""
    path = request.path
    if not request.is_folder:
        return InputError(f"path='{path}' is not in a supported format; pass {SUPPORTED_FORMATS}")
    names = [path.name for path in request.folder.paths]
    n_more = len(names) - MAX_LISTED
    listed = join_names(names[:MAX_LISTED]) + (f" and {n_more} more" if n_more > 0 else "")
    nearest = max(READERS, key=lambda reader: _n_matching(reader, names))
    hint = f"nearest layout: {nearest.LAYOUT} ({join_names(nearest.FILES)}); " if _n_matching(nearest, names) else ""
    return InputError(
        f"path='{path}' is a folder that holds {listed or 'nothing'}; {hint}supported formats: {SUPPORTED_FORMATS}"
    )


def _n_matching(reader: Reader, names: list[str]) -> int:
    """Return the number of file patterns of a layout that match a name."""
    return sum(any(fnmatch(name.casefold(), pattern.casefold()) for name in names) for pattern in reader.FILES)
