"""Opening input files: compression, and errors that name the file."""

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

INPUT_HINT = "a file or folder in a layout that help(spacex.read) lists"
REDOWNLOAD_HINT = "copy or download it again"
COMPRESSION_SUFFIX = r"(?:\.(?:gz|bz2|xz|zip))?"
"""Regular expression of an optional compression suffix."""

_SUFFIX_AT_END = re.compile(rf"{COMPRESSION_SUFFIX}$", re.IGNORECASE)


def has_suffix(path: Path, *suffixes: str) -> bool:
    """Whether a file name ends in one of the suffixes, in any case, optionally followed by a compression suffix."""
    return _SUFFIX_AT_END.sub("", path.name).casefold().endswith(suffixes)


@contextmanager
def translate_errors(path: Path, kind: str) -> Iterator[None]:
    """Raise any exception of a parser as a one-line `InputError` that names the file and its `kind`."""
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
    except Exception as error:  # parsers of damaged files raise exceptions of any type
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"path='{path}' is not a readable {kind}: {reason[:200]}; {REDOWNLOAD_HINT}") from error


def open_binary(path: Path) -> BinaryIO:
    """Open a file, decompressed if its first bytes are those of gzip, bzip2, xz or zip; its name does not matter."""
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
def decompressed(path: Path) -> Iterator[Path]:
    """Yield the path itself, or a temporary decompressed copy, for libraries that open files by name."""
    with tempfile.TemporaryDirectory() as folder:
        plain = path
        name = _SUFFIX_AT_END.sub("", path.name)
        with translate_errors(path, "compressed file"), open_binary(path) as file:
            # An uncompressed file with a compression suffix is copied too: libraries would trust the suffix.
            if name != path.name or not isinstance(file, io.BufferedReader):
                plain = Path(folder) / name
                with plain.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
        yield plain


def join_names(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(map(str, names))
