"""Vectors of all sections of a corpus, computed once, and references of any of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

import spacex as sx
from spacex.reference.merging import merge
from spacex.reference.record_files import save_record
from spacex.reference.sections import SectionSettings, section_records
from spacex.reference.sources import SectionSource
from spacex.reference.state import ReferenceState

from .sections import CorpusSection

N_DIMS = 128


def compute_records(sections: Iterable[CorpusSection], folder: Path) -> None:
    """Write the record file of each section that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        file = folder / f"{section.name}.safetensors"
        if not file.exists():
            (record,) = section_records(SectionSource(section.name, section.load()), SectionSettings())
            save_record(record, file)


def reference_of(sections: Iterable[CorpusSection], folder: Path) -> sx.Reference:
    """Return the reference that `spacex.Reference.fit` makes of sections with record files."""
    empty = ReferenceState(genes=np.array([], dtype=object), groups=(), sections=(), n_dims=N_DIMS, seed=0)
    return sx.Reference(merge(empty, [folder / f"{section.name}.safetensors" for section in sections]))
