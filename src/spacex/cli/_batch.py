"""Several sections: each in a process of its own, and one table at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from spacex._infra.atomic_write import atomic_file
from spacex._infra.errors import InputError
from spacex.cli._log import log_status
from spacex.cli._outputs import check_folder
from spacex.cli._run import Options
from spacex.cli._subprocess import Job, on_cluster, run_locally
from spacex.distributed.process_group import detect_launcher
from spacex.io import is_section

TABLE = "sections.csv"
ALPHA = 0.05


def sections_in(inputs: Sequence[Path]) -> list[Path]:
    """The sections that are meant: the inputs, and in place of a folder of .h5ad and .zarr files these."""
    found: list[Path] = []
    for path in inputs:
        inside = _sections_of(path) if path.is_dir() else []
        found += inside or [path]
    return found


def _sections_of(folder: Path) -> list[Path]:
    """Sections side by side in a folder that is not one itself, such as a vendor's to which a result was saved."""
    sections = sorted(path for path in folder.iterdir() if path.suffix.casefold() in (".h5ad", ".zarr"))
    return sections if sections and not is_section(folder) else []


def run_many(
    sections: Sequence[Path],
    out: Path,
    options: Options,
    *,
    resume: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
) -> int:
    """Run the whole job on each section into a folder of its own below `out`; return the exit code.

    A process for each keeps memory from growing with their number, and the failure of one from the others. `workers`
    of them run at a time, or as many as the workers of a Dask `scheduler` take.
    """
    names = [path.stem if path.name != "outs" else path.resolve().parent.name for path in sections]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"INPUT names several sections {', '.join(sorted(repeated))}; give them names that differ")
    if (place := detect_launcher(options.config())) is not None:
        raise InputError(f"several sections cannot share what {place.launcher} started; pass one, or --scheduler")
    check_folder(out)
    flags = [*options.flags(), *(["--resume"] if resume else [])]
    jobs = [
        Job(name, ["run", str(path.absolute()), "-o", str((out / name).absolute()), *flags])
        for path, name in zip(sections, names, strict=True)
    ]
    rows: dict[int, dict[str, Any]] = {}
    with closing(on_cluster(jobs, scheduler) if scheduler is not None else run_locally(jobs, workers)) as ends:
        for number, code, last in ends:
            found = summary(out / names[number]) if code == 0 else {}
            error = "" if code == 0 else last or f"ended with code {code}"
            rows[number] = {"section": names[number], "input": str(sections[number]), **found, "error": error}
            out.mkdir(parents=True, exist_ok=True)  # the first may have failed before it made its folder
            with atomic_file(out / TABLE) as file:
                pd.DataFrame([rows[number] for number in sorted(rows)]).to_csv(file, index=False)
    failed = [rows[number]["section"] for number in sorted(rows) if rows[number]["error"]]
    log_status(f"wrote {out / TABLE}: {len(rows) - len(failed)} of {len(rows)} sections complete")
    if failed:
        log_status(
            f"failed: {', '.join(failed)}; the reasons are in {out / TABLE}; mend them and run again with --resume"
        )
    return 2 if failed else 0


def summary(folder: Path) -> dict[str, Any]:
    """Figures of one complete result."""
    run = json.loads((folder / "run.json").read_text())
    genes = pd.read_csv(folder / "genes.csv")
    return {
        "genes": len(genes), "embedded": int(genes["strength"].notna().sum()),
        "modules": len(pd.read_csv(folder / "modules.csv")),
        "svg": int((genes["svg_qvalue"] < ALPHA).sum()), "seconds": round(sum(run["seconds"].values()), 1),
        "peak_memory_mb": run.get("peak_memory_mb"),
    }  # fmt: skip
