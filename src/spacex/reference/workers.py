"""Computation of the vectors of many sections, in this process or in several processes of this machine."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from anndata import AnnData

from spacex._infra.errors import InputError, WorkerError
from spacex.reference.record_files import save_record
from spacex.reference.sections import SectionSettings, section_records
from spacex.reference.sources import SectionSource


def compute_records(
    sources: Iterable[SectionSource], settings: SectionSettings, folder: Path, n_workers: int
) -> Iterator[list[Path]]:
    """Write the records of all sections to files, and yield the files of each source when it is complete.

    Parameters
    ----------
    sources
        Sections; those of a generator are taken one at a time.
    settings
        Settings of all sections.
    folder
        Empty folder for the files.
    n_workers
        Number of sources that are read in parallel. Above one, every source has its own process, whose memory is
        released when it is complete.

    Raises
    ------
    InputError
        If a section cannot be used.
    WorkerError
        If a process was killed or failed otherwise; all others are stopped.
    """
    if n_workers > 1:
        yield from _in_processes(sources, settings, folder, n_workers)
        return
    for number, source in enumerate(sources):
        yield _write_records(source, settings, folder, number)


def _write_records(source: SectionSource, settings: SectionSettings, folder: Path, number: int) -> list[Path]:
    files = []
    for part, record in enumerate(section_records(source, settings)):
        files.append(folder / f"{number}-{part}.safetensors")
        save_record(record, files[-1])
    return files


def _in_processes(
    sources: Iterable[SectionSource], settings: SectionSettings, folder: Path, n_workers: int
) -> Iterator[list[Path]]:
    from spacex.distributed.worker_processes import block_sigint, hide_main_module

    context = multiprocessing.get_context("spawn")
    running: dict[int, tuple[BaseProcess, int, str]] = {}
    try:
        for number, source in enumerate(sources):
            if isinstance(source.data, AnnData) and source.data.isbacked:
                raise InputError(f"section {source.name!r} is backed; pass its path, or n_workers=1")
            process: BaseProcess = context.Process(
                target=_worker_main, args=(source, settings, str(folder), number), daemon=True
            )
            with hide_main_module(), block_sigint():  # the parent stops its children after Ctrl-C
                process.start()
            running[process.sentinel] = process, number, source.name
            while len(running) >= n_workers:
                yield from _finished(running, folder)
        while running:
            yield from _finished(running, folder)
    finally:
        for process, _, _ in running.values():
            process.kill()
            process.join()


def _finished(running: dict[int, tuple[BaseProcess, int, str]], folder: Path) -> Iterator[list[Path]]:
    """Wait until a process ends; yield its files, or raise its error."""
    for sentinel in wait(list(running)):
        assert isinstance(sentinel, int)
        process, number, name = running.pop(sentinel)
        process.join()
        if process.exitcode:
            raise _to_error(name, process.exitcode, folder / f"{number}.json")
        yield sorted(folder.glob(f"{number}-*.safetensors"))


def _worker_main(source: SectionSource, settings: SectionSettings, folder: str, number: int) -> None:
    """Write the records of one source; on failure write the reason to the folder."""
    try:
        _write_records(source, settings, Path(folder), number)
    except Exception as error:
        reason = {"is_input_error": isinstance(error, InputError), "message": str(error), "kind": type(error).__name__}
        (Path(folder) / f"{number}.json").write_text(json.dumps(reason), encoding="utf-8")
        sys.exit(1)


def _to_error(name: str, exit_code: int, file: Path) -> Exception:
    if exit_code < 0:
        return WorkerError(
            f"section {name!r}: its process was killed by {signal.Signals(-exit_code).name} (SIGKILL usually means out "
            "of memory), so the fit was stopped; pass fewer workers or free memory, and rerun"
        )
    if not file.is_file():
        return WorkerError(f"section {name!r}: its process ended with exit code {exit_code}; rerun with n_workers=1")
    reason = json.loads(file.read_text(encoding="utf-8"))
    if reason["is_input_error"]:
        return InputError(reason["message"])
    return WorkerError(f"section {name!r}: {reason['kind']}: {reason['message']}; rerun with n_workers=1 for details")
