"""What every loop over genes shares: settings, device, a random generator of its own, progress, and with whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from spacex._config import Config
from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import is_auto
from spacex.distributed.fabric import suppress_lightning_logs
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup


def resolve_device(device: Any) -> torch.device:
    """The torch device that a name stands for; ``"auto"`` is the GPU where there is one."""
    if is_auto(device):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not isinstance(device, (str, torch.device)):
            raise TypeError("not a name")
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).numpy(force=True)  # "meta" has no numbers
    except (RuntimeError, AssertionError, TypeError, AttributeError, ValueError, ImportError) as error:
        raise InputError(f"device={safe_repr(device)} cannot be used here; pass 'auto', 'cpu' or 'cuda'") from error
    return chosen


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numerical libraries to one thread, and put them back after.

    For many small products: threads that wait for one another cost more than they bring, and sums would depend on
    their number.
    """
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True)
class FitContext:
    """Settings, the device, the local random generator, whether to show progress, and the processes that share genes.

    All processes draw from generators of the same seed. `fabric` is the Lightning Fabric through which gradients go;
    None where one process computes in single precision.
    """

    config: Config
    device: torch.device
    generator: torch.Generator
    progress: bool
    group: ProcessGroup = SINGLE_PROCESS
    fabric: Any = None

    @classmethod
    def open(cls, config: Config, device: str, seed: int, *, progress: bool) -> FitContext:
        """A session on the device that the name `device` stands for, with a generator seeded with `seed`."""
        return cls(config, resolve_device(device), torch.Generator().manual_seed(seed), progress)

    def tensor(self, maps: np.ndarray) -> Tensor:
        """Maps as a tensor on the device."""
        return torch.from_numpy(maps).to(self.device)

    def gather(self, part: Tensor) -> Tensor:
        """The rows that every process has, in the order of ranks."""
        if self.group.size == 1:
            return part
        return self.tensor(self.group.all_gather(part.cpu().numpy()))

    def prepare(self, objective: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """A module and its optimiser as they are to be called: their gradients are the mean over the processes."""
        if self.fabric is None:
            return objective, optimiser
        with suppress_lightning_logs():
            return self.fabric.setup(objective, optimiser)

    def step(self, loss: Tensor, model: nn.Module, optimiser: Any) -> None:
        """One step down the gradient of a loss, that of `model` clipped to unit norm."""
        optimiser.zero_grad(set_to_none=True)
        if self.fabric is None:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        else:
            self.group.run_collective(self.fabric.backward, loss)  # here the gradients are exchanged
            self.fabric.clip_gradients(model, optimiser, max_norm=1.0)
        optimiser.step()
