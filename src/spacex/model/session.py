"""What every loop over genes shares: settings, device, a random generator of its own, progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from .._check import InputError
from .._config import Config


def resolve_device(device: str) -> torch.device:
    """The torch device that a name stands for; ``"auto"`` is the GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).numpy(force=True)  # "meta" has no numbers
    except (RuntimeError, AssertionError, TypeError, AttributeError) as error:
        raise InputError(f"device={device!r} cannot be used here; pass 'auto', 'cpu' or 'cuda'") from error
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
class Session:
    """Settings, the device, the local random generator, and whether to show progress."""

    config: Config
    device: torch.device
    generator: torch.Generator
    progress: bool

    @classmethod
    def open(cls, config: Config, device: str, seed: int, *, progress: bool) -> Session:
        """A session on the device that the name `device` stands for, with a generator seeded with `seed`."""
        return cls(config, resolve_device(device), torch.Generator().manual_seed(seed), progress)

    def tensor(self, maps: np.ndarray) -> Tensor:
        """Maps as a tensor on the device."""
        return torch.from_numpy(maps).to(self.device)
