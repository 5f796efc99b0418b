"""Runs of methods, each in a process of its own, with what they cost."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import anndata as ad

from .methods import METHODS


def counted(method: str, adata: ad.AnnData) -> dict[str, Any]:
    """Score and log p of a method on a section, with what it cost; run in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start, cpu = time.perf_counter(), before.ru_utime + before.ru_stime
    try:
        score, log_p = METHODS[method](adata)
    except Exception as error:  # whatever a guest raises is a result
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "score": score, "log_p": log_p, "seconds": time.perf_counter() - start,
        "CPU seconds": after.ru_utime + after.ru_stime - cpu, "peak MB": after.ru_maxrss / 1024,
    }  # fmt: skip


def alone(method: str, adata: ad.AnnData) -> dict[str, Any]:
    """`counted` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(counted, method, adata).result()
