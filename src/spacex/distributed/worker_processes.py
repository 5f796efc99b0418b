"""`run_in_processes`: call a function in new processes of this machine, as torchrun would.

The launchers of Lightning Fabric and torchrun run the main script again in every process, and do not report which
process failed first or was killed. This launcher needs no ``if __name__ == "__main__"`` guard, reports the first cause
in one line, and leaves no process behind after Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from spacex._infra.errors import InputError, WorkerError
from spacex.distributed.fabric import suppress_lightning_logs

FAILURE_FILE = "failed-{}.txt"
"""File in which the process of a rank writes why it failed."""
HAS_SIGNAL_MASK = hasattr(signal, "pthread_sigmask")


def run_in_processes(work: Callable[..., None], folder: str, n_processes: int, *arguments: Any) -> None:
    """Call ``work(folder, *arguments)`` in new processes of this machine.

    Parameters
    ----------
    work
        Function of a module; ranks are in the environment, as torchrun sets them.
    folder
        Empty folder for results and failure messages.
    n_processes
        Number of processes.
    arguments
        Arguments that can be pickled.

    Raises
    ------
    InputError
        If a process raised `InputError`.
    WorkerError
        If a process failed otherwise or was killed. All other processes are stopped.
    """
    worker_arguments, context = (work, folder, n_processes, _free_port(), *arguments), None
    try:
        with hide_main_module(), block_sigint():
            context = start_processes(
                _worker_main, worker_arguments, nprocs=n_processes, join=False, daemon=True, start_method="spawn"
            )
        with suppress_lightning_logs():
            while not context.join():
                pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        exit_codes = [process.exitcode or 0 for process in context.processes] if context is not None else []
        raise _to_worker_error(error, exit_codes, Path(folder)) from error
    finally:
        # KeyboardInterrupt is raised in this process only; stop the others.
        for process in context.processes if context is not None else ():
            if process.is_alive():
                process.kill()
            process.join()
        for error_file in context.error_files if context is not None else ():  # torch leaves these pickles
            Path(error_file).unlink(missing_ok=True)


def _worker_main(rank: int, work: Callable[..., None], folder: str, size: int, port: int, *arguments: Any) -> None:
    """Run `work` with the environment that torchrun sets; on failure write the reason to the folder."""
    # torch sends SIGINT when the parent exits; background jobs of a shell would ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if HAS_SIGNAL_MASK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in ranks.items()})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)  # set if the parent was started by torchrun
    n_threads = max(1, torch.get_num_threads() // size)  # the processes share the cores
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads):
            work(folder, *arguments)
    except Exception as error:
        reason = f"{type(error).__name__}: {last_line(str(error))}"
        (Path(folder) / FAILURE_FILE.format(rank)).write_text(reason, encoding="utf-8")
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _to_worker_error(error: Exception, exit_codes: list[int], folder: Path) -> Exception:
    """Return the error of the process that failed first; the others only lost their connection to it."""
    size = len(exit_codes)
    files = {rank: folder / FAILURE_FILE.format(rank) for rank in range(size)}
    reasons = {rank: text for rank, file in files.items() if file.is_file() and (text := file.read_text("utf-8"))}
    # join() stops the remaining processes with SIGTERM: any other signal came from outside.
    killed = [r for r, code in enumerate(exit_codes) if code < 0 and code != -signal.SIGTERM and r not in reasons]
    if killed:
        return WorkerError(
            f"process {killed[0]} of {size} was killed by {signal.Signals(-exit_codes[killed[0]]).name} (SIGKILL "
            "usually means out of memory), so the fit was stopped; pass fewer devices or free memory, and rerun"
        )
    if not reasons:
        return WorkerError(f"{error}, so the fit was stopped; rerun with devices=1 for details")
    lost_connection = {rank for rank, text in reasons.items() if text.startswith("WorkerError: ")}
    rank = min(reasons.keys() - lost_connection or reasons)
    kind, _, text = reasons[rank].partition(": ")
    if kind == "InputError":
        return InputError(text)
    return WorkerError(text if rank in lost_connection else f"process {rank} of {size} failed: {reasons[rank]}")


def last_line(text: str) -> str:
    """Return the last line of an error message that is not blank."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def block_sigint() -> Iterator[None]:
    """Block SIGINT in children until `_worker_main`, to avoid interleaved tracebacks."""
    if not HAS_SIGNAL_MASK:
        yield
        return
    resource_tracker.ensure_running()  # starting it later would unblock the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def hide_main_module() -> Iterator[None]:
    """Keep new processes from importing the main script, which may have no ``__main__`` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
