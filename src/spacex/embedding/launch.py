"""`launch`: run `fit` in this process, in new processes of this machine, or in those that torchrun or srun started."""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import replace
from typing import Literal

import torch

from spacex._config import Config
from spacex._infra.errors import InputError, WorkerError
from spacex._infra.validation import check_installed
from spacex.distributed.fabric import FabricProcessGroup, open_fabric
from spacex.distributed.process_group import launcher_for
from spacex.distributed.worker_processes import last_line, run_in_processes
from spacex.embedding.context import FitContext
from spacex.embedding.fit import fit
from spacex.embedding.state import FittedState, load, save
from spacex.imaging.gene_images import GeneImages

logger = logging.getLogger("spacex")

MAX_ON_CORES = 8
"""Maximum number of processes on a machine with fewer cores than that; more would need memory without any gain."""


def launch(
    images: GeneImages, config: Config, context: FitContext, *, n_modules: int | Literal["auto"] = "auto"
) -> FittedState:
    """Run `fit` in the number of processes of the settings; every process gets the same state.

    Parameters
    ----------
    images, config, n_modules
        As for `spacex.embedding.fit.fit`.
    context
        Context of a single process.

    Raises
    ------
    InputError
        If devices or machines are missing, or a launcher started another number of processes.
    WorkerError
        If one of several processes was killed or failed.
    """
    if config.n_processes == 1:
        return fit(images, config, join_processes(config, context, None), n_modules=n_modules)
    launched = launcher_for(config)
    if launched is not None:
        if launched.size != config.n_processes:
            raise InputError(
                f"Config.devices={config.devices} on num_nodes={config.num_nodes} are {config.n_processes} "
                f"process(es), but {launched.launcher} started {launched.size}; make them equal, or pass "
                "strategy='ddp_spawn' to ignore the launcher"
            )
        return fit(images, config, join_processes(config, context, launched.launcher), n_modules=n_modules)
    if config.num_nodes > 1 or config.strategy == "ddp":
        raise InputError(
            f"Config.num_nodes={config.num_nodes} with strategy={config.strategy!r} needs a launcher; start the same "
            f"program on every machine with srun --nodes {config.num_nodes} --ntasks-per-node {config.devices} "
            f"or torchrun --nnodes {config.num_nodes} --nproc-per-node {config.devices}"
        )
    _check_devices(config, context.device)
    with tempfile.TemporaryDirectory(prefix="spacex-fit-") as folder:
        run_in_processes(_fit_and_save, folder, config.devices, images, config, context, n_modules)
        return replace(load(folder, context.device), config=config)


def join_processes(config: Config, context: FitContext, launcher: str | None) -> FitContext:
    """Return the context of this process among those of a launcher; None stands for a single process."""
    if launcher is None and config.precision == "32-true":
        return context
    if (launched := launcher_for(config)) is not None and launched.rank == 0:
        logger.info("joining the %d processes that %s started", launched.size, launched.launcher)
    try:
        fabric = open_fabric(config, context.device, launcher)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, (InputError, WorkerError)):
            raise
        settings = f"Config.devices={config.devices}, num_nodes={config.num_nodes}, precision={config.precision!r}"
        raise InputError(f"{settings}: {last_line(str(error))}") from error
    if launcher is None:
        return replace(context, fabric=fabric)
    group = FabricProcessGroup(fabric)
    progress = context.progress and group.rank == 0
    return replace(context, device=fabric.device, fabric=fabric, group=group, progress=progress)


def _fit_and_save(
    folder: str, images: GeneImages, config: Config, context: FitContext, n_modules: int | Literal["auto"]
) -> None:
    """Fit in one of the new processes; the first one saves the state to the folder."""
    context = join_processes(config, context, "torchrun")
    state = fit(images, config, context, n_modules=n_modules)
    if context.group.rank == 0:
        save(state, folder)


def _check_devices(config: Config, device: torch.device) -> None:
    """Raise `InputError` if this machine has too few GPUs or cores."""
    check_installed("lightning_fabric", extra="scale", purpose=f"Config.devices={config.devices}")
    if device.type == "cuda" and torch.cuda.device_count() < config.devices:
        raise InputError(
            f"Config.devices={config.devices} is not allowed: {torch.cuda.device_count()} device(s) of kind "
            f"{device.type!r} are available; pass fewer, or device='cpu'"
        )
    n_cores = _n_cores()
    if device.type == "cpu" and config.devices > max(MAX_ON_CORES, n_cores):
        raise InputError(
            f"Config.devices={config.devices} is not allowed: this process may use {n_cores} core(s); pass at most "
            f"{max(MAX_ON_CORES, n_cores)}, or use other machines with srun or torchrun"
        )


def _n_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
