"""Growth of time and memory of all applications with the numbers of genes and spots, four sizes each.

    python -m benchmarks.speed.scaling [--genes 2000 4000 8000 16000] [--spots 875 1750 3500 7000] [--plot FILE.png]

Sections are simulated Visium (`sx.datasets.simulate_section`, 24 modules, 7 domains); genes vary at 3,500 spots,
spots at 4,000 genes. Each section is processed in a separate process, after a warm-up on a small one: embedding, SVG,
interactions, domains (7), and imputation of half of the genes from the other half of the spots. "exponent" is the slope
of log seconds on log size by least squares: 1 is linear, 0 constant. The goals (cost per gene does not grow with the
number of genes, nor cost per spot with the number of spots) are judged at the sizes above: exponents of at most 1.1.
"peak MB" is the peak of the whole process, including the simulation. One thread if OMP_NUM_THREADS=1 is set.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import spacex as sx

from ..quality.costs import alone
from .goals import Goal, verdict
from .stages import impute, peak_memory

AT_SPOTS, AT_GENES = 3500, 4000
SIZES = {"genes": [2000, 4000, 8000, 16_000], "spots": [875, 1750, 3500, 7000]}
LINEAR = 1.1
"""Maximum exponent that counts as linear: timings are noisy, and 0.1 over a factor of eight is 23 %."""


STAGES: dict[str, Callable[[ad.AnnData], object]] = {
    "embed": lambda adata: sx.tl.embed(adata, progress=False),
    "svg": lambda adata: sx.tl.svg(adata),
    "interactions": lambda adata: sx.tl.interactions(adata),
    "domains": lambda adata: sx.tl.domains(adata, n_domains=7),
    "impute": impute,
}


def timed(n_genes: int, n_spots: int) -> dict[str, float]:
    """Seconds of each stage, and the peak memory."""
    warm = sx.datasets.simulate_section(300, 300, 4, 3, depth=1.0)
    for run in STAGES.values():
        run(warm)
    adata = sx.datasets.simulate_section(n_genes, n_spots, 24, 7)
    seconds = {}
    for name, run in STAGES.items():
        start = time.perf_counter()
        run(adata)
        seconds[name] = time.perf_counter() - start
    return seconds | {"peak MB": peak_memory()}


def measure(sizes: list[tuple[int, int]]) -> pd.DataFrame:
    """One row of seconds for each (genes, spots), measured in a separate process."""
    rows = []
    for genes, spots in sizes:
        rows.append({"genes": genes, "spots": spots} | alone(timed, genes, spots)[0])
        print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def exponents(size: pd.Series, seconds: pd.DataFrame) -> pd.Series:
    """Slope of log seconds on log size, for each column."""
    return seconds.apply(lambda column: float(np.polyfit(np.log(size), np.log(column), 1)[0]))


def verdicts(varied: str, sizes: list[int], slopes: pd.Series) -> list[str]:
    """Whether the cost per gene, or per spot, is constant: one line for each application."""
    at, size = (", ".join(f"{n:,}" for n in numbers) + f" {varied}" for numbers in (SIZES[varied], sizes))
    return [verdict(Goal(f"exponent of {name} in {varied}", LINEAR, at), slope, size) for name, slope in slopes.items()]


def plot(runs: dict[str, pd.DataFrame], path: Path) -> None:
    """Seconds over sizes on logarithmic axes, genes on the left, spots on the right."""
    from matplotlib.figure import Figure

    from spacex.pl.colors import OKABE_ITO_EXTENDED

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for ax, (varied, table) in zip(figure.subplots(1, len(runs), sharey=True), runs.items(), strict=True):
        for color, (name, slope) in zip(
            OKABE_ITO_EXTENDED, exponents(table[varied], table[list(STAGES)]).items(), strict=False
        ):
            ax.loglog(table[varied], table[name], "o-", color=color, ms=4, label=f"{name}, exponent {slope:.2f}")
        ax.set_xticks(table[varied], [f"{n:,}" for n in table[varied]])
        ax.minorticks_off()
        other, n = ("spots", AT_SPOTS) if varied == "genes" else ("genes", AT_GENES)
        ax.set_xlabel(f"{varied}, at {n:,} {other}")
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("seconds")
    figure.savefig(path, dpi=150)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scaling", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--genes", type=int, nargs="+", default=SIZES["genes"])
    parser.add_argument("--spots", type=int, nargs="+", default=SIZES["spots"])
    parser.add_argument("--plot", type=Path, help="draw the curves to this file")
    options = parser.parse_args(argv)
    runs = {
        "genes": measure([(n, AT_SPOTS) for n in options.genes]),
        "spots": measure([(AT_GENES, n) for n in options.spots]),
    }
    for varied, table in runs.items():
        print(f"\n{varied}\n{table.round(2).to_string(index=False)}")
        slopes = exponents(table[varied], table[list(STAGES)])
        print("exponents: " + ", ".join(f"{name} {slope:.2f}" for name, slope in slopes.items()))
        print("\n".join(verdicts(varied, list(table[varied]), slopes)))
    if options.plot:
        plot(runs, options.plot)


if __name__ == "__main__":
    main()
