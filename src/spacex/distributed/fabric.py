"""A process group that exchanges arrays through Lightning Fabric: gloo between CPUs, NCCL between GPUs.

NCCL is what Fabric chooses for GPUs; the tests of this package run gloo alone.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from spacex._config import Config
from spacex._infra.errors import InputError, WorkerError
from spacex._infra.validation import check_installed
from spacex.distributed.process_group import ProcessGroup, Value

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Result = TypeVar("Result")
CONNECTION_ERROR_WORDS = ("gloo", "connection", "socket", "peer", "nccl", "tcpstore", "timed out")
"""Words by which an error of an exchange is told from one of the computation."""
TIMEOUT = timedelta(hours=2)
"""Longest wait for a process that is alive but late; one that is gone is noticed at once."""


def open_fabric(config: Config, device: torch.device, launcher: str | None) -> Fabric:
    """A Fabric that has joined the processes that torchrun or srun started, or one for this process alone."""
    check_installed("lightning_fabric", extra="scale", purpose="Config.devices, num_nodes or precision")
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    if device.type == "cpu" and config.precision == "16-mixed":
        raise InputError("Config.precision='16-mixed' needs a GPU; pass 'bf16-mixed' or '32-true'")
    strategy: Any = "auto"
    if launcher is not None:
        # Buffers never change, and the basis is large: they are sent once, not at every step.
        environment = SLURMEnvironment() if launcher == "srun" else TorchElasticEnvironment()
        strategy = DDPStrategy(
            cluster_environment=environment, broadcast_buffers=False, gradient_as_bucket_view=True, timeout=TIMEOUT
        )
    fabric = Fabric(
        accelerator=device.type,
        devices=config.devices if launcher is not None else 1,
        num_nodes=config.num_nodes if launcher is not None else 1,
        strategy=strategy,
        precision=config.precision,
    )
    with suppress_lightning_logs():
        fabric.launch()
    return fabric


@contextmanager
def suppress_lightning_logs() -> Iterator[None]:
    """Leave out what the engines say about their start, their end and their own future."""
    loggers = [logging.getLogger(name) for name in ("lightning_fabric", "torch.multiprocessing.spawn")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class FabricProcessGroup(ProcessGroup):
    """One of several processes.

    Parameters
    ----------
    fabric
        A Fabric that was launched.
    """

    def __init__(self, fabric: Fabric):
        self.fabric, self.rank, self.size = fabric, fabric.global_rank, fabric.world_size

    def all_reduce(self, part: np.ndarray) -> np.ndarray:
        """Sum of the arrays of all processes, the same bytes in each."""
        mine = torch.from_numpy(np.array(part)).to(self.fabric.device)  # a copy: the exchange writes into it
        self.run_collective(torch.distributed.all_reduce, mine)  # without the barrier that Fabric's own puts before it
        return mine.cpu().numpy()

    def all_gather(self, part: np.ndarray) -> np.ndarray:
        """The rows of all processes, in the order of ranks."""
        lengths = np.zeros(self.size, dtype=np.int64)
        lengths[self.rank] = len(part)
        lengths = self.all_reduce(lengths)
        # As a sum over arrays that hold nothing but the own rows, which is exact: parts may differ in length.
        start, whole = lengths[: self.rank].sum(), np.zeros((lengths.sum(), *part.shape[1:]), dtype=part.dtype)
        whole[start : start + len(part)] = part
        return self.all_reduce(whole)

    def broadcast(self, value: Value) -> Value:
        """The value of the first process."""
        return self.run_collective(self.fabric.broadcast, value)

    def run_collective(self, exchange: Callable[..., Result], *arguments: Any) -> Result:
        """The result of an exchange; a `WorkerError` where another process is gone."""
        try:
            return exchange(*arguments)
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in CONNECTION_ERROR_WORDS):
                raise
            # Less the place in the engine's own source, and its general advice.
            reason = re.sub(r"^\[[^\]]*\.cc:\d+\]\s*", "", str(error).strip().splitlines()[-1]).split(". ")[0]
            raise WorkerError(
                f"process {self.rank} of {self.size} lost another one ({reason}); the log of that one says why: mend "
                "it and run again"
            ) from error
