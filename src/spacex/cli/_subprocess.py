"""Command lines that run as processes of their own: some at a time on this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event
from typing import Any, NamedTuple

from spacex._infra.errors import InputError
from spacex._infra.validation import check_installed
from spacex.cli._interrupt import PARENT
from spacex.cli._log import log_status

CONNECT_SECONDS = 10


class Job(NamedTuple):
    """A command line of ``spacex``, and what it is called."""

    name: str
    arguments: list[str]


End = tuple[int, int, str]
"""Number of a job, its exit code, and the last line that it said."""


class WorkerPool:
    """Processes on this machine that can be stopped together."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = Event()

    def follow(self, job: Job, prefix: str) -> tuple[int, str]:
        """Run a job, pass on what it says, and return its exit code and its last line, or what ended it.

        It ends by itself where this process is gone.
        """
        if self.stopped.is_set():
            return -1, "stopped"
        last, command = "", [sys.executable, "-m", "spacex.cli", *job.arguments]
        here = {**os.environ, PARENT: str(os.getpid())}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=here) as process:
            assert process.stderr is not None
            self.running.add(process)
            if self.stopped.is_set():  # in the meantime
                process.terminate()
            try:
                for line in process.stderr:
                    sys.stderr.write(f"{prefix}{line}")
                    last = line.strip().removeprefix("spacex: ") or last
            except BaseException:
                self.stop()
                raise
        self.running.discard(process)
        return process.returncode, _killed_by(-process.returncode) if process.returncode < 0 else last

    def stop(self) -> None:
        """Ask all to end; they remove what is half-written."""
        self.stopped.set()
        for process in list(self.running):
            process.terminate()
        for process in list(self.running):
            process.wait()


def run_locally(jobs: Sequence[Job], workers: int) -> Generator[End, None, None]:
    """Run jobs on this machine, so many at a time; what they come to, as they end."""
    children = WorkerPool()
    if workers == 1:
        for number, job in enumerate(jobs):
            log_status(f"section {number + 1} of {len(jobs)}: {job.name}")
            yield number, *children.follow(job, "  ")
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(children.follow, job, f"  {job.name}: "): n for n, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        except BaseException:  # also where the caller has seen enough
            children.stop()
            raise


def on_cluster(jobs: Sequence[Job], scheduler: str) -> Generator[End, None, None]:
    """Run jobs on the workers of a Dask cluster, which see the same files; what they come to, as they end."""
    check_installed("distributed", extra="scale", purpose="--scheduler")
    from distributed import Client
    from distributed import as_completed as completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler} cannot be reached ({error}); start it: dask scheduler") from error
    with client:
        log_status(f"{len(jobs)} sections on {scheduler}")
        futures: dict[Any, int] = {client.submit(_follow_here, job, pure=False): n for n, job in enumerate(jobs)}
        try:
            for future in completed(list(futures)):
                number = futures[future]
                broken = future.exception()
                code, last = future.result() if broken is None else (1, f"{type(broken).__name__}: {broken}")
                log_status(f"{jobs[number].name}: {'complete' if code == 0 else last}")
                yield number, code, last
        finally:
            client.cancel(list(futures))


def _follow_here(job: Job) -> tuple[int, str]:
    """Run a job on the worker that calls this."""
    return WorkerPool().follow(job, f"{job.name}: ")


def _killed_by(number: int) -> str:
    """What is to be said of a process that a signal ended."""
    name = signal.Signals(number).name
    return (
        f"ended by {name}, mostly the system's answer to memory running out"
        if name == "SIGKILL"
        else f"ended by {name}"
    )
