"""Several sections, one after the other: each in a process of its own, and one table at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spacex._check import InputError
from spacex._whole import whole_file
from spacex.cli import say
from spacex.cli._outputs import check_folder

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
    """Sections side by side in a folder that is not one itself."""
    if folder.suffix == ".zarr":
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.casefold() in (".h5ad", ".zarr"))


def run_many(sections: Sequence[Path], out: Path, options: Sequence[str]) -> int:
    """Run the whole job on each section into a folder of its own below `out`; return the exit code.

    A process for each keeps memory from growing with their number, and the failure of one from the others.
    """
    names = [path.stem if path.name != "outs" else path.resolve().parent.name for path in sections]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"INPUT names several sections {', '.join(sorted(repeated))}; give them names that differ")
    check_folder(out)
    rows = []
    for number, (path, name) in enumerate(zip(sections, names, strict=True), 1):
        say(f"section {number} of {len(sections)}: {name}")
        command = [sys.executable, "-m", "spacex.cli", "run", str(path), "-o", str(out / name), *options]
        code, last = _followed(command)
        if code < 0 or code >= 128:  # stopped, by a signal: so do the rest
            return 130
        rows.append({"section": name, "input": str(path), **(summary(out / name) if code == 0 else {}),
                     "error": "" if code == 0 else last})  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)  # the first may have failed before it made its folder
        with whole_file(out / TABLE) as file:
            pd.DataFrame(rows).to_csv(file, index=False)
    failed = [row["section"] for row in rows if row["error"]]
    say(f"wrote {out / TABLE}: {len(rows) - len(failed)} of {len(rows)} sections complete")
    if failed:
        say(f"failed: {', '.join(failed)}; the reasons are in {out / TABLE}; mend them and run again with --resume")
    return 2 if failed else 0


def _followed(command: list[str]) -> tuple[int, str]:
    """Run a command, pass on what it says, and return its exit code and its last line."""
    last = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        for line in _lines(process):
            sys.stderr.write(f"  {line}")
            last = line.strip().removeprefix("spacex: ") or last
    return process.returncode, last


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    try:
        yield from process.stderr
    except BaseException:
        process.terminate()  # it removes what is half-written
        process.wait()
        raise


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
