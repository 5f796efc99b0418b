"""Run `spacex run` in child processes that kill themselves, and again with ``--resume``; print the exit codes as JSON.

Called as a script, ``killed.py FOLDER INPUT SETS``: forking a process that has imported everything and has no threads
reduces a run from ten seconds to one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STAGES = ("read", "rasterize", "embed", "svg", "interactions", "domains", "enrich", "report", "write")
RENAMES = 14
MOMENTS = 5


def command(source: str, sets: str, out: Path, *more: str) -> list[str]:
    return ["run", source, "-o", str(out), "--n-modules", "2", "--n-domains", "3", "--gene-sets", sets, *more]


def in_a_child(work: Callable[[], Any]) -> int:
    """Return the exit code of work in a forked process; negative: the signal that killed it."""
    process = os.fork()
    if process == 0:
        code = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = int(work())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: tuple[str, Any]) -> Callable[[], None]:
    """Return a function that makes the process kill itself before or after a stage, at a rename, or at a time."""
    from spacex.cli import _stage_timer

    kind, where = point

    def install() -> None:
        if kind in ("before", "after"):
            stage = _stage_timer.StageTimer.stage

            @contextmanager
            def dying(self: Any, name: str) -> Iterator[None]:
                if name == where and kind == "before":
                    die()
                with stage(self, name):
                    yield
                if name == where:
                    die()

            _stage_timer.StageTimer.stage = dying  # type: ignore[method-assign]
        elif kind == "rename":
            n_renames, real = [0], os.replace

            def replace(old: Any, new: Any) -> None:
                if n_renames[0] == where:
                    die()
                n_renames[0] += 1
                real(old, new)

            os.replace = replace  # type: ignore[assignment]
        else:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, where)

    return install


def main(folder: Path, source: str, sets: str) -> None:
    from spacex.cli import main as spacex
    from spacex.get import _gene_layout

    _gene_layout._umap = lambda direction: direction[:, :2]  # its threads do not survive a fork
    spacex(command(source, sets, folder / "uninterrupted"))
    in_a_child(lambda: spacex(command(source, sets, folder / "again")))
    started = time.perf_counter()
    in_a_child(lambda: spacex(command(source, sets, folder / "old", "--seed", "1")))
    seconds = time.perf_counter() - started
    rng = random.Random(0)
    points: list[tuple[str, Any]] = [(when, stage) for stage in STAGES for when in ("before", "after")]
    points += [("rename", number) for number in range(RENAMES)]
    points += [("moment", rng.uniform(0.02, 1.0) * seconds) for _ in range(MOMENTS)]
    ends = []
    for number, point in enumerate(points):
        for over in ("nothing", "old") if point[0] == "rename" else ("nothing",):
            out = folder / f"{number}-{over}"
            if over == "old":
                shutil.copytree(folder / "old", out)

            def killed_run(point: tuple[str, Any] = point, out: Path = out) -> int:
                kill_at(point)()
                return spacex(command(source, sets, out))

            killed = in_a_child(killed_run)
            if out.is_dir():
                shutil.copytree(out, folder / f"{out.name}-killed")
            resumed = in_a_child(lambda out=out: spacex(command(source, sets, out, "--resume")))
            if resumed == 2 and over == "old":  # killed before the first checkpoint: the old result is complete
                resumed = in_a_child(lambda out=out: spacex(command(source, sets, out)))
                assert (folder / f"{out.name}-killed" / "run.json").exists()
            ends.append({"out": out.name, "point": point, "over": over, "killed": killed, "resumed": resumed})
    sys.stdout.write(json.dumps(ends) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
