"""The command ``spacex reference``: make or update a reference of many sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import spacex as sx
from spacex._infra.errors import InputError
from spacex._infra.validation import check_output_file
from spacex.cli._batch import list_sections
from spacex.cli._log import log_status


def write_reference(
    inputs: Sequence[Path],
    out: Path,
    *,
    update: Path | None,
    library_key: str | None,
    layer: str | None,
    seed: int | None,
    workers: int,
) -> None:
    """Make a reference of the sections, or add them to that of `update`, and write it to a file.

    Parameters
    ----------
    inputs
        Sections, or folders of .h5ad and .zarr files.
    out
        File to write; none of the inputs.
    update
        Reference to add the sections to.
    library_key, layer
        As for `spacex.Reference.fit`.
    seed
        Seed; None for 0, or that of `update`.
    workers
        Number of sections to read in parallel.

    Raises
    ------
    InputError
        If an input cannot be used, `out` is one of them, or `seed` is not that of `update`.
    """
    sections = list_sections(inputs)
    out = check_output_file(out, name="out", example="reference.safetensors")
    for path in [*sections, *([] if update is None else [update])]:
        if path.exists() and out.exists() and out.samefile(path):
            raise InputError(f"-o {out} would overwrite the input {path}; pass another file name")
    if update is None:
        n_before = 0
        reference = sx.Reference.fit(sections, library_key=library_key, layer=layer, seed=seed or 0, n_workers=workers)
    else:
        earlier = sx.Reference.load(update)
        if seed not in (None, earlier.seed):
            raise InputError(f"seed={seed} is not that of {update}, which is {earlier.seed}; leave it out")
        n_before = len(earlier.sections)
        reference = earlier.update(sections, library_key=library_key, layer=layer, n_workers=workers)
    reference.save(out)
    for section in reference.sections[n_before:].itertuples():
        described = ", ".join(filter(None, (section.tissue, section.technology))) or "no tissue or technology"
        log_status(f"{section.name}: {section.n_genes} genes, {section.n_spots} spots ({described})")
    n_genes, n_sections, n_groups = len(reference.genes), len(reference.sections), len(reference.groups)
    log_status(f"wrote {out}: {n_genes} genes, {n_sections} section(s), {n_groups} group(s)")
