"""Run one entry on one section in a separate process, and write its result and cost.

    python -m benchmarks.quality.runner JOB

JOB is the JSON of `jobs.Job.to_dict`. Writes STEM.npz (z, module, and the other half's embedding) and then
STEM.json (seconds, CPU seconds, peak memory; or the reason of a failure).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

import spacex as sx

from .entries import Entry, entries
from .halves import halves
from .outcome import Outcome
from .sections import Section

WHOLE, HALF, OTHER_HALF = "whole", "half", "other half"
PARTS = (WHOLE, HALF, OTHER_HALF)
MB = 2**20


class ChangedSource(Exception):
    """The code of an entry has changed since the job was created."""


def perform(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job, write its result, and return its cost."""
    entry, seed, part = entries()[job["entry"]], job["seed"], job["part"]
    if entry.digest != job["entry_digest"]:
        raise ChangedSource("the source was edited while the scoreboard ran; start it again")
    adata, other = Section(**job["section"]).load(seed), None
    if part != WHOLE:
        first, second = halves(adata, seed)
        adata, other = (first, second) if part == HALF else (second, None)
    else:
        warm_up(entry)
    outcome, cost = measured(entry, adata, job["entry_seed"])
    check(outcome, adata.n_vars)
    arrays: dict[str, np.ndarray] = {}
    if outcome.z is not None:
        arrays["z"] = np.asarray(outcome.z, dtype=np.float32)
    if outcome.module is not None:
        arrays["module"] = np.asarray(outcome.module, dtype=str)
    if other is not None and outcome.project is not None:
        arrays["projected"] = np.asarray(outcome.project(other), dtype=np.float32)
    save(job["stem"], arrays)
    return cost


def warm_up(entry: Entry) -> None:
    """Run on a tiny section, so that imports and compilation are not measured."""
    tiny = sx.datasets.simulate_section(n_genes=200, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    with contextlib.suppress(Exception):  # the run on the section reports the error
        entry.run(tiny, 0)


def measured(entry: Entry, adata: AnnData, seed: int) -> tuple[Outcome, dict[str, float]]:
    """Outcome and cost of the call; the memory is the peak of the process, including libraries and section."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    outcome = entry.run(adata, seed)
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    return outcome, {"seconds": wall, "CPU seconds": cpu, "peak MB": peak_memory() / MB}


def peak_memory() -> int:
    """Peak memory in bytes of this process or of its largest child."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss includes that of the parent at the start
        peak = int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) * 1024
    return max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)


def check(outcome: Outcome, n_genes: int) -> None:
    """Raise `ValueError` for an outcome of the wrong shape."""
    if outcome.z is not None and (np.ndim(outcome.z) != 2 or len(outcome.z) != n_genes):
        raise ValueError(f"z has shape {np.shape(outcome.z)} for {n_genes} genes")
    if outcome.z is not None and not np.isfinite(outcome.z).any():
        raise ValueError("no gene is embedded")
    if outcome.module is not None and np.shape(outcome.module) != (n_genes,):
        raise ValueError(f"module has shape {np.shape(outcome.module)} for {n_genes} genes")


def save(stem: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays atomically."""
    with open(f"{stem}.npz.part", "wb") as file:
        np.savez(file, **arrays)
    os.replace(f"{stem}.npz.part", f"{stem}.npz")


def reason(error: BaseException) -> str:
    """The error on one line, without paths of folders."""
    lines = str(error).strip().splitlines()
    line = re.sub(r"(?<!\w)(?:/[\w.+\-]+)+/", "", lines[0] if lines else "")
    return f"{type(error).__name__}: {line[:200]}".rstrip(": ")


def main() -> None:
    job = json.loads(sys.argv[1])
    try:
        report = perform(job)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        report = {"failed": reason(error), "everywhere": isinstance(error, (ImportError, ChangedSource))}
    part = Path(f"{job['stem']}.json.part")
    part.write_text(json.dumps(report))
    os.replace(part, f"{job['stem']}.json")


if __name__ == "__main__":
    main()
