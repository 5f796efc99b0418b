"""Files that are there whole or not at all, whoever writes them and whatever happens meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spacex._infra.errors import truncate

DRAFT_MARK = ".spacex-draft-"
FULL_DISK = "the disk is full"
STALE_SECONDS = 86_400.0
"""Seconds after which what a process of another machine left half-written is taken for abandoned."""

_drafts: set[Path] = set()
"""What this process is writing now."""

FULL = re.compile(r"no space left|file too large|disk quota|errno = (28|27|122)\b", re.IGNORECASE)
"""What libraries that write by themselves say of a full disk; not all of them raise OSError."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write a file at, of the same suffix, which takes the place of `path` when all is well; else it goes.

    Where `path` is a link, it is the file at its end that is replaced.
    What killed processes left of the same file is removed first.
    """
    path = Path(os.path.realpath(path))
    remove_stale(path.parent, f".{path.name[:60]}{DRAFT_MARK}")
    draft = path.with_name(f".{path.name[:60]}{DRAFT_MARK}{process_tag()}{path.suffix}")
    with translate_os_errors(path), remove_on_error(draft):
        yield draft
        fsync(draft)
        os.replace(draft, path)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """A text file to write, which takes the place of `path` when everything was written; else nothing changes."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def remove_on_error(draft: Path) -> Iterator[None]:
    """Remove a draft, file or folder, when all is done or has failed; `remove_drafts` knows of it meanwhile."""
    _drafts.add(draft)
    try:
        yield
    finally:
        _remove(draft)
        _drafts.discard(draft)


def remove_drafts() -> None:
    """Remove whatever this process has half-written, because it will end without unwinding."""
    for draft in list(_drafts):
        _remove(draft)


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn what libraries raise of a full disk, or of a folder that may not be written to, into one clear `OSError`."""
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or FULL.search(str(error)):
            reason = f"{FULL_DISK}; free some of it"
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "no permission; ask for it"
        elif number in (errno.ENOENT, errno.ENOTDIR) and not path.parent.is_dir():
            reason = f"there is no folder '{path.parent}'; make it first"
        else:
            raise
        raise OSError(truncate(f"'{path}' cannot be written: {reason}, or pass another place")) from error


def process_tag() -> str:
    """Whose a draft is: this process on this machine."""
    return f"{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}-{os.getpid()}"


def remove_stale(folder: Path, prefix: str) -> list[Path]:
    """Files and folders whose name begins so and whose writer is gone; files are removed, folders are returned."""
    left = [entry for entry in folder.glob(f"{_escaped(prefix)}*") if _is_stale(entry, prefix)]
    for entry in left:
        if not entry.is_dir():
            entry.unlink(missing_ok=True)
    return [entry for entry in left if entry.is_dir()]


def _is_stale(entry: Path, prefix: str) -> bool:
    """Whether the process that made a draft is gone; of another machine that is told by its age."""
    found = re.match(r"([0-9a-f]{8})-(\d+)", entry.name.removeprefix(prefix))
    if found is None:
        return False
    machine, process = found.groups()
    if machine != process_tag().split("-")[0]:
        return time.time() - entry.lstat().st_mtime > STALE_SECONDS
    if int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's, or no number of a process
    return False


def _escaped(name: str) -> str:
    """A name in which no character stands for others in a glob."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def fsync(path: Path) -> None:
    """Have the disk hold a file before it gets its name: after a power cut a name must not lead to an empty file."""
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
