"""Seconds and peak memory of every stage on one section, beside a yardstick.

    python -m benchmarks.speed [--data DIR] [--section dlpfc_151676] [--genes N] [--repeat R]

The section is DIR/<section>.h5ad; without it, `sx.datasets.simulate_section` with 16,000 genes × 3,500 spots, the size
that the goals are set for: at another, only that of the import is judged. Every stage runs in a process of its own, on
all cores unless OMP_NUM_THREADS says otherwise, after a warm-up on a small section; reading and writing files is not
counted. "peak MB" is the peak memory of the process, libraries included, "over start" its part above what the process
held before the stage. "x yardstick" is CPU seconds over those of the yardstick: normalize_total, log1p and PCA(32) of
the genes' maps by scanpy, then KMeans(24, n_init=10) of the genes by scikit-learn. "residual images" sums counts into
pixels and makes the residuals of all genes once, in batches. "impute" gives half of the genes to half of the spots.
"all five" is every application in turn in one process, summing counts into pixels included. With --repeat, entries are
medians. `import spacex` is timed in five fresh processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .goals import verdicts

# Names only: libraries and data stay out of this process, because on Linux the peak memory of a child counts
# from that of the process that started it.
ORDER = (
    "yardstick", "rasterize", "residual images", "embed", "svg", "interactions", "domains", "impute", "all five",
)  # fmt: skip
PREPARE = "prepare"

RESEARCH_CPU = 14.0
"""CPU seconds per 1,000 genes that the research code takes to rasterize on dlpfc_151676."""
IMPORT = "import time; start = time.perf_counter(); import spacex; print(time.perf_counter() - start)"


def spawn(stage: str, folder: Path) -> dict[str, Any]:
    """Run one stage in a child process; what it measured."""
    command = [sys.executable, "-m", "benchmarks.speed", *sys.argv[1:], "--stage", stage, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def import_seconds(n_runs: int = 5) -> float:
    """Seconds of `import spacex` in a fresh process, the median of several."""
    command = [sys.executable, "-c", IMPORT]
    return statistics.median(float(subprocess.check_output(command, text=True)) for _ in range(n_runs))


def child(options: argparse.Namespace) -> dict[str, Any]:
    """The child's side of `spawn`."""
    from .stages import measure, prepare

    if options.stage != PREPARE:
        return measure(options.stage, options.folder)
    path = options.data / f"{options.section}.h5ad" if options.data is not None else None
    return prepare(options.folder, path, options.genes)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """What the section is, and the medians of every stage."""
    with tempfile.TemporaryDirectory(prefix="spacex-speed-") as name:
        folder = Path(name)
        section = spawn(PREPARE, folder)
        runs: dict[str, list[dict[str, float]]] = {stage: [] for stage in ORDER}
        for repeat in range(options.repeat):
            for stage in ORDER:
                row = spawn(stage, folder)
                print(f"{stage} ({repeat + 1} of {options.repeat}): " + json.dumps(row), file=sys.stderr)
                runs[stage].append(row)
    return section, {
        stage: {key: statistics.median(one[key] for one in found) for key in found[0]} for stage, found in runs.items()
    }


def show(section: dict[str, Any], rows: dict[str, dict[str, float]], repeat: int) -> None:
    thousands = section["genes"] / 1000
    print(f"{section['name']}: {section['spots']} spots, {section['genes']} genes; median of {repeat} run(s)")
    heads = ("wall s", "CPU s", "peak MB", "over start", "CPU s/1,000 genes", "x yardstick")
    print(f"{'stage':16}" + "".join(f"{head:>{len(head) + 3}}" for head in heads))
    for stage, row in rows.items():
        cpu = row["cpu"]
        entries = (
            f"{row['wall']:.3f}", f"{cpu:.3f}", f"{row['peak']:.0f}", f"{row['over']:.0f}",
            f"{cpu / thousands:.4f}", f"{cpu / rows['yardstick']['cpu']:.3f}",
        )  # fmt: skip
        print(f"{stage:16}" + "".join(f"{e:>{max(len(h), 6) + 3}}" for e, h in zip(entries, heads, strict=True)))
    images, grid = (RESEARCH_CPU * thousands / rows[stage]["cpu"] for stage in ("residual images", "rasterize"))
    print(
        f"residual images: {images:.0f} x under the {RESEARCH_CPU:.0f} CPU s/1,000 genes of the research code on "
        f"dlpfc_151676; with rasterize {1 / (1 / images + 1 / grid):.0f} x (wanted there: 100 x)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .h5ad files")
    parser.add_argument("--section", default="dlpfc_151676", help="name of a file in it, without .h5ad")
    parser.add_argument("--genes", type=int, help="measure on so many genes, drawn at random")
    parser.add_argument("--repeat", type=int, default=1, help="runs of every stage")
    parser.add_argument("--stage", choices=(PREPARE, *ORDER), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeat < 1 or (options.genes is not None and options.genes < 50):
        parser.error("--repeat must be at least 1, --genes at least 50")
    if options.stage is not None:
        print(json.dumps(child(options)))
        return
    if options.data is not None and not (options.data / f"{options.section}.h5ad").is_file():
        print(f"{options.section}.h5ad is not in {options.data}: a simulated section instead", file=sys.stderr)
    section, rows = run(options)
    show(section, rows, options.repeat)
    print("\n".join(verdicts(section["genes"], section["spots"], rows, import_seconds())))


if __name__ == "__main__":
    main()
