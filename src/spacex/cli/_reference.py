"""The command ``spacex reference``: make or update a reference of many sections."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import spacex as sx
from spacex._infra.atomic_write import DRAFT_MARK, process_tag, remove_on_exit, remove_stale, translate_os_errors
from spacex._infra.errors import InputError, WorkerError
from spacex._infra.validation import check_output_file
from spacex.cli._batch import list_sections, section_names
from spacex.cli._log import log_status
from spacex.cli._subprocess import Job, run_on_cluster

VECTORS_COMMAND = "reference-vectors"


@dataclass(frozen=True)
class ReferenceOptions:
    """Options of ``spacex reference``; `seed` None means 0, or that of the reference to update."""

    library_key: str | None = None
    layer: str | None = None
    seed: int | None = None
    workers: int = 1
    scheduler: str | None = None


def write_reference(inputs: Sequence[Path], out: Path, options: ReferenceOptions, *, update: Path | None) -> None:
    """Make a reference of the sections, or add them to that of `update`, and write it to a file.

    Parameters
    ----------
    inputs
        Sections, or folders of .h5ad and .zarr files.
    out
        File to write; none of the inputs.
    options
        Options of the command.
    update
        Reference to add the sections to.

    Raises
    ------
    InputError
        If an input cannot be used, `out` is one of them, or the seed is not that of `update`.
    """
    sections = list_sections(inputs)
    out = check_output_file(out, name="out", example="reference.safetensors")
    for path in [*sections, *([] if update is None else [update])]:
        if path.exists() and out.exists() and out.samefile(path):
            raise InputError(f"-o {out} would overwrite the input {path}; pass another file name")
    earlier = None if update is None else sx.Reference.load(update)
    if earlier is not None and options.seed not in (None, earlier.seed):
        raise InputError(f"seed={options.seed} is not that of {update}, which is {earlier.seed}; leave it out")
    seed = (options.seed or 0) if earlier is None else earlier.seed
    if options.scheduler is None:
        reference = _add(earlier, sections, options, seed)
    else:
        with _vectors_on_cluster(sections, out, options, seed, options.scheduler) as files:
            reference = _add(earlier, files, options, seed)
    reference.save(out)
    _log_summary(reference, out, 0 if earlier is None else len(earlier.sections))


def _add(earlier: sx.Reference | None, sections: Sequence[Path], options: ReferenceOptions, seed: int) -> sx.Reference:
    """Return a reference of the sections, and of those of an earlier reference."""
    key, layer, n_workers = options.library_key, options.layer, options.workers
    if earlier is None:
        return sx.Reference.fit(sections, library_key=key, layer=layer, seed=seed, n_workers=n_workers)
    return earlier.update(sections, library_key=key, layer=layer, n_workers=n_workers)


@contextmanager
def _vectors_on_cluster(
    sections: Sequence[Path], out: Path, options: ReferenceOptions, seed: int, scheduler: str
) -> Iterator[list[Path]]:
    """Yield the files of `spacex.Reference.write_sections`, written by a Dask cluster to a folder beside `out`."""
    names = section_names(sections)
    prefix = f".{out.name[:60]}-sections{DRAFT_MARK}"
    for stale in remove_stale(out.parent, prefix):
        shutil.rmtree(stale, ignore_errors=True)
    folder = out.parent / f"{prefix}{process_tag()}"
    flags = ["--seed", str(seed)]
    for flag, value in (("--library-key", options.library_key), ("--layer", options.layer)):
        flags += [] if value is None else [flag, value]
    jobs = [
        Job(name, [VECTORS_COMMAND, str(path.absolute()), "-o", str(folder.absolute()), *flags])
        for name, path in zip(names, sections, strict=True)
    ]
    with translate_os_errors(out), remove_on_exit(folder):
        folder.mkdir()
        with closing(run_on_cluster(jobs, scheduler)) as results:
            for index, code, last_line in results:
                if code:
                    message = last_line or f"section {names[index]!r}: exit code {code}"
                    raise InputError(message) if code == 2 else WorkerError(f"section {names[index]!r}: {message}")
        yield sorted(folder.glob("*.safetensors"))


def _log_summary(reference: sx.Reference, out: Path, n_before: int) -> None:
    for section in reference.sections[n_before:].itertuples():
        described = ", ".join(filter(None, (section.tissue, section.technology))) or "no tissue or technology"
        log_status(f"{section.name}: {section.n_genes} genes, {section.n_spots} spots ({described})")
    n_genes, n_sections, n_groups = len(reference.genes), len(reference.sections), len(reference.groups)
    log_status(f"wrote {out}: {n_genes} genes, {n_sections} section(s), {n_groups} group(s)")
