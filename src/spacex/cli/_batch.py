"""Run several sections, each in a subprocess, and summarize them in one table."""

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
from spacex.cli._run_options import RunOptions
from spacex.cli._subprocess import Job, run_locally, run_on_cluster
from spacex.distributed.process_group import launcher_for
from spacex.io import is_section

TABLE = "sections.csv"
ALPHA = 0.05
"""q-value below which a gene is counted as spatially variable."""


def list_sections(inputs: Sequence[Path]) -> list[Path]:
    """Return the inputs, with folders of .h5ad and .zarr files replaced by these files."""
    return [path for entry in inputs for path in (_sections_in(entry) if entry.is_dir() else []) or [entry]]


def _sections_in(folder: Path) -> list[Path]:
    """Return the .h5ad and .zarr files of a folder; none if the folder is itself a section."""
    sections = sorted(path for path in folder.iterdir() if path.suffix.casefold() in (".h5ad", ".zarr"))
    return sections if sections and not is_section(folder) else []


def section_names(sections: Sequence[Path]) -> list[str]:
    """Return the names of the sections, or raise `InputError` if some have the same name."""
    names = [path.stem if path.name != "outs" else path.resolve().parent.name for path in sections]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"INPUT has several sections named {', '.join(sorted(repeated))}; rename them")
    return names


def run_sections(
    sections: Sequence[Path],
    out: Path,
    options: RunOptions,
    *,
    resume: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
) -> int:
    """Run every section into a subfolder of `out` and write ``sections.csv``; return the exit code.

    Every section runs in a subprocess, so that memory is released and a failure does not affect the others.

    Parameters
    ----------
    sections
        Inputs with different names.
    out
        Folder of the results.
    options
        Options of every run.
    resume
        Skip sections that are complete.
    workers
        Number of sections to run in parallel on this machine.
    scheduler
        Address of a Dask scheduler that runs the sections instead.

    Raises
    ------
    InputError
        If two sections have the same name, or a launcher started this process.
    """
    names = section_names(sections)
    if (process := launcher_for(options.to_config())) is not None:
        raise InputError(
            f"several sections cannot share the processes that {process.launcher} started; "
            "pass one section, or use --scheduler"
        )
    check_folder(out)
    flags = [*options.to_flags(), *(["--resume"] if resume else [])]
    jobs = [
        Job(name, ["run", str(path.absolute()), "-o", str((out / name).absolute()), *flags])
        for path, name in zip(sections, names, strict=True)
    ]
    rows: dict[int, dict[str, Any]] = {}
    with closing(run_on_cluster(jobs, scheduler) if scheduler is not None else run_locally(jobs, workers)) as results:
        for index, code, last_line in results:
            summary = result_summary(out / names[index]) if code == 0 else {}
            error = "" if code == 0 else last_line or f"exit code {code}"
            rows[index] = {"section": names[index], "input": str(sections[index]), **summary, "error": error}
            out.mkdir(parents=True, exist_ok=True)  # the first job may have failed before it created its folder
            with atomic_file(out / TABLE) as file:
                pd.DataFrame([rows[i] for i in sorted(rows)]).to_csv(file, index=False)
    failed = [rows[i]["section"] for i in sorted(rows) if rows[i]["error"]]
    log_status(f"wrote {out / TABLE}: {len(rows) - len(failed)} of {len(rows)} sections complete")
    if failed:
        log_status(f"failed: {', '.join(failed)}; see the errors in {out / TABLE}, fix them and rerun with --resume")
    return 2 if failed else 0


def result_summary(folder: Path) -> dict[str, Any]:
    """Return the figures of one complete result for ``sections.csv``."""
    run = json.loads((folder / "run.json").read_text())
    genes = pd.read_csv(folder / "genes.csv")
    return {
        "genes": len(genes),
        "embedded": int(genes["strength"].notna().sum()),
        "modules": len(pd.read_csv(folder / "modules.csv")),
        "svg": int((genes["svg_qvalue"] < ALPHA).sum()),
        "seconds": round(sum(run["seconds"].values()), 1),
        "peak_memory_mb": run.get("peak_memory_mb"),
    }
