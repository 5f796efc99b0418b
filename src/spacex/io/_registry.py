"""The readers, each for one layout on disk, in the order in which they are asked."""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spacex._infra.errors import InputError
from spacex.io._files import join_names
from spacex.io._readers import cosmx, curio, h5ad, merscope, stereoseq, tables, visium, visium_hd, xenium, zarr_store
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

MAX_LISTED = 8


class Reader(Protocol):
    """A module that reads one layout."""

    LAYOUT: str
    """The platform and its files, as messages name them."""
    FILES: tuple[str, ...]
    """Patterns of the names of files that belong to the layout."""

    def sniff(self, request: Request) -> bool:
        """Whether a file or folder has this layout."""

    def read(self, request: Request) -> AnnData:
        """Read the section."""


READERS: tuple[Reader, ...] = (
    h5ad, zarr_store, visium_hd, xenium, visium, merscope, cosmx, curio, stereoseq, tables
)  # fmt: skip


SUPPORTED_FORMATS = join_names(reader.LAYOUT for reader in READERS)


def find_reader(request: Request) -> tuple[Reader, Request] | None:
    """The reader of a file or folder, or of the ``outs`` folder in it; None where no layout is recognized.

    Tables come last: other layouts may have some beside their own files.
    """
    *vendors, last = READERS
    reader = next((reader for reader in vendors if reader.sniff(request)), None)
    if reader is not None:
        return reader, request
    outs = request.path / "outs"
    if request.is_folder and outs.is_dir():
        return find_reader(request.at(outs))
    return (last, request) if last.sniff(request) else None


def is_section(path: Path) -> bool:
    """Whether the files of a folder make one section of a layout that `read` recognizes."""
    found = find_reader(Request(path))
    if found is None or found[0] is not READERS[-1]:
        return found is not None
    with suppress(InputError):  # several tables that could be meant
        return tables.find_pair(found[1].folder) is not None
    return False


def unsupported_input_error(request: Request) -> InputError:
    """The error for an input of no known layout: what was found, and the nearest layout."""
    path = request.path
    if not request.is_folder:
        return InputError(f"path='{path}' is not a format that is understood; pass {SUPPORTED_FORMATS}")
    names = [entry.name for entry in request.folder.entries]
    shown = join_names(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")
    nearest = max(READERS, key=lambda reader: _n_fitting(reader, names))
    near = f"nearest to {nearest.LAYOUT} ({join_names(nearest.FILES)}); " if _n_fitting(nearest, names) else ""
    return InputError(
        f"path='{path}' is a folder that holds {shown or 'nothing'}; {near}what is understood: {SUPPORTED_FORMATS}"
    )


def _n_fitting(reader: Reader, names: list[str]) -> int:
    """Number of patterns of a layout that a name fits."""
    return sum(any(fnmatch(name.casefold(), pattern.casefold()) for name in names) for pattern in reader.FILES)
