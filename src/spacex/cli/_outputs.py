"""The folder of a result: written beside its place and moved there when everything is complete."""

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

from spacex._infra.atomic_write import fsync, process_tag, remove_on_error, remove_stale, translate_os_errors
from spacex._infra.errors import InputError
from spacex._infra.serialization import read_json
from spacex.cli._stage_timer import StageTimer
from spacex.get import gene_table, module_table
from spacex.report import write_report

CHECKPOINT = ".spacex-checkpoint"
PARTIAL = ".spacex-partial-"
NAMES = (
    "result.h5ad",
    "genes.csv",
    "modules.csv",
    "domains.csv",
    "enrichment.csv",
    "model",
    "report.html",
    "run.json",
)
FLOATS = "%.6g"


def check_folder(out: Path) -> None:
    """Raise `InputError` where a folder cannot be made or written to, without making it."""
    if out.exists() and not out.is_dir():
        raise InputError(f"-o {out} is a file; pass the name of a folder")
    nearest = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise InputError(f"-o {out} cannot be made: {nearest} is a file; pass another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"-o {out} cannot be written: no permission in {nearest}; pass another folder")


def check_overwrite(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Raise `InputError` where a result would replace one of the `inputs`, or what is of no earlier result."""
    there = [name for name in NAMES if os.path.lexists(out / name)]
    for path in inputs:
        if any((out / name).exists() and path.exists() and path.samefile(out / name) for name in there):
            raise InputError(f"{path} lies in -o {out}, where the result would replace it; pass another folder")
    # What was ended between two of its files has left no list, but its checkpoint, or the rest.
    begun = (out / CHECKPOINT).exists() or any(out.glob(f"{PARTIAL}*"))
    strange = [name for name in there if not begun and name not in _files_of(out)]
    if strange:
        raise InputError(
            f"-o {out} holds {', '.join(strange)}, which would be replaced, and no result of spacex that lists it; "
            "move it, or pass another folder"
        )


def _files_of(out: Path) -> set[str]:
    """The files of the result in a folder, as it lists them; none where there is no result."""
    try:
        return {"run.json", *read_json(out / "run.json", hint="move it")["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write_folder(
    adata: AnnData,
    out: Path,
    model: Any,
    enrichment: DataFrame | None,
    *,
    choices: dict[str, Any],
    name: str,
    clock: StageTimer,
) -> None:
    """Write everything. `model` is a fitted model, or the folder of a saved one."""
    adata.uns["spacex"]["run"] = {
        "input": name,
        "seconds": dict(clock.seconds),
        **({"peak_memory_mb": peak} if (peak := peak_memory_mb()) is not None else {}),
    }
    if enrichment is not None and len(enrichment):
        adata.uns["spacex"]["enrichment"] = enrichment
    with _staged(out) as folder:
        with clock.stage("report"):
            write_report(adata, folder / "report.html", enrichment=enrichment)
        with clock.stage("write"):
            _write_tables(adata, folder, enrichment)
            adata.write_h5ad(folder / "result.h5ad", compression="gzip", compression_opts=1)
            if isinstance(model, Path):
                shutil.copytree(model, folder / "model")
            else:
                model.save(folder / "model")
        files = [known for known in NAMES if (folder / known).exists()]
        notes = {
            "input": name,
            "choices": choices,
            "parameters": _plain({**adata.uns["spacex"]["parameters"], **adata.uns["spacex"]["embed"]}),
            "versions": {"python": platform.python_version(), **adata.uns["spacex"]["versions"]},
            "seconds": {stage: round(value, 3) for stage, value in clock.seconds.items()},
            "peak_memory_mb": peak_memory_mb(),
            "files": files,
        }
        (folder / "run.json").write_text(json.dumps(notes, indent=2) + "\n")


def _write_tables(adata: AnnData, folder: Path, enrichment: DataFrame | None) -> None:
    gene_table(adata).to_csv(folder / "genes.csv", index=False, float_format=FLOATS)
    module_table(adata, enrichment).to_csv(folder / "modules.csv", index=False, float_format=FLOATS)
    if "spacex_domain" in adata.obs:
        domains = DataFrame({"spot": adata.obs_names, "domain": adata.obs["spacex_domain"].astype(str).to_numpy()})
        in_tissue = adata.obsm["spacex_pixel"][:, 0] >= 0
        domains[in_tissue].to_csv(folder / "domains.csv", index=False)
    if enrichment is not None:
        enrichment.to_csv(folder / "enrichment.csv", index=False, float_format=FLOATS)


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder on the same disk as `out`, moved there at the end and removed after an error.

    What is in `out` under the same names is replaced by complete files; ``run.json``, which says that a result is
    complete, is taken away first and put there last.
    """
    above = [place for place in (out.parent, *out.parent.parents) if not place.exists()]
    base = out if out.exists() else out.parent
    base.mkdir(parents=True, exist_ok=True)
    for left in remove_stale(base, PARTIAL):
        shutil.rmtree(left, ignore_errors=True)
    folder = base / f"{PARTIAL}{process_tag()}"
    try:
        with translate_os_errors(out), remove_on_error(folder):
            folder.mkdir()
            yield folder
            for file in folder.rglob("*"):
                fsync(file)
            out.mkdir(exist_ok=True)
            (out / "run.json").unlink(missing_ok=True)
            for known in NAMES:
                _replace(folder / known, out / known, folder)
    except BaseException:
        for place in above:
            if place.exists() and not any(place.iterdir()):
                place.rmdir()
        raise


def _replace(new: Path, old: Path, folder: Path) -> None:
    """Put `new` in the place of `old`; where there is no new one, an old one of an earlier run goes."""
    if old.is_dir() and not old.is_symlink():
        os.replace(old, folder / f"old-{old.name}")  # in one step; it is removed with `folder`
    if new.exists():
        os.replace(new, old)
    else:
        old.unlink(missing_ok=True)


def peak_memory_mb() -> float | None:
    """Largest resident memory so far of this process, or of one that it started and that is over; in MiB.

    None where the system does not tell.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)  # bytes on macOS, KiB on Linux


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON holds them."""
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
