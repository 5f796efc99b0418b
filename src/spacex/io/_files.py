"""What every reader needs: files opened with care, and one line that says what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from spacex._infra.errors import InputError, truncate

READABLE = "a file or folder of a layout that sx.read describes"
REDOWNLOAD_HINT = "copy or download it again"
PACKED = r"(?:\.(?:gz|bz2|xz|zip))?"
"""The ending of a compressed file, or none, for patterns."""

PACKED_NAME = re.compile(rf"{PACKED}$", re.IGNORECASE)


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a parser throws at a damaged file into one line that names the file and the mend."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"path='{path}' does not fit into memory ({truncate(str(error))[:100]}); read a part of it"
        ) from error
    except PermissionError as error:
        raise InputError(f"path='{path}' may not be read; ask its owner for permission (chmod +r)") from error
    except Exception as error:  # parsers of damaged files fail in every way there is
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"path='{path}' is not a readable {what}: {reason[:200]}; {REDOWNLOAD_HINT}") from error


def open_binary(path: Path) -> BinaryIO:
    """Open a file, decompressed where its first bytes are those of gzip, bzip2, xz or zip, whatever its name."""
    with open(path, "rb") as file:
        start = file.read(6)
    if start[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if start[:3] == b"BZh":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if start == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if start[:4] == b"PK\x03\x04":
        return _open_zip(path)
    return open(path, "rb")


def _open_zip(path: Path) -> BinaryIO:
    """Open the only file in a zip archive."""
    archive = zipfile.ZipFile(path)
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
    if len(members) != 1:
        raise InputError(f"path='{path}' is an archive of {len(members)} files; unpack it and pass the folder")
    return cast(BinaryIO, archive.open(members[0]))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or for the time being a copy without its compression, for libraries that open files by name."""
    with tempfile.TemporaryDirectory() as folder:
        plain = path
        name = PACKED_NAME.sub("", path.name)
        with reading(path, "compressed file"), open_binary(path) as file:
            if name != path.name or not isinstance(file, io.BufferedReader):  # plain ones may be named as packed
                plain = Path(folder) / name
                with plain.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
        yield plain


def require_hdf5(path: Path, file: Path | None = None) -> None:
    """Raise `InputError` for what HDF5 cannot open, saying which of the usual accidents it was.

    `file` is the one to look at, where it is not `path` itself but unpacked from it.
    """
    import h5py

    file = file or path
    if file.stat().st_size == 0:
        raise InputError(f"path='{path}' is empty (0 bytes); {REDOWNLOAD_HINT}")
    if not h5py.is_hdf5(file):
        raise InputError(f"path='{path}' is not an HDF5 file in spite of its name; pass {READABLE}")
    from spacex.io._bounds import check_hdf5

    with reading(path, "HDF5 file"), h5py.File(file, "r") as opened:
        check_hdf5(opened, path)


def join_names(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(map(str, names))
