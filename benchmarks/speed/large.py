"""Seconds and peak memory of embedding and SVG on sections of half a million bins and a million cells, read from disk.

    python -m benchmarks.speed.large [--sections visium-hd xenium] [--folder DIR] [--zarr] [--scale 1.0]

A Visium HD section (18,000 genes × 500,000 bins of 8 µm) and a Xenium section (500 genes × 1,000,000 cells) are
simulated into DIR (default: a temporary folder; existing files are reused), then measured twice, each time in a
separate process: with counts on disk (`sx.read(path, lazy=True)`) and with counts in memory. "same bytes" says whether
embedding, modules and SVG scores of both are identical. "recovered" is the adjusted Rand index of the modules and the
simulated modules over the spatial genes with a module. --scale reduces the size of the sections; the goals (15 minutes
and 8 GB with counts on disk) are then not judged.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

import spacex as sx

from ..quality.costs import alone
from .goals import Goal, size_of, verdict
from .large_sections import SECTIONS, Section, write_section
from .stages import peak_memory

STAGES = ("read", "rasterize", "embed", "svg")
MAX_SECONDS, MAX_MEMORY = 900, 8000


def timed(path: Path, lazy: bool) -> dict[str, float | str]:
    """Seconds of each stage on one file, the peak memory of the process, and a hash of the results."""
    start = [time.perf_counter()]
    adata = sx.read(path, lazy=lazy)
    start.append(time.perf_counter())
    sx.pp.rasterize(adata)
    start.append(time.perf_counter())
    sx.tl.embed(adata, progress=False)
    start.append(time.perf_counter())
    sx.tl.svg(adata, progress=False)
    start.append(time.perf_counter())
    row: dict[str, float | str] = dict(zip(STAGES, np.diff(start), strict=True))
    digest = hashlib.sha256(adata.varm["X_spacex"].tobytes())
    digest.update(adata.var["spacex_svg_score"].to_numpy().tobytes())
    digest.update("".join(adata.var["spacex_module"].astype(str)).encode())
    is_assigned = (adata.var["module"] >= 0) & (adata.var["spacex_module"].astype(str) != "unassigned")
    assigned = adata.var[is_assigned]
    return row | {
        "digest": digest.hexdigest(), "recovered": adjusted_rand_score(assigned["module"], assigned["spacex_module"]),
        "peak MB": peak_memory(),
    }  # fmt: skip


def show(name: str, section: Section, rows: dict[str, dict[str, float | str]]) -> None:
    print(f"{name}: {size_of(section.n_genes, section.n_spots)}")
    print(f"  {'counts':10}" + "".join(f"{stage + ' s':>13}" for stage in STAGES) + f"{'peak MB':>10}{'recovered':>11}")
    for storage, row in rows.items():
        seconds = "".join(f"{row[stage]:13.1f}" for stage in STAGES)
        print(f"  {storage:10}{seconds}{row['peak MB']:10.0f}{row['recovered']:11.3f}")
    disk, memory = rows["on disk"], rows["in memory"]
    print(f"  same bytes: {'yes' if disk['digest'] == memory['digest'] else 'NO'}")
    size, full = (size_of(one.n_genes, one.n_spots) for one in (section, SECTIONS[name]))
    seconds = sum(float(disk[stage]) for stage in STAGES)
    print("  " + verdict(Goal("seconds of all, counts on disk", MAX_SECONDS, full), seconds, size))
    print("  " + verdict(Goal("peak MB, counts on disk", MAX_MEMORY, full), float(disk["peak MB"]), size), flush=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.large", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--sections", nargs="+", choices=tuple(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--folder", type=Path, help="folder of the simulated files")
    parser.add_argument("--zarr", action="store_true", help="write zarr stores instead of .h5ad files")
    parser.add_argument("--scale", type=float, default=1.0, help="relative size of the sections")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="spacex-large-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.sections:
            full = SECTIONS[name]
            genes, spots = (max(50, round(n * options.scale)) for n in (full.n_genes, full.n_spots))
            section = full._replace(n_genes=genes, n_spots=spots)
            size = "" if options.scale == 1 else f"-{options.scale:g}"
            path = folder / f"{name}{size}{'.zarr' if options.zarr else '.h5ad'}"
            if not path.exists():
                print(f"simulating {path.name}", file=sys.stderr)
                print(f"{alone(write_section, path, section)[0]:,} values", file=sys.stderr)
            rows = {storage: alone(timed, path, storage == "on disk")[0] for storage in ("on disk", "in memory")}
            show(name, section, rows)


if __name__ == "__main__":
    main()
