"""Runs of entries, each in a separate process and stored, so that a killed scoreboard can resume."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .entries import Entry
from .runner import WHOLE
from .sections import Section
from .sources import code_digest, digest


@dataclass(frozen=True)
class Run:
    """Result of a job: arrays and costs, or the reason of its failure."""

    stem: Path
    report: dict[str, Any]

    @property
    def failed(self) -> str | None:
        return self.report.get("failed")

    @property
    def everywhere(self) -> bool:
        """Whether the reason of the failure applies to all sections and may be temporary, such as a missing package."""
        return bool(self.report.get("everywhere"))

    @property
    def timed_out(self) -> bool:
        return bool(self.report.get("timed out"))

    @property
    def cost(self) -> dict[str, float]:
        return {name: self.report[name] for name in ("seconds", "CPU seconds", "peak MB")}

    def array(self, name: str) -> np.ndarray | None:
        """``z``, ``module`` or ``projected``, None if the entry does not return it."""
        with np.load(f"{self.stem}.npz", allow_pickle=False) as file:
            return file.get(name)


@dataclass(frozen=True)
class Job:
    """An entry on a part of the counts of a section."""

    section: Section
    entry: Entry
    seed: int
    part: str

    @cached_property
    def entry_seed(self) -> int:
        """Seed of the entry: a deterministic entry runs on a whole real section only once."""
        fixed = self.part == WHOLE and not self.section.simulated and not self.entry.seeded
        return 0 if fixed else self.seed

    @cached_property
    def digest(self) -> str:
        """Changes with the section, the code of the entry, its settings, the seed and the part."""
        split = "" if self.part == WHOLE else code_digest(f"{__package__}.halves")
        return digest([self.section.digest(self.seed), self.entry.digest, self.entry_seed, self.part, split])

    def stem(self, work: Path) -> Path:
        """Path of the stored files, without suffix."""
        name = re.sub(r"\W+", "-", f"{self.entry.name}.{self.part}.{self.entry_seed}.{self.digest}").strip("-")
        return work / self.section.name / name

    def to_dict(self, work: Path) -> dict[str, Any]:
        """Arguments of the process that runs the job, as JSON values."""
        return {
            "section": self.section.to_dict(),
            "entry": self.entry.name,
            "entry_digest": self.entry.digest,
            "entry_seed": self.entry_seed,
            "seed": self.seed,
            "part": self.part,
            "stem": str(self.stem(work)),
        }


def obtain(job: Job, work: Path, *, timeout: float, retry: bool = False) -> Run:
    """Return the stored run of a job, or a new one.

    Failures are stored too, except those that apply everywhere; `retry` repeats all failed runs.
    """
    stem = job.stem(work)
    report = read_report(stem)
    if report is None or report.get("everywhere") or (retry and "failed" in report):
        stem.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{stem}.json").unlink(missing_ok=True)
        spawn(job.to_dict(work), stem, timeout)
        report = read_report(stem)
        assert report is not None
    return Run(stem, report)


def read_report(stem: Path) -> dict[str, Any] | None:
    path = Path(f"{stem}.json")
    return json.loads(path.read_text()) if path.is_file() else None


def spawn(job: dict[str, Any], stem: Path, timeout: float) -> None:
    """Run a job in a process, with its output in STEM.log. A report is always written."""
    command = [sys.executable, "-m", f"{__package__}.runner", json.dumps(job)]
    with open(f"{stem}.log", "wb") as log:
        child = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            end(child)
            write_report(stem, {"failed": f"stopped after {timeout:g} s", "timed out": True})
            return
        except BaseException:
            end(child)
            raise
    if read_report(stem) is None:
        code = child.returncode
        how = (
            f"signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "") if code < 0 else f"exit {code}"
        )
        write_report(stem, {"failed": f"the process ended without a result: {how}"})


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def write_report(stem: Path, report: dict[str, Any]) -> None:
    Path(f"{stem}.json").write_text(json.dumps(report))
