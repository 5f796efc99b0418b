"""The files of a folder, or those of one sample among several that lie side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from spacex._check import InputError
from spacex.io._files import listed

_SEPARATORS = "._- "
MAX_SHOWN = 12


@dataclass(frozen=True)
class Folder:
    """A folder, with the names of what lies in it.

    Attributes
    ----------
    path
        The folder.
    sample
        Beginning of the names of the files of one sample; None: all files belong together.
    """

    path: Path
    sample: str | None = None

    @property
    def entries(self) -> list[Path]:
        """Files and folders, sorted by name: those of the sample, where one was chosen."""
        entries = sorted(self.path.iterdir())
        if self.sample is None:
            return entries
        chosen = [entry for entry in entries if entry.name.startswith(self.sample)]
        return chosen or [entry for entry in entries if self.sample in entry.name]

    def glob(self, *patterns: str, inside: Sequence[str] = ("",)) -> list[Path]:
        """Entries whose names fit a pattern, without case: by pattern, then by folder `inside` this one, then by name.

        A pattern fits the name itself or what follows the name of a sample.
        """
        folders = [self if not name else Folder(self.path / name) for name in inside]
        held = [entry for folder in folders if folder.path.is_dir() for entry in folder.entries]
        return [entry for pattern in patterns for entry in held if _fits(entry.name, pattern)]


def _fits(name: str, pattern: str) -> bool:
    folded = name.casefold()
    return any(fnmatch(folded, before + pattern.casefold()) for before in ("", *(f"*{mark}" for mark in _SEPARATORS)))


def one_of(paths: Sequence[Path], what: str, folder: Folder, ends: Iterable[str]) -> Path:
    """Return the only path, or raise `InputError` that lists the samples that they belong to."""
    if len(paths) == 1:
        return paths[0]
    names = samples(paths, ends)
    raise InputError(
        f"path='{folder.path}' holds several {what}, {listed(p.name for p in paths[:MAX_SHOWN])}"
        f"{', ...' if len(paths) > MAX_SHOWN else ''}; pass the one of a sample: sample={names[0]!r}"
        + (f" (there are {listed(map(repr, names[:MAX_SHOWN]))})" if len(names) > 1 else "")
    )


def samples(paths: Sequence[Path], ends: Iterable[str]) -> list[str]:
    """Names of samples: what comes before these ends in the names of files."""
    names = []
    for path in paths:
        folded = path.name.casefold()
        starts = [folded.index(end) for end in map(str.casefold, ends) if end in folded]
        name = path.name[: min(starts)] if starts else path.name.split(".")[0]
        names.append(name.rstrip(_SEPARATORS) or path.name)
    return list(dict.fromkeys(names))
