"""One process, or several that share the genes of one computation.

What is a sum over genes is split by genes: every process computes the terms of its own, and the sums of all are added
up. The rest, which is small, all compute alike. Every process holds the sparse counts of all genes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from spacex._config import Config

Value = TypeVar("Value")


class ProcessGroup:
    """A process that works alone; `spacex.distributed.fabric` has the one that works with others.

    Attributes
    ----------
    rank
        Number of this process.
    size
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    def shard(self, n: int) -> slice:
        """Which of `n` items are this process's own: as many for each, give or take one, in the order of ranks."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def batches(self, n: int, size: int) -> Iterator[slice]:
        """The own ones of `n` items in batches; a single empty batch where there are none."""
        own = self.shard(n)
        for start in range(own.start, max(own.stop, own.start + 1), size):
            yield slice(start, min(start + size, own.stop))

    def all_reduce(self, part: np.ndarray) -> np.ndarray:
        """Sum of the arrays of all processes, the same bytes in each."""
        return part

    def all_gather(self, part: np.ndarray) -> np.ndarray:
        """The rows of all processes, in the order of ranks."""
        return part

    def broadcast(self, value: Value) -> Value:
        """The value of the first process: for choices that must not hang on the last bit of a number."""
        return value

    def run_collective(self, exchange: Callable[..., Value], *arguments: Any) -> Value:
        """The result of an exchange between processes, which fails clearly where one of them is gone."""
        return exchange(*arguments)


SINGLE_PROCESS = ProcessGroup()


class LaunchedProcess(NamedTuple):
    """What a launcher told this process: its number among all, and how many there are."""

    rank: int
    size: int
    launcher: str


def launcher_for() -> LaunchedProcess | None:
    """The place of this process among those that torchrun or srun started; None where it stands alone.

    Only the environment is read, so that it costs nothing to ask.
    """
    here = os.environ
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= here.keys():
        found = LaunchedProcess(int(here["RANK"]), int(here["WORLD_SIZE"]), "torchrun")
    elif {"SLURM_PROCID", "SLURM_NTASKS"} <= here.keys():
        found = LaunchedProcess(int(here["SLURM_PROCID"]), int(here["SLURM_NTASKS"]), "srun")
    else:
        return None
    return found if found.size > 1 else None


def detect_launcher(config: Config) -> LaunchedProcess | None:
    """The place among those that a launcher started, where the settings ask to work with them."""
    return launcher_for() if config.n_processes > 1 and config.strategy != "ddp_spawn" else None
