"""`FabricProcessGroup`: exchange arrays through Lightning Fabric, with gloo on CPUs and NCCL on GPUs.

The tests of this package run gloo only.
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
"""Words that distinguish a lost connection from other errors of torch, which raises `RuntimeError` for both."""
TIMEOUT = timedelta(hours=2)
"""Maximum wait for a process that is alive but late; a process that ended is noticed at once."""


def open_fabric(config: Config, device: torch.device, launcher: str | None) -> Fabric:
    """Return a Fabric that joined the processes that torchrun or srun started, or one for a single process."""
    check_installed("lightning_fabric", extra="scale", purpose="Config.devices, num_nodes or precision")
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    if device.type == "cpu" and config.precision == "16-mixed":
        raise InputError("Config.precision='16-mixed' needs a GPU; pass 'bf16-mixed' or '32-true'")
    strategy: Any = "auto"
    if launcher is not None:
        # Buffers are constant and the basis is large: do not broadcast them at every step.
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
    """Silence start-up and shutdown logs and deprecation warnings of Lightning and torch."""
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
    """Process group of a launched Fabric.

    Parameters
    ----------
    fabric
        A Fabric after ``launch``.
    """

    def __init__(self, fabric: Fabric):
        self.fabric, self.rank, self.size = fabric, fabric.global_rank, fabric.world_size

    def all_reduce(self, part: np.ndarray) -> np.ndarray:
        """Return the sum of the arrays of all processes, identical in each."""
        total = torch.from_numpy(np.array(part)).to(self.fabric.device)  # a copy, since all_reduce works in place
        self.run_collective(torch.distributed.all_reduce, total)  # without the extra barrier of Fabric.all_reduce
        return total.cpu().numpy()

    def all_gather(self, part: np.ndarray) -> np.ndarray:
        """Return the rows of all processes, in the order of ranks."""
        lengths = np.zeros(self.size, dtype=np.int64)
        lengths[self.rank] = len(part)
        lengths = self.all_reduce(lengths)
        # Parts may differ in length: sum zero-padded arrays, which is exact.
        start, padded = lengths[: self.rank].sum(), np.zeros((lengths.sum(), *part.shape[1:]), dtype=part.dtype)
        padded[start : start + len(part)] = part
        return self.all_reduce(padded)

    def broadcast(self, value: Value) -> Value:
        """Return the value of the first process."""
        return self.run_collective(self.fabric.broadcast, value)

    def run_collective(self, exchange: Callable[..., Result], *arguments: Any) -> Result:
        """Call an exchange between processes; raise `WorkerError` if another process is gone."""
        try:
            return exchange(*arguments)
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in CONNECTION_ERROR_WORDS):
                raise
            # Without the position in the C++ source and the general advice that follow in the message.
            reason = re.sub(r"^\[[^\]]*\.cc:\d+\]\s*", "", str(error).strip().splitlines()[-1]).split(". ")[0]
            raise WorkerError(
                f"process {self.rank} of {self.size} lost the connection to another process ({reason}); see the log of "
                "that process, fix the cause and rerun"
            ) from error
