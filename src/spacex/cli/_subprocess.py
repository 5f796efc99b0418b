"""Run ``spacex`` commands in subprocesses, on this machine or on a Dask cluster."""

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
from spacex.cli._interrupt import PARENT_VARIABLE
from spacex.cli._log import log_status

CONNECT_SECONDS = 10


class Job(NamedTuple):
    """A ``spacex`` command and its name."""

    name: str
    arguments: list[str]


class JobResult(NamedTuple):
    """Exit code of a job and the last line of its stderr."""

    job_index: int
    exit_code: int
    last_line: str


class WorkerPool:
    """Subprocesses on this machine that are stopped together."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = Event()

    def run(self, job: Job, prefix: str) -> tuple[int, str]:
        """Run a job and copy its stderr; return the exit code and the last line, or the signal that killed it.

        The subprocess terminates when this process exits.
        """
        if self.stopped.is_set():
            return -1, "stopped"
        last_line, command = "", [sys.executable, "-m", "spacex.cli", *job.arguments]
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
            assert process.stderr is not None
            self.running.add(process)
            if self.stopped.is_set():  # stop() was called after the first check
                process.terminate()
            try:
                for line in process.stderr:
                    sys.stderr.write(f"{prefix}{line}")
                    last_line = line.strip().removeprefix("spacex: ") or last_line
            except BaseException:
                self.stop()
                raise
        self.running.discard(process)
        return process.returncode, _killed_by(-process.returncode) if process.returncode < 0 else last_line

    def stop(self) -> None:
        """Terminate all subprocesses; they remove their partial files."""
        self.stopped.set()
        for process in list(self.running):
            process.terminate()
        for process in list(self.running):
            process.wait()


def run_locally(jobs: Sequence[Job], workers: int) -> Generator[JobResult, None, None]:
    """Run up to `workers` jobs in parallel on this machine; yield their results as they end."""
    worker_pool = WorkerPool()
    if workers == 1:
        for index, job in enumerate(jobs):
            log_status(f"section {index + 1} of {len(jobs)}: {job.name}")
            yield JobResult(index, *worker_pool.run(job, "  "))
        return
    with ThreadPoolExecutor(workers) as executor:
        futures = {executor.submit(worker_pool.run, job, f"  {job.name}: "): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield JobResult(futures[future], *future.result())
        except BaseException:  # including GeneratorExit, if the caller stops early
            worker_pool.stop()
            raise


def run_on_cluster(jobs: Sequence[Job], scheduler: str) -> Generator[JobResult, None, None]:
    """Run jobs on the workers of a Dask cluster with a shared file system; yield their results as they end."""
    check_installed("distributed", extra="scale", purpose="--scheduler")
    from distributed import Client
    from distributed import as_completed as completed

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler} cannot be reached ({error}); start it: dask scheduler") from error
    with client:
        log_status(f"{len(jobs)} sections on {scheduler}")
        futures: dict[Any, int] = {client.submit(_run_on_worker, job, pure=False): i for i, job in enumerate(jobs)}
        try:
            for future in completed(list(futures)):
                index = futures[future]
                failure = future.exception()
                code, last_line = future.result() if failure is None else (1, f"{type(failure).__name__}: {failure}")
                log_status(f"{jobs[index].name}: {'complete' if code == 0 else last_line}")
                yield JobResult(index, code, last_line)
        finally:
            client.cancel(list(futures))


def _run_on_worker(job: Job) -> tuple[int, str]:
    """Run a job on the Dask worker that executes this function."""
    return WorkerPool().run(job, f"{job.name}: ")


def _killed_by(signal_number: int) -> str:
    name = signal.Signals(signal_number).name
    return f"killed by {name} (usually out of memory)" if name == "SIGKILL" else f"killed by {name}"
