"""The folder of a result, which is written next to its destination and moved there when it is complete."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anndata import AnnData
from pandas import DataFrame

from spacex import _adata
from spacex._infra.atomic_write import fsync, process_tag, remove_on_exit, remove_stale, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import read_json
from spacex.cli._stage_timer import StageTimer
from spacex.get import gene_table, module_table
from spacex.report import write_report

CHECKPOINT = ".spacex-checkpoint"
PARTIAL_PREFIX = ".spacex-partial-"
RESULT_FILES = (
    "result.h5ad",
    "genes.csv",
    "modules.csv",
    "domains.csv",
    "enrichment.csv",
    "model",
    "report.html",
    "run.json",
)
FLOAT_FORMAT = "%.6g"


def check_folder(out: Path) -> None:
    """Raise `InputError` if a folder cannot be created or written to, without creating it."""
    if out.exists() and not out.is_dir():
        raise InputError(f"-o {out} is a file; pass the name of a folder")
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"-o {out} cannot be created: {existing} is a file; pass another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"-o {out} cannot be written: no permission in {existing}; pass another folder")


def check_overwrite(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Raise `InputError` if a result would overwrite one of the `inputs`, or files that no earlier run wrote."""
    names = [name for name in RESULT_FILES if os.path.lexists(out / name)]
    for path in inputs:
        if any((out / name).exists() and path.exists() and path.samefile(out / name) for name in names):
            raise InputError(f"{path} is in -o {out} and the result would overwrite it; pass another folder")
    # A run killed mid-write leaves no run.json, only a checkpoint or a partial folder.
    was_interrupted = (out / CHECKPOINT).exists() or any(out.glob(f"{PARTIAL_PREFIX}*"))
    foreign = [name for name in names if not was_interrupted and name not in _files_of_result(out)]
    if foreign:
        raise InputError(
            f"-o {out} contains {', '.join(foreign)}, not written by spacex, and the result would overwrite it; "
            "move it, or pass another folder"
        )


def _files_of_result(out: Path) -> set[str]:
    """Return the files that ``run.json`` lists; empty if there is no result."""
    try:
        return {"run.json", *read_json(out / "run.json", hint="move it")["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write_result(
    adata: AnnData,
    out: Path,
    model: Any,
    enrichment: DataFrame | None,
    *,
    choices: dict[str, Any],
    input_name: str,
    timer: StageTimer,
) -> None:
    """Write all files of a result.

    Parameters
    ----------
    adata
        Spots × genes, analyzed.
    out
        Folder of the result.
    model
        Fitted model, or the folder of a saved one.
    enrichment
        Table of `spacex.tl.enrich`.
    choices
        Input and options, which ``--resume`` compares.
    input_name
        Name of the input for the report.
    timer
        Timer of the run, which also measures the stages ``report`` and ``write``.
    """
    figures = {"input": input_name, "seconds": timer.seconds, "peak_memory_mb": peak_memory_mb()}
    has_terms = enrichment is not None and len(enrichment)
    _adata.write_uns(adata, run=figures, **({"enrichment": enrichment} if has_terms else {}))
    with _atomic_folder(out) as folder:
        with timer.stage("report"):
            write_report(adata, folder / "report.html", enrichment=enrichment)
        with timer.stage("write"):
            _write_tables(adata, folder, enrichment)
            adata.write_h5ad(folder / "result.h5ad", compression="gzip", compression_opts=1)
            if isinstance(model, Path):
                shutil.copytree(model, folder / "model")
            else:
                model.save(folder / "model")
        uns = _adata.read_uns(adata)
        run = {
            "input": input_name,
            "choices": choices,
            "parameters": _to_json({**uns["parameters"], **uns["embed"]}),
            "versions": {"python": platform.python_version(), **uns["versions"]},
            "seconds": {stage: round(value, 3) for stage, value in timer.seconds.items()},
            "peak_memory_mb": peak_memory_mb(),
            "files": [name for name in RESULT_FILES if (folder / name).exists()],
        }
        (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n")


def _write_tables(adata: AnnData, folder: Path, enrichment: DataFrame | None) -> None:
    gene_table(adata).to_csv(folder / "genes.csv", index=False, float_format=FLOAT_FORMAT)
    module_table(adata, enrichment).to_csv(folder / "modules.csv", index=False, float_format=FLOAT_FORMAT)
    if _adata.keys.DOMAIN in adata.obs:
        tissue = _adata.subset_to_tissue(adata)
        domain = tissue.obs[_adata.keys.DOMAIN].astype(str).to_numpy()
        DataFrame({"spot": tissue.obs_names, "domain": domain}).to_csv(folder / "domains.csv", index=False)
    if enrichment is not None:
        enrichment.to_csv(folder / "enrichment.csv", index=False, float_format=FLOAT_FORMAT)


@contextmanager
def _atomic_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder on the same disk as `out`; move its files to `out`, or remove it after an error.

    ``run.json``, which marks a result as complete, is removed from `out` first and moved there last.
    """
    missing_parents = [path for path in (out.parent, *out.parent.parents) if not path.exists()]
    base = out if out.exists() else out.parent
    base.mkdir(parents=True, exist_ok=True)
    for stale in remove_stale(base, PARTIAL_PREFIX):
        shutil.rmtree(stale, ignore_errors=True)
    folder = base / f"{PARTIAL_PREFIX}{process_tag()}"
    try:
        with translate_os_errors(out), remove_on_exit(folder):
            folder.mkdir()
            yield folder
            for file in folder.rglob("*"):
                fsync(file)
            out.mkdir(exist_ok=True)
            (out / "run.json").unlink(missing_ok=True)
            for name in RESULT_FILES:
                _replace(folder / name, out / name, folder)
    except BaseException:
        for path in missing_parents:
            if path.exists() and not any(path.iterdir()):
                path.rmdir()
        raise


def _replace(new: Path, old: Path, folder: Path) -> None:
    """Replace `old` by `new`; remove `old` if `new` does not exist."""
    if old.is_dir() and not old.is_symlink():
        os.replace(old, folder / f"old-{old.name}")  # in one step; it is removed with `folder`
    if new.exists():
        os.replace(new, old)
    else:
        old.unlink(missing_ok=True)


def peak_memory_mb() -> float | None:
    """Return the peak resident memory in MiB of this process or of a finished child; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes on macOS, KiB on Linux


def _to_json(values: dict[str, Any]) -> dict[str, Any]:
    """Convert NumPy values for JSON."""
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
