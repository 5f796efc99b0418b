"""Where a fit runs: in this process, in several of this machine, or with those that torchrun or srun started."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from spacex._config import Config
from spacex._infra.errors import InputError, WorkerError
from spacex._infra.validation import check_installed
from spacex.distributed.fabric import FabricProcessGroup, open_fabric, suppress_lightning_logs
from spacex.distributed.process_group import LaunchedProcess, detect_launcher
from spacex.embedding.context import FitContext, resolve_device
from spacex.embedding.fit import fit_in_session
from spacex.embedding.state import keep, restore
from spacex.imaging.gene_images import GeneImages

if TYPE_CHECKING:
    from spacex.embedding.estimator import SpaCEX

logger = logging.getLogger("spacex")

FITTED, EMBEDDING, FAILED = "fitted", "embedding.npy", "failed-{}.txt"
MAX_ON_CORES = 8
"""Processes that may share fewer cores than that: more would only wait for one another, and fill the memory."""
MASKS = hasattr(signal, "pthread_sigmask")
"""Whether the system can keep a signal from new processes."""
LEARNT = ("history_", "layout_", "model_", "null_mean_", "null_shape_", "n_modules_", "mixture_")


def fit(model: SpaCEX, images: GeneImages) -> np.ndarray:
    """Fit a model in as many processes as its settings ask for; the embeddings (G, D) of the genes."""
    config = model.config
    found = detect_launcher(config)
    if config.n_processes == 1:
        return fit_in_session(model, images, _session(model, None))
    if found is not None:
        check_launched(config, found)
        return fit_in_session(model, images, _session(model, found.launcher))
    if config.num_nodes > 1 or config.strategy == "ddp":
        raise InputError(
            f"Config.num_nodes={config.num_nodes} with strategy={config.strategy!r}: this process stands alone; start "
            f"the same program on every machine, by srun --nodes {config.num_nodes} --ntasks-per-node {config.devices} "
            f"or torchrun --nnodes {config.num_nodes} --nproc-per-node {config.devices}"
        )
    return _fit_in_processes(model, images)


def check_launched(config: Config, found: LaunchedProcess) -> None:
    """Raise `InputError` where a launcher started another number of processes than the settings ask for."""
    if found.size != config.n_processes:
        raise InputError(
            f"Config.devices={config.devices} on num_nodes={config.num_nodes} are {config.n_processes} process(es), "
            f"but {found.launcher} started {found.size}; make them agree, or pass strategy='ddp_spawn' to leave the "
            "launcher aside"
        )


def _session(model: SpaCEX, launcher: str | None) -> FitContext:
    """The session of this process, alone or among those of a launcher."""
    config = model.config
    session = FitContext.open(config, model.device, model.seed, progress=model.progress)
    if launcher is None and config.precision == "32-true":
        return session
    if (found := detect_launcher(config)) is not None and found.rank == 0:
        logger.info("joining the %d processes that %s started", found.size, found.launcher)
    try:
        fabric = open_fabric(config, session.device, launcher)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, (InputError, WorkerError)):
            raise
        asked = f"Config.devices={config.devices}, num_nodes={config.num_nodes}, precision={config.precision!r}"
        raise InputError(f"{asked}: {_last_line(str(error))}") from error
    if launcher is None:
        return replace(session, fabric=fabric)
    group = FabricProcessGroup(fabric)
    return replace(
        session, device=fabric.device, fabric=fabric, group=group, progress=session.progress and not group.rank
    )


def _fit_in_processes(model: SpaCEX, images: GeneImages) -> np.ndarray:
    """Fit in processes of this machine; the model comes back as if it had been saved and loaded."""
    config = model.config
    check_installed("lightning_fabric", extra="scale", purpose=f"Config.devices={config.devices}")
    cores = _cores()
    if (device := resolve_device(model.device)).type == "cuda" and torch.cuda.device_count() < config.devices:
        raise InputError(
            f"Config.devices={config.devices} is not allowed: there are {torch.cuda.device_count()} device(s) of kind "
            f"{device.type!r}; pass fewer, or device='cpu'"
        )
    if device.type == "cpu" and config.devices > max(MAX_ON_CORES, cores):
        raise InputError(
            f"Config.devices={config.devices} is not allowed: this process may use {cores} core(s); pass at most "
            f"{max(MAX_ON_CORES, cores)}, or srun or torchrun to use other machines"
        )
    with tempfile.TemporaryDirectory(prefix="spacex-fit-") as folder:
        run_in_processes(_fit_given, folder, config.devices, model, images)
        fitted = restore(type(model), Path(folder) / FITTED, model.device)
        z: np.ndarray = np.load(Path(folder) / EMBEDDING, allow_pickle=False)
    for name in LEARNT:
        setattr(model, name, getattr(fitted, name))
    return z


def _fit_given(folder: str, model: SpaCEX, images: GeneImages) -> None:
    """What each process does. The first leaves the result in the folder."""
    session = _session(model, "torchrun")
    z = fit_in_session(model, images, session)
    if session.group.rank == 0:
        keep(model, Path(folder) / FITTED)
        np.save(Path(folder) / EMBEDDING, z)


def run_in_processes(work: Callable[..., None], folder: str, size: int, *given: Any) -> None:
    """Call ``work(folder, *given)`` in new processes of this machine; where one fails all end, with one clear error.

    The folder is theirs alone.
    """
    arguments, context = (work, folder, size, _free_port(), *given), None
    try:
        with _hide_main_module(), _block_sigint():
            context = start_processes(
                _worker_main, arguments, nprocs=size, join=False, daemon=True, start_method="spawn"
            )
        with suppress_lightning_logs():
            while not context.join():
                pass
    except (ProcessExitedException, ProcessRaisedException) as error:
        raise _to_worker_error(error, context, Path(folder)) from error
    finally:
        # An interrupt reaches only this process: the others must not go on without it.
        for process in context.processes if context is not None else ():
            if process.is_alive():
                process.kill()
            process.join()
        for account in context.error_files if context is not None else ():  # torch's own, which is a pickle
            Path(account).unlink(missing_ok=True)


def _worker_main(rank: int, work: Callable[..., None], folder: str, size: int, port: int, *given: Any) -> None:
    """Begin a process as torchrun would have started it; where it fails, it leaves the reason in the folder."""
    # What torch sends where the parent is gone; in a background job of a shell it would be ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)  # of a torchrun further up, which is not asked
    threads = max(1, torch.get_num_threads() // size)  # the processes share the cores
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            work(folder, *given)
    except Exception as error:
        said = f"{type(error).__name__}: {_last_line(str(error))}"
        (Path(folder) / FAILED.format(rank)).write_text(said, encoding="utf-8")
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _to_worker_error(error: ProcessExitedException | ProcessRaisedException, context: Any, folder: Path) -> Exception:
    """What went wrong, told by the process that failed first: the others only lost it."""
    codes, size = [process.exitcode or 0 for process in context.processes], len(context.processes)
    left = {rank: folder / FAILED.format(rank) for rank in range(size)}
    said = {rank: line for rank, file in left.items() if file.is_file() and (line := file.read_text("utf-8"))}
    # join() ends those that are left by SIGTERM: any other signal came from outside.
    killed = [rank for rank in range(size) if codes[rank] < 0 and codes[rank] != -signal.SIGTERM and rank not in said]
    if killed:
        return WorkerError(
            f"process {killed[0]} of {size} was ended by {signal.Signals(-codes[killed[0]]).name}, and the fit with "
            "it: SIGKILL is mostly the system's answer to memory running out; pass fewer devices or free memory, and "
            "run again"
        )
    if not said:
        return WorkerError(f"{error}, and the fit with it; run again with devices=1 to see more")
    lost = {rank: line for rank, line in said.items() if line.startswith("WorkerError: ")}
    rank, line = next(iter((said if len(lost) == len(said) else {r: said[r] for r in said if r not in lost}).items()))
    kind, _, text = line.partition(": ")
    if kind == "InputError":
        return InputError(text)
    return WorkerError(text if rank in lost else f"process {rank} of {size} failed: {line}")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _block_sigint() -> Iterator[None]:
    """Block SIGINT in children until `_worker_main`, to avoid interleaved tracebacks."""
    if not MASKS:
        yield
        return
    resource_tracker.ensure_running()  # which, begun later, would end the deafness
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _hide_main_module() -> Iterator[None]:
    """Keep new processes from running the program of this one: they need nothing of it, and it may have no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
