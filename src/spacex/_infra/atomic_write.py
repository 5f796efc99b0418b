"""Atomic writes: a file or folder appears complete under its name, or not at all."""

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

from spacex._infra.errors import DiskFullError, truncate

DRAFT_MARK = ".spacex-draft-"
STALE_SECONDS = 86_400.0
"""Age at which the draft of a process on another machine counts as abandoned."""

DISK_FULL_MESSAGE = re.compile(r"no space left|file too large|disk quota|errno = (28|27|122)\b", re.IGNORECASE)
"""Messages of HDF5 and safetensors about a full disk; their errors carry no errno."""

_drafts: set[Path] = set()
"""Drafts that this process is writing."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix; move it to `path` on success, remove it on error.

    Links are followed: the target of `path` is replaced. Drafts of the same file that killed processes left behind are
    removed first.
    """
    path = Path(os.path.realpath(path))
    remove_stale(path.parent, f".{path.name[:60]}{DRAFT_MARK}")
    draft = path.with_name(f".{path.name[:60]}{DRAFT_MARK}{process_tag()}{path.suffix}")
    with translate_os_errors(path), remove_on_exit(draft):
        yield draft
        fsync(draft)
        os.replace(draft, path)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """Yield a text file that replaces `path` on success; on error `path` stays as it was."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as file:
        yield file


@contextmanager
def remove_on_exit(draft: Path) -> Iterator[None]:
    """Remove a draft, file or folder, on exit, if it still exists; `remove_drafts` removes it earlier."""
    _drafts.add(draft)
    try:
        yield
    finally:
        _remove(draft)
        _drafts.discard(draft)


def remove_drafts() -> None:
    """Remove all drafts of this process, before it exits without unwinding the stack."""
    for draft in list(_drafts):
        _remove(draft)


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Replace errors about a full disk, permissions or a missing folder by one `OSError` with a clear message."""
    try:
        yield
    except Exception as error:
        kind: type[OSError] = OSError
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or DISK_FULL_MESSAGE.search(str(error)):
            kind, reason = DiskFullError, "the disk is full; free some space"
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "no permission; change the permissions"
        elif number in (errno.ENOENT, errno.ENOTDIR) and not path.parent.is_dir():
            reason = f"the folder '{path.parent}' does not exist; create it first"
        else:
            raise
        raise kind(truncate(f"'{path}' cannot be written: {reason}, or pass another path")) from error


def process_tag() -> str:
    """Part of the name of a draft that identifies the machine and the process."""
    return f"{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}-{os.getpid()}"


def remove_stale(folder: Path, prefix: str) -> list[Path]:
    """Remove drafts whose names start with `prefix` and whose process has ended; folders are returned instead."""
    stale = [entry for entry in folder.glob(f"{_escape_glob(prefix)}*") if _is_stale(entry, prefix)]
    for entry in stale:
        if not entry.is_dir():
            entry.unlink(missing_ok=True)
    return [entry for entry in stale if entry.is_dir()]


def _is_stale(entry: Path, prefix: str) -> bool:
    """Whether the process that wrote a draft has ended; for another machine, whether the draft is old."""
    tag = re.match(r"([0-9a-f]{8})-(\d+)", entry.name.removeprefix(prefix))
    if tag is None:
        return False
    machine, process = tag.groups()
    if machine != process_tag().split("-")[0]:
        return time.time() - entry.lstat().st_mtime > STALE_SECONDS
    if int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # a process of another user, or an invalid process id
    return False


def _escape_glob(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def fsync(path: Path) -> None:
    """Flush a file to disk before it is renamed, so that a power failure cannot leave an empty file."""
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
