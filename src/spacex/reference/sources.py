"""The sections that a user passes: AnnData objects or paths, and their names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anndata import AnnData

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import check_path
from spacex.reference.record_files import SUFFIX, load_record

HINT = "AnnData objects or paths that sx.read can read"


@dataclass(frozen=True, eq=False)
class SectionSource:
    """A section that was not read yet, or an AnnData, and its name."""

    name: str
    data: AnnData | Path


def section_sources(sections: Any, taken: Collection[str] = ()) -> Iterable[SectionSource]:
    """Names and inputs of the sections.

    A list or dict is checked as a whole before it is returned; other iterables are read one item at a time.

    Parameters
    ----------
    sections
        AnnData objects or paths, or a dict from names to these.
    taken
        Names that are not allowed, because a reference has them.

    Raises
    ------
    InputError
        If `sections` is neither, a path does not exist, or names are repeated.
    """
    if isinstance(sections, (AnnData, str, os.PathLike)):
        sections = [sections]
    if isinstance(sections, bytes) or not isinstance(sections, Iterable):
        raise InputError(f"sections={safe_repr(sections)} is not allowed; pass a list or a dict of {HINT}")
    if not isinstance(sections, (Mapping, Sequence)):
        return _checked(sections, taken)
    if not sections:
        raise InputError(f"sections={safe_repr(sections)} holds no section; pass {HINT}")
    return list(_checked(sections, taken))


def _checked(sections: Iterable[Any], taken: Collection[str]) -> Iterator[SectionSource]:
    items = sections.items() if isinstance(sections, Mapping) else ((None, section) for section in sections)
    used = set(taken)
    for number, (key, section) in enumerate(items, start=1):
        source = _to_source(number, key, section)
        if source.name in used:
            problem = "is in this reference already" if source.name in taken else "occurs more than once"
            raise InputError(
                f"sections: the name {source.name!r} {problem}; rename the file, or pass a dict from names to sections"
            )
        used.add(source.name)
        yield source


def _to_source(number: int, key: object, section: Any) -> SectionSource:
    if isinstance(section, AnnData):
        stored = section.uns.get("name")
        name = str(stored) if isinstance(stored, str) and stored else f"section_{number}"
        return SectionSource(name if key is None else str(key), section)
    path = check_path(section, name="sections", hint=HINT)
    if not os.path.exists(path):
        raise InputError(f"sections: '{path}' cannot be found; check its spelling and the working directory")
    return SectionSource(_name_of_path(path) if key is None else str(key), path)


def _name_of_path(path: Path) -> str:
    if path.suffix == SUFFIX:
        return load_record(path).info.name
    return path.resolve().parent.name if path.name == "outs" else path.stem
