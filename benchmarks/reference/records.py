"""Vectors of all sections of a corpus, computed once, and references of any of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import spacex as sx

from .sections import CorpusSection


def compute_records(sections: Iterable[CorpusSection], folder: Path) -> None:
    """Write the record file of each section that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        if not (folder / f"{section.name}-0.safetensors").exists():
            sx.Reference.write_sections(section.load(), folder, name=section.name)


def reference_of(sections: Iterable[CorpusSection], folder: Path) -> sx.Reference:
    """Return the reference of sections with record files."""
    return sx.Reference.fit([folder / f"{section.name}-0.safetensors" for section in sections], progress=False)
