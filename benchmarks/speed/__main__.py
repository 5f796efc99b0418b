"""Seconds and peak memory of each stage on one section, compared with a reference workload, the "yardstick".

    python -m benchmarks.speed [--data DIR] [--section dlpfc_151676] [--genes N] [--repeat R]

The section is DIR/<section>.h5ad; without it, `sx.datasets.simulate_section` with 16,000 genes × 3,500 spots, the size
of the goals; for other sizes only the goal of the import time is judged. Each stage runs in a separate process, on all
cores unless OMP_NUM_THREADS is set, after a warm-up on a small section; the time to read and write files is not
included. "peak MB" is the peak memory of the process, libraries included, "over start" its increase during the stage.
"x yardstick" is the ratio of CPU seconds to those of the yardstick: normalize_total, log1p and PCA(32) of the gene maps
by scanpy, then KMeans(24, n_init=10) of the genes by scikit-learn. "residual images" sums counts into pixels and
computes the residuals of all genes once, in batches. "impute" predicts half of the genes for half of the spots. "all
five" runs all applications in sequence in one process, from the counts. With --repeat, entries are medians.
`import spacex` is timed in five new processes.
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

# Names only: this process imports no libraries and reads no data, because on Linux the peak memory of a child process
# includes that of its parent at the start.
ORDER = (
    "yardstick", "rasterize", "residual images", "embed", "svg", "interactions", "domains", "impute", "all five",
)  # fmt: skip
PREPARE = "prepare"

RESEARCH_CPU = 14.0
"""CPU seconds per 1,000 genes of rasterization by the research code on dlpfc_151676."""
IMPORT = "import time; start = time.perf_counter(); import spacex; print(time.perf_counter() - start)"


def spawn(stage: str, folder: Path) -> dict[str, Any]:
    """Run one stage in a child process and return its measurements."""
    command = [sys.executable, "-m", "benchmarks.speed", *sys.argv[1:], "--stage", stage, "--folder", str(folder)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def import_seconds(n_runs: int = 5) -> float:
    """Seconds of `import spacex` in a fresh process, the median of several."""
    command = [sys.executable, "-c", IMPORT]
    return statistics.median(float(subprocess.check_output(command, text=True)) for _ in range(n_runs))


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Run the stage of `spawn` in the child process."""
    from .stages import measure, prepare

    if options.stage != PREPARE:
        return measure(options.stage, options.folder)
    path = options.data / f"{options.section}.h5ad" if options.data is not None else None
    return prepare(options.folder, path, options.genes)


def run(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Return the description of the section, and the medians of each stage."""
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
        stage: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for stage, rows in runs.items()
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
        f"dlpfc_151676; with rasterize {1 / (1 / images + 1 / grid):.0f} x (goal: 100 x)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .h5ad files")
    parser.add_argument("--section", default="dlpfc_151676", help="name of a file in it, without .h5ad")
    parser.add_argument("--genes", type=int, help="number of genes, sampled at random; default: all")
    parser.add_argument("--repeat", type=int, default=1, help="number of runs of each stage")
    parser.add_argument("--stage", choices=(PREPARE, *ORDER), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeat < 1 or (options.genes is not None and options.genes < 50):
        parser.error("--repeat must be at least 1, --genes at least 50")
    if options.stage is not None:
        print(json.dumps(child(options)))
        return
    if options.data is not None and not (options.data / f"{options.section}.h5ad").is_file():
        print(f"{options.section}.h5ad is not in {options.data}; a simulated section is used", file=sys.stderr)
    section, rows = run(options)
    show(section, rows, options.repeat)
    print("\n".join(verdicts(section["genes"], section["spots"], rows, import_seconds())))


if __name__ == "__main__":
    main()
