"""What a call costs: seconds, processor seconds and peak memory, in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def counted(call: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """What a call returns and what it cost; the peak is that of the process from its start."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start, cpu = time.perf_counter(), before.ru_utime + before.ru_stime
    found = call(*arguments)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    costs = {"CPU seconds": after.ru_utime + after.ru_stime - cpu, "peak MB": after.ru_maxrss / 1024}
    return found, {"seconds": seconds, **costs}


def alone(call: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """`counted` in a fresh process; raises what the call raises."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(counted, call, *arguments).result()
