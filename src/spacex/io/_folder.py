"""The files of a folder, or those of one sample if it holds the files of several samples side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from spacex._infra.errors import InputError
from spacex.io._files import COMPRESSION_SUFFIX, REDOWNLOAD_HINT, join_names

SEPARATORS = "._ -"
MAX_LISTED = 12


class SampleName(NamedTuple):
    """The parts of a file name before and after its usual name."""

    prefix: str = ""
    suffix: str = ""


class Entry(NamedTuple):
    """A file or folder whose name matches a pattern."""

    path: Path
    sample: SampleName
    is_only_sample: bool = True
    """Whether the folder holds no such files of other samples."""


@dataclass(frozen=True)
class Folder:
    """A folder and its entries.

    Patterns are file names in which ``*`` stands for any text and ``{}`` for the name of a sample. A file name matches
    with or without a sample name in front and a compression suffix; a pattern without a dot matches folders only.

    Attributes
    ----------
    path
        The folder.
    sample
        Name of a sample, a part of its file names. None: all files belong together.
    """

    path: Path
    sample: str | None = None

    @cached_property
    def _paths(self) -> list[Path]:
        return sorted(self.path.iterdir())

    @property
    def paths(self) -> list[Path]:
        """Files and folders, of the sample if one is set, sorted by name."""
        return [path for path in self._paths if self.sample is None or is_of_sample(path.name, self.sample)]

    def find(self, *patterns: str, subfolders: Iterable[str] = ("",)) -> list[Entry]:
        """Return the entries of all samples that match a pattern, by pattern, subfolder and name."""
        candidates = [candidate for name in subfolders for candidate in self._entries_of(name)]
        entries: dict[Path, Entry] = {}
        for pattern in patterns:
            for path, sample_of_folder in candidates:
                sample = _match_pattern(path.name, pattern)
                if sample is not None and path.is_dir() == ("." not in pattern):
                    entries.setdefault(path, Entry(path, sample if any(sample) else sample_of_folder))
        return list(entries.values())

    def _entries_of(self, subfolder: str) -> list[tuple[Path, SampleName]]:
        """Return the paths in all subfolders that match a name, with the sample name of the subfolder."""
        if not subfolder:
            return [(path, SampleName()) for path in self._paths]
        return [(path, entry.sample) for entry in self.find(subfolder) for path in sorted(entry.path.iterdir())]

    def find_one(self, *patterns: str) -> Entry | None:
        """Return the entry that matches the first possible pattern, or None; an error if several samples match."""
        entries = self.find(*patterns)
        is_only_sample = len({entry.sample for entry in entries}) <= 1
        if self.sample is not None:
            entries = [entry for entry in entries if is_of_sample(entry.path.name, self.sample)]
            exact = [entry for entry in entries if self.sample in map(strip_separators, entry.sample)]
            entries = exact or entries
        self._check_one_sample(entries)
        return entries[0]._replace(is_only_sample=is_only_sample) if entries else None

    def require(self, *patterns: str, hint: str = REDOWNLOAD_HINT) -> Entry:
        """Return the entry of `find_one`, or raise `InputError` if there is none."""
        entry = self.find_one(*patterns)
        if entry is None:
            raise InputError(f"path='{self.path}' lacks {patterns[0].replace('{}', '')}; {hint}")
        return entry

    def siblings(self, entry: Entry, *patterns: str, subfolders: Iterable[str] = ("",)) -> list[Path]:
        """Return the paths that match a pattern and belong to the sample of an entry, by pattern.

        Files with no sample name, or another one, belong to the entry only if it is of the only sample in the folder.
        """
        candidates = self.find(*patterns, subfolders=subfolders)
        siblings = [candidate for candidate in candidates if candidate.sample == entry.sample]
        if not siblings and entry.is_only_sample:
            self._check_one_sample(candidates)
            siblings = candidates
        return [sibling.path for sibling in siblings]

    def require_sibling(
        self, entry: Entry, *patterns: str, subfolders: Iterable[str] = ("",), hint: str = REDOWNLOAD_HINT
    ) -> Path:
        """Return the first of the `siblings`, or raise `InputError`."""
        siblings = self.siblings(entry, *patterns, subfolders=subfolders)
        if not siblings:
            names = [pattern.replace("{}", "") for pattern in patterns if "*" not in pattern]
            raise InputError(f"path='{self.path}' lacks {' or '.join(names)} for {entry.path.name}; {hint}")
        return siblings[0]

    def _check_one_sample(self, entries: list[Entry]) -> None:
        """Raise `InputError` for entries of several samples."""
        if len({entry.sample for entry in entries}) > 1:
            prefixes, suffixes = (
                list(map(strip_separators, names)) for names in zip(*(entry.sample for entry in entries), strict=True)
            )
            names = prefixes if len(set(prefixes)) >= len(set(suffixes)) else suffixes
            raise several_samples_error(self.path, [entry.path for entry in entries], names)


def several_samples_error(folder: Path, paths: list[Path], names: Iterable[str]) -> InputError:
    """Return the error for files of several samples, which lists the samples and the argument that selects one."""
    names = sorted({name for name in names if name})
    more = ", ..." if len(paths) > MAX_LISTED else ""
    return InputError(
        f"path='{folder}' holds several samples, {join_names(map(repr, names[:MAX_LISTED]))} (files "
        f"{join_names(path.name for path in paths[:MAX_LISTED])}{more}); pass one of them: sample={names[0]!r}"
    )


def sample_names(paths: Iterable[Path]) -> list[str]:
    """Return the parts in which file names differ; empty if one of them has no such part."""
    parts = [re.split(rf"([{SEPARATORS}])", path.name) for path in paths]
    shortest = min(map(len, parts), default=0)
    n_before = next((i for i in range(shortest) if len({part[i] for part in parts}) > 1), shortest)
    ends = range(1, shortest - n_before + 1)
    n_after = next((i - 1 for i in ends if len({part[-i] for part in parts}) > 1), shortest - n_before)
    names = [strip_separators("".join(part[n_before : len(part) - n_after])) for part in parts]
    return names if len(names) > 1 and all(names) else []


def strip_separators(name: str) -> str:
    """Return the name of a sample without the separators between it and the rest of a file name."""
    return name.strip(SEPARATORS)


def is_of_sample(name: str, sample: str) -> bool:
    """Whether a file name begins with, or contains between separators, the name of a sample: S1 is not in S10."""
    pattern = re.escape(strip_separators(sample))
    no_digit = "(?![0-9])" if pattern[-1:].isdigit() else ""
    return re.search(rf"^{pattern}{no_digit}|(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])", name) is not None


def _match_pattern(name: str, pattern: str) -> SampleName | None:
    """Return the text before and after the usual name in a file name, or None if it does not match."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\{\}", rf"(?P<suffix>(?:[{SEPARATORS}].*?)?)")
    compression = COMPRESSION_SUFFIX if "." in pattern else ""
    match = re.fullmatch(rf"(?P<prefix>(?:.*[{SEPARATORS}])?){text}{compression}", name, re.IGNORECASE)
    return SampleName(**match.groupdict()) if match else None
