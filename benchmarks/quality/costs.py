"""Cost of a call: seconds, CPU seconds and peak memory, in a separate process."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def counted(call: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """Result and cost of a call; the peak memory is that of the process since its start."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start, cpu = time.perf_counter(), before.ru_utime + before.ru_stime
    result = call(*arguments)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    costs = {"CPU seconds": after.ru_utime + after.ru_stime - cpu, "peak MB": after.ru_maxrss / 1024}
    return result, {"seconds": seconds, **costs}


def alone(call: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """`counted` in a new process; raises the exceptions of the call."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(counted, call, *arguments).result()
