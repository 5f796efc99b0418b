"""Spatially variable genes: calibration and power of SpaCEX, a simple pipeline and published tests.

    python -m benchmarks.quality.svg --data DIR [--seeds 3] [--sections NAME ...] [--methods NAME ...] [--genes N]
                                     [--tasks redrawn permuted mixed planted markers] [--csv FILE]

Tasks. *redrawn*: half of a section's genes are redrawn from a negative binomial whose mean is proportional to library
size, with the dispersion of the gene; AUROC of real against redrawn genes is the mean over deciles of expression
(otherwise mean expression would suffice), and the shares of redrawn genes with small p-values measure calibration.
Simulated sections already contain null genes. *permuted*: real genes with shuffled positions. *mixed*: Kendall's
τ of the score with the weight of a gene's pattern in a mixture. *planted*: power for five kinds of patterns, different
for each gene, at the 95th percentile of the scores of null genes. *markers*: share of housekeeping genes of similar
expression that known layer markers outrank, in human cortex (requires --resources).

For sections with fewer than 1,000 genes, null genes are drawn up to 20 times per seed, because rates of few genes vary.

Each run is a separate process, with its seconds, CPU seconds and peak memory. Tables go to stdout, progress to
stderr. Failed methods are listed with the reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from ..costs import alone
from ..redrawn import half_redrawn
from . import drawn, measure
from .methods import METHODS, SLOW, run

TASKS = ("redrawn", "permuted", "mixed", "planted", "markers")
GENES_FOR_RATES = 1000
MAX_DRAWS = 20
SECTIONS = ("dlpfc_151676", "mousebrain_st_1", "her2st_H1", "visium_mouse_embryo")


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, str, int, ad.AnnData]]:
    """Yield task, name, seed and section of all requested runs."""
    few, n_genes = arguments.min_counts, arguments.genes
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name in arguments.sections:
            path = arguments.data / f"{name}.h5ad"
            if not path.exists():
                print(f"{name}: skipped: {path} does not exist (pass --data DIR)", file=sys.stderr)
                continue
            real = sample(ad.read_h5ad(path), n_genes, few, seed)
            for draw in draws(real.n_vars, seed):
                if "redrawn" in arguments.tasks:
                    yield "redrawn", name, draw, half_redrawn(real, draw, few)
                if "permuted" in arguments.tasks:
                    yield "permuted", name, draw, drawn.permuted(real, draw, few)
            if "mixed" in arguments.tasks and real.n_vars >= 1000:
                yield "mixed", name, seed, drawn.mixed(real, seed)
            made = drawn.with_markers(real, arguments.resources) if wants_markers(arguments, name, seed) else None
            if made is not None:
                yield "markers", name, seed, made
        if "redrawn" in arguments.tasks and arguments.simulated:
            for technology in drawn.SIMULATED:
                yield "redrawn", f"simulated {technology}", seed, drawn.simulated(technology, seed)
        if "planted" in arguments.tasks:
            yield "planted", "planted", seed, drawn.planted(seed)


def draws(n_genes: int, seed: int) -> range:
    """Seeds of the draws of null genes for one seed: several for sections with few genes."""
    n_draws = min(-(-GENES_FOR_RATES // n_genes), MAX_DRAWS)
    return range(seed * MAX_DRAWS, seed * MAX_DRAWS + n_draws) if n_draws > 1 else range(seed, seed + 1)


def wants_markers(arguments: argparse.Namespace, name: str, seed: int) -> bool:
    """Whether to test a section for markers, once, because nothing is random."""
    return "markers" in arguments.tasks and bool(arguments.resources) and name.startswith("dlpfc") and not seed


def sample(adata: ad.AnnData, n_genes: int | None, min_counts: int, seed: int) -> ad.AnnData:
    """Sample genes of a section with enough counts; all genes if `n_genes` is None."""
    enough = np.flatnonzero(np.asarray(adata.X.sum(axis=0)).ravel() >= min_counts)
    if n_genes is None or n_genes >= len(enough):
        return adata
    return adata[:, np.sort(np.random.default_rng([seed, 5]).permutation(enough)[:n_genes])].copy()


def outcome(method: str, adata: ad.AnnData) -> dict[str, Any]:
    """Score and log p of a method on a section with their costs, or the reason of its failure."""
    try:
        (score, log_p), costs = alone(run, method, adata)
    except Exception as error:  # an error of a peer is a result
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"score": score, "log_p": log_p, **costs}


def figures(task: str, found: dict[str, Any], var: pd.DataFrame, total: np.ndarray) -> dict[str, float]:
    """Scores of a run."""
    score, log_p = found["score"], found["log_p"]
    if task == "mixed":
        return {"tau": measure.mixing_tau(score, var["mix"].to_numpy(), var["base"].to_numpy())}
    if task == "planted":
        return measure.power(score, var["kind"].to_numpy().astype(str))
    if task == "markers":
        numbers = (np.flatnonzero(var[name].to_numpy()) for name in ("marker", "housekeeping"))
        return {"markers ahead": measure.matched_auroc(score, *numbers, total)}
    null = var["null"].to_numpy()
    rates = measure.null_rates(log_p, null, total)
    if task == "permuted":
        return {f"{name}, permuted": rates[name] for name in ("p<0.05", "p<0.001")}
    costs = {name: found[name] for name in ("seconds", "CPU seconds", "peak MB")}
    return {"AUROC": measure.auroc(score, ~null, total), **rates, **costs}


def table(rows: pd.DataFrame) -> str:
    """Mean ± standard deviation over seeds, by section and method."""
    groups = rows.groupby(["section", "method", "metric"], sort=False)["value"].agg(["mean", "std"]).reset_index()
    groups["text"] = [
        text_of(metric, mean, spread)
        for metric, mean, spread in zip(groups["metric"], groups["mean"], groups["std"], strict=True)
    ]
    wide = groups.pivot(index=["section", "method"], columns="metric", values="text")
    order = rows[["section", "method"]].drop_duplicates()
    wide = wide.reindex(index=pd.MultiIndex.from_frame(order), columns=rows["metric"].drop_duplicates())
    return wide.fillna("–").reset_index().to_string(index=False)


def text_of(metric: str, mean: float, spread: float) -> str:
    """Mean and standard deviation as text."""
    digits = {"seconds": 1, "CPU seconds": 1, "peak MB": 0}.get(metric, 4 if ".001" in metric else 3)
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if np.isfinite(spread) else "")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.svg",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    made.add_argument(
        "--resources", type=Path, help="folder of markers and housekeeping genes; required by the task markers"
    )
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument(
        "--show", type=Path, nargs="+", metavar="CSV", help="print tables of these files, without new runs"
    )
    made.add_argument("--min-counts", type=int, default=10, help="minimum counts of a gene")
    made.add_argument(
        "--genes", type=int, metavar="N", help="sample N genes of each section; slow methods are then included"
    )
    made.add_argument("--sections", nargs="*", default=list(SECTIONS))
    made.add_argument("--no-simulated", dest="simulated", action="store_false")
    made.add_argument("--methods", nargs="+", choices=list(METHODS), metavar="NAME", help=f"of {', '.join(METHODS)}")
    made.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    made.add_argument("--csv", type=Path, help="write all figures: task, section, seed, method, metric, value")
    return made


def show(everything: pd.DataFrame, tasks: list[str]) -> None:
    """Print one table per task."""
    for task in tasks:
        part = everything[everything["task"] == task] if len(everything) else everything
        if len(part):
            print(f"\n{task}\n{table(part)}")


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    if arguments.show:
        show(pd.concat([pd.read_csv(path) for path in arguments.show]), arguments.tasks)
        return
    chosen = arguments.methods or [name for name in METHODS if arguments.genes or name not in SLOW]
    rows, failures = [], {}
    for task, name, seed, adata in cases(arguments):
        total = np.asarray(adata.X.sum(axis=0)).ravel()
        for method in chosen:
            if (task, method) == ("permuted", "simple pipeline") or method in failures:
                continue
            found = outcome(method, adata)
            print(f"{task} {name} seed {seed} {method} {found.get('failed', '')}", file=sys.stderr, flush=True)
            if "failed" in found:
                failures[method] = f"{method} on {task} {name}: {found['failed']}"
                continue
            made = figures(task, found, adata.var, total)
            rows += [
                {"task": task, "section": name, "seed": seed, "method": method, "metric": metric, "value": value}
                for metric, value in made.items()
            ]
        if arguments.csv:
            pd.DataFrame(rows).to_csv(arguments.csv, index=False)
    show(pd.DataFrame(rows), arguments.tasks)
    if failures:
        print("\nfailed\n" + "\n".join(failures.values()))


if __name__ == "__main__":
    main()
