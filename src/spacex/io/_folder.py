"""The files of a folder, or those of one sample among several that lie side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from spacex._infra.errors import InputError
from spacex.io._files import PACKED, REDOWNLOAD_HINT, join_names

SEPARATORS = "._ -"
MAX_SHOWN = 12


class Sample(NamedTuple):
    """What stands before and after the usual name of a file, such as the name of a sample."""

    before: str = ""
    after: str = ""


class Part(NamedTuple):
    """A file or folder of a layout."""

    path: Path
    sample: Sample
    """The sample that its name tells."""
    is_alone: bool = True
    """Whether nothing of another sample is in the folder."""


@dataclass(frozen=True)
class Folder:
    """A folder, with the names of what lies in it.

    Patterns are names of files, in which ``*`` stands for anything and ``{}`` for the name of a sample. A name fits
    with or without that of a sample in front, and with or without the ending of a compressed file; a pattern without
    a dot is one of folders.

    Attributes
    ----------
    path
        The folder.
    sample
        Name of one sample, a part of the names of its files; None: all files belong together.
    """

    path: Path
    sample: str | None = None

    @cached_property
    def _all(self) -> list[Path]:
        return sorted(self.path.iterdir())

    @property
    def entries(self) -> list[Path]:
        """Files and folders, sorted by name: those of the sample, where one was chosen."""
        sample = self.sample
        return [entry for entry in self._all if sample is None or is_of_sample(entry.name, sample)]

    def parts(self, *patterns: str, inside: Iterable[str] = ("",)) -> list[Part]:
        """What fits a pattern, of all samples: by pattern, then by folder `inside` this one, then by name."""
        held = [entry for name in inside for entry in self._inside(name)]
        parts: dict[Path, Part] = {}
        for pattern in patterns:
            for path, sample_of_folder in held:
                sample = _fit(path.name, pattern)
                if sample is not None and path.is_dir() == ("." not in pattern):
                    parts.setdefault(path, Part(path, sample if any(sample) else sample_of_folder))
        return list(parts.values())

    def _inside(self, name: str) -> list[tuple[Path, Sample]]:
        """Entries of folders of this name, with the sample that the name of the folder tells."""
        if not name:
            return [(entry, Sample()) for entry in self._all]
        return [(entry, folder.sample) for folder in self.parts(name) for entry in sorted(folder.path.iterdir())]

    def only(self, *patterns: str) -> Part | None:
        """What fits the first pattern that anything fits, of one sample; None where nothing does.

        An error where files of several samples fit.
        """
        parts = self.parts(*patterns)
        is_alone = len({part.sample for part in parts}) <= 1
        if self.sample is not None:
            parts = [part for part in parts if is_of_sample(part.path.name, self.sample)]
            exact = [part for part in parts if self.sample in map(_bare, part.sample)]
            parts = exact or parts
        if len({part.sample for part in parts}) > 1:
            raise self.several(parts)
        return parts[0]._replace(is_alone=is_alone) if parts else None

    def one(self, *patterns: str, lacks: str = "") -> Part:
        """The same, or an error that says what is lacking where nothing fits."""
        part = self.only(*patterns)
        if part is None:
            raise InputError(f"path='{self.path}' lacks {patterns[0].replace('{}', '')}; {lacks or REDOWNLOAD_HINT}")
        return part

    def beside(self, part: Part, *patterns: str, inside: Iterable[str] = ("",)) -> list[Path]:
        """What fits some patterns and is of the sample of a part, by pattern.

        What is named by no sample, or by another, belongs to the part only where it is the only one in the folder.
        """
        held = self.parts(*patterns, inside=inside)
        own = [other for other in held if other.sample == part.sample]
        if not own and part.is_alone:
            own = held
            if len({other.sample for other in held}) > 1:
                raise self.several(held)
        return [other.path for other in own]

    def several(self, parts: Iterable[Part]) -> InputError:
        """The error for files of several samples, which lists them."""
        parts = list(parts)
        befores, afters = (
            [_bare(name) for name in names] for names in zip(*(part.sample for part in parts), strict=True)
        )
        names = befores if len(set(befores)) >= len(set(afters)) else afters
        return several_samples(self.path, [part.path for part in parts], names)


def several_samples(folder: Path, paths: Iterable[Path], names: Iterable[str]) -> InputError:
    """The error for files of several samples, which lists them and the option that picks one."""
    names = sorted({name for name in names if name})
    files = [path.name for path in paths]
    more = ", ..." if len(files) > MAX_SHOWN else ""
    return InputError(
        f"path='{folder}' holds several samples, {join_names(map(repr, names[:MAX_SHOWN]))} (files "
        f"{join_names(files[:MAX_SHOWN])}{more}); pass one of them: sample={names[0]!r}"
    )


def sample_names(paths: Iterable[Path]) -> list[str]:
    """The parts of the names of files in which they differ; none where one of them has nothing of its own."""
    parts = [re.split(rf"([{SEPARATORS}])", path.name) for path in paths]
    shortest = min(map(len, parts), default=0)
    n_before = next((i for i in range(shortest) if len({part[i] for part in parts}) > 1), shortest)
    ends = range(1, shortest - n_before + 1)
    n_after = next((i - 1 for i in ends if len({part[-i] for part in parts}) > 1), shortest - n_before)
    names = [_bare("".join(part[n_before : len(part) - n_after])) for part in parts]
    return names if len(names) > 1 and all(names) else []


def _bare(name: str) -> str:
    """The name of a sample without what divides it from the rest of the name of a file."""
    return name.strip(SEPARATORS)


def is_of_sample(name: str, sample: str) -> bool:
    """Whether the name of a file begins with that of a sample, or has it between others: S1 is not in S10."""
    wanted = re.escape(_bare(sample))
    number_ends = "(?![0-9])" if wanted[-1:].isdigit() else ""
    return re.search(rf"^{wanted}{number_ends}|(?<![A-Za-z0-9]){wanted}(?![A-Za-z0-9])", name) is not None


def _fit(name: str, pattern: str) -> Sample | None:
    """What stands before and after the usual name in the name of a file; None where it does not fit a pattern."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\{\}", rf"(?P<after>(?:[{SEPARATORS}].*?)?)")
    packed = PACKED if "." in pattern else ""
    fitted = re.fullmatch(rf"(?P<before>(?:.*[{SEPARATORS}])?){text}{packed}", name, re.IGNORECASE)
    if fitted is None:
        return None
    groups = fitted.groupdict()
    return Sample(groups["before"], groups.get("after", ""))
