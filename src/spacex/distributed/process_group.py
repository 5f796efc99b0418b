"""`ProcessGroup`: processes that share the genes of one computation.

Sums over genes are split by genes and reduced over processes; everything else is cheap and computed by every process.
Every process has the sparse counts of all genes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from spacex._config import Config

Value = TypeVar("Value")


class ProcessGroup:
    """A group of one process; see `spacex.distributed.fabric` for several.

    Attributes
    ----------
    rank
        Index of this process.
    size
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    def shard(self, n: int) -> slice:
        """Return the slice of `n` items that this process computes; sizes differ by one at most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def batches(self, n: int, size: int) -> Iterator[slice]:
        """Yield the items of this process in batches; one empty batch if it has none."""
        shard = self.shard(n)
        for start in range(shard.start, max(shard.stop, shard.start + 1), size):
            yield slice(start, min(start + size, shard.stop))

    def all_reduce(self, part: np.ndarray) -> np.ndarray:
        """Return the sum of the arrays of all processes, identical in each."""
        return part

    def all_gather(self, part: np.ndarray) -> np.ndarray:
        """Return the rows of all processes, in the order of ranks."""
        return part

    def broadcast(self, value: Value) -> Value:
        """Return the value of the first process, for choices that must not depend on rounding."""
        return value

    def run_collective(self, exchange: Callable[..., Value], *arguments: Any) -> Value:
        """Call an exchange between processes; raise `WorkerError` if another process is gone."""
        return exchange(*arguments)


SINGLE_PROCESS = ProcessGroup()


class LaunchedProcess(NamedTuple):
    """Rank of this process and number of processes, as set by a launcher."""

    rank: int
    size: int
    launcher: str


def detect_launcher() -> LaunchedProcess | None:
    """Return the rank of this process among those that torchrun or srun started; None for a single process.

    Reads environment variables only.
    """
    env = os.environ
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= env.keys():
        launched = LaunchedProcess(int(env["RANK"]), int(env["WORLD_SIZE"]), "torchrun")
    elif {"SLURM_PROCID", "SLURM_NTASKS"} <= env.keys():
        launched = LaunchedProcess(int(env["SLURM_PROCID"]), int(env["SLURM_NTASKS"]), "srun")
    else:
        return None
    return launched if launched.size > 1 else None


def launcher_for(config: Config) -> LaunchedProcess | None:
    """Return the result of `detect_launcher` if the settings use processes of a launcher, else None."""
    return detect_launcher() if config.n_processes > 1 and config.strategy != "ddp_spawn" else None
