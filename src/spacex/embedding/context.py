"""`FitContext`: device, random generator, progress bars and processes of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from spacex._infra.errors import InputError, safe_repr
from spacex._infra.validation import is_auto
from spacex.distributed.fabric import suppress_lightning_logs
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup


def resolve_device(device: Any) -> torch.device:
    """Return the torch device of that name; ``"auto"`` is the GPU if available."""
    if is_auto(device):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not isinstance(device, (str, torch.device)):
            raise TypeError("not a name")
        resolved = torch.device(device)
        torch.zeros(1, device=resolved).numpy(force=True)  # fails on "meta", which stores no values
    except (RuntimeError, AssertionError, TypeError, AttributeError, ValueError, ImportError) as error:
        raise InputError(f"device={safe_repr(device)} cannot be used here; pass 'auto', 'cpu' or 'cuda'") from error
    return resolved


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit numerical libraries to one thread inside the block.

    Faster for many small matrix products, and sums do not depend on the number of threads.
    """
    n_threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)


@dataclass(frozen=True)
class FitContext:
    """Device, seed and processes of a fit; independent of the settings of the method.

    Attributes
    ----------
    device
        Device of the tensors.
    seed
        Seed of every random choice; the same in all processes.
    progress
        Whether to show progress bars.
    group
        Processes that share the genes.
    fabric
        Lightning Fabric that averages gradients over processes; None for one process in single precision.
    """

    device: torch.device
    seed: int = 0
    progress: bool = False
    group: ProcessGroup = SINGLE_PROCESS
    fabric: Any = None

    @cached_property
    def generator(self) -> torch.Generator:
        """Random generator of the training loops, seeded with `seed`."""
        return torch.Generator().manual_seed(self.seed)

    def to_device(self, array: np.ndarray) -> Tensor:
        """Copy an array to the device."""
        return torch.from_numpy(array).to(self.device)

    def gather(self, rows: Tensor) -> Tensor:
        """Concatenate the rows of all processes, in the order of ranks."""
        if self.group.size == 1:
            return rows
        return self.to_device(self.group.all_gather(rows.cpu().numpy()))

    def prepare(self, objective: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Wrap a loss module and its optimizer so that gradients are averaged over processes."""
        if self.fabric is None:
            return objective, optimizer
        with suppress_lightning_logs():
            return self.fabric.setup(objective, optimizer)

    def step(self, loss: Tensor, model: nn.Module, optimizer: Any) -> None:
        """Take one optimizer step, with the gradient of `model` clipped to unit norm."""
        optimizer.zero_grad(set_to_none=True)
        if self.fabric is None:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        else:
            self.group.run_collective(self.fabric.backward, loss)  # exchanges the gradients
            self.fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
