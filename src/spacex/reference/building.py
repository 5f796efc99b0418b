"""Adding sections to the state of a reference: their vectors are computed one section at a time, and merged."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sized
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_name
from spacex.reference.merging import check_sections, merge
from spacex.reference.record_files import load_record
from spacex.reference.sections import SectionSettings
from spacex.reference.sources import section_sources
from spacex.reference.state import ReferenceState
from spacex.reference.workers import compute_records

MAX_WORKERS = 1024


def add_sections(
    state: ReferenceState, sections: Any, library_key: str | None, layer: str | None, n_workers: int, progress: bool
) -> ReferenceState:
    """Compute the vectors of sections, keep them in a temporary folder, and merge them into a state.

    Arguments and errors are those of `spacex.Reference.fit`.
    """
    check_name(library_key, name="library_key")
    check_name(layer, name="layer")
    n_workers = check_int(n_workers, name="n_workers", low=1, high=MAX_WORKERS)
    progress = check_bool(progress, name="progress")
    taken: Collection[str] = {section.name for section in state.sections}
    sources = section_sources(sections, taken)
    settings = SectionSettings(library_key, layer, state.seed)
    total = len(sources) if isinstance(sources, Sized) else None
    files: list[Path] = []
    infos = list(state.sections)
    with (
        tempfile.TemporaryDirectory(prefix="spacex-reference-") as folder,
        tqdm(total=total, desc="reference", unit="section", disable=not progress) as bar,
    ):
        for new_files in compute_records(sources, settings, Path(folder), n_workers):
            files += new_files
            infos += [load_record(file).info for file in new_files]
            check_sections(infos)
            bar.update()
        if not files:
            raise InputError("sections holds no section; pass AnnData objects or paths that sx.read can read")
        return merge(state, files)
