"""Computation of the vectors of many sections, in this process or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from anndata import AnnData

from spacex._infra.errors import InputError, WorkerError
from spacex.reference.record_files import SUFFIX, save_record
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
        Number of sources that are read in parallel. Above one, they are read in separate processes.

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
        yield write_records(source, settings, folder, str(number))


def write_records(source: SectionSource, settings: SectionSettings, folder: Path, prefix: str) -> list[Path]:
    """Write the records of a source to files of a folder whose names start with `prefix`; return the files."""
    files = []
    for part, record in enumerate(section_records(source, settings)):
        files.append(folder / f"{prefix}-{part}{SUFFIX}")
        save_record(record, files[-1])
    return files


class _Worker:
    """Process that computes one source after the other, so that it imports the packages once."""

    def __init__(self, settings: SectionSettings, folder: Path):
        from spacex.distributed.worker_processes import block_sigint, hide_main_module

        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=_worker_main, args=(other_end, settings, str(folder)), daemon=True)
        self.name = ""
        with hide_main_module(), block_sigint():  # the parent stops its children after Ctrl-C
            self.process.start()
        other_end.close()  # so that the end of the process closes the pipe

    def start(self, number: int, source: SectionSource) -> None:
        """Begin to compute the records of a source."""
        if isinstance(source.data, AnnData) and source.data.isbacked:
            raise InputError(f"section {source.name!r} is backed; pass its path, or n_workers=1")
        self.name = source.name
        try:
            self.connection.send((number, source))
        except OSError as error:  # the process has ended
            raise self._lost() from error

    def files(self) -> list[Path]:
        """Return the files of the source when they are complete, or raise the error of the process."""
        try:
            result = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if isinstance(result, Exception):
            raise result
        return list(result)

    def stop(self) -> None:
        """End the process, also in the middle of a section."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _lost(self) -> WorkerError:
        self.process.join()
        return lost_worker_error(self.name, self.process.exitcode or 0)


def _in_processes(
    sources: Iterable[SectionSource], settings: SectionSettings, folder: Path, n_workers: int
) -> Iterator[list[Path]]:
    idle: list[_Worker] = []
    busy: dict[Any, _Worker] = {}
    try:
        for number, source in enumerate(sources):
            if len(busy) == n_workers:
                yield from _finished(busy, idle)
            worker = idle.pop() if idle else _Worker(settings, folder)
            busy[worker.connection] = worker
            worker.start(number, source)
        while busy:
            yield from _finished(busy, idle)
    finally:
        for worker in (*idle, *busy.values()):
            worker.stop()


def _finished(busy: dict[Any, _Worker], idle: list[_Worker]) -> Iterator[list[Path]]:
    """Wait until any worker completes a source; yield its files, or raise its error."""
    for connection in wait(list(busy)):
        files = busy[connection].files()
        idle.append(busy.pop(connection))
        yield files


def _worker_main(connection: Connection, settings: SectionSettings, folder: str) -> None:
    """Compute sources until the process is stopped; send the files of each, or the error."""
    while True:
        try:
            number, source = connection.recv()
        except EOFError:  # the parent has ended
            return
        result: list[Path] | Exception
        try:
            result = write_records(source, settings, Path(folder), str(number))
        except InputError as error:
            result = InputError(str(error))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            result = WorkerError(f"section {source.name!r}: {reason}; rerun with n_workers=1 for details")
        connection.send(result)


def lost_worker_error(name: str, exit_code: int) -> WorkerError:
    """Return the error for a process that ended while it computed a section."""
    if exit_code < 0:
        return WorkerError(
            f"section {name!r}: its process was killed by {signal.Signals(-exit_code).name} (SIGKILL usually means out "
            "of memory), so the fit was stopped; pass fewer workers or free memory, and rerun"
        )
    return WorkerError(f"section {name!r}: its process ended with exit code {exit_code}; rerun with n_workers=1")
