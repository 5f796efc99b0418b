"""Modules of `sx.tl.embed` with default settings: agreement with planted modules, and calibration.

    python -m benchmarks.quality.modules [--data DIR] [--seeds 3] [--first-seed 0] [--only simulated|redrawn]
                                         [--reliability] [--csv FILE]

Simulated sections: the default one (20 modules, Visium), and those of the scoreboard (24 modules; Visium, ST, cells).
*limit*: a Bayes classifier that knows the patterns and sizes of the modules, the distribution of effects, the
dispersion of each gene, library sizes and the budget of spatial genes; a gene is in its most probable module if the
posterior is above 0.5, otherwise in none. *K-means*: on the directions of the embedding, with one cluster more than
planted modules. *ARI*: adjusted Rand index, on all genes (genes without a pattern are one class, unassigned genes one
label) and on spatial genes; a method that assigns genes of unclear pattern to modules can exceed the limit on spatial
genes. *null in module*, *spatial in none*: shares of the genes without and with a pattern. *ECE*: expected calibration
error of the probability of the label in ten bins of equally many genes; a label is right if the module, matched
one-to-one to planted modules, is that of the gene, or if the gene is in none and has no pattern. *SVG AUROC*: spatial
genes against others, by the posterior of any module, the norm of the embedding, or `sx.tl.svg`.

Half-redrawn sections: in each real section with counts, coordinates and at least 1,000 genes, half of the genes are
redrawn from a negative binomial with mean proportional to library size and the dispersion of the gene. *redrawn in
module*, *real in module*: shares of these genes. *predicted*: mean probability to be wrong of the genes in modules;
*redrawn share*: share of redrawn genes among them, a lower bound of the share that is wrong. *norm alone*: two groups
by the norm of the embedding; genes with a local false discovery rate below 0.3 count as in a module.

Entries are means over seeds ± standard deviation. Tables go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import spacex as sx

from ..trials import COLUMNS, Trials, table
from .methods import METHODS
from .redrawn_sections import real_sections, score_section
from .simulated_sections import SIMULATED, distance, figures, gene_reliability, reliability_table

TASKS = ("simulated", "redrawn")


def run_simulated(seeds: range, trials: Trials) -> pd.DataFrame:
    """Add the scores on simulated sections; return the probability of every gene's module and whether it is right."""
    genes = []
    for seed in seeds:
        for name, arguments in SIMULATED.items():
            adata = sx.datasets.simulate_section(**arguments, seed=seed)
            for method, call in METHODS.items():
                result = call(adata, seed)
                scores = figures(result, adata.var["module"].to_numpy())
                trials.add(name, method, ((seed, metric, value) for metric, value in scores.items()))
                if method == "SpaCEX":
                    genes.append(gene_reliability(result, adata).assign(section=name))
    return pd.concat(genes)


def run_redrawn(data: Path, seeds: range, trials: Trials) -> None:
    """Add the scores on real sections with redrawn genes."""
    for name, adata in real_sections(data):
        for seed in seeds:
            for method, scores in score_section(adata, seed).items():
                trials.add(name, method, ((seed, metric, value) for metric, value in scores.items()))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.modules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--only", choices=TASKS, help="sections to measure; by default all")
    made.add_argument("--reliability", action="store_true", help="print probability and share right in bins of genes")
    made.add_argument("--csv", type=Path, help="write all figures: section, method, seed, metric, value")
    return made


def main(argv: list[str] | None = None) -> None:
    options = parser().parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    simulated, redrawn = Trials("ARI, all genes"), Trials("redrawn in module")
    if options.only != "redrawn":
        genes = run_simulated(seeds, simulated)
        print("simulated sections")
        simulated.show(None)
        print("\ndistance to the limit\n" + table(distance(pd.DataFrame(simulated.rows, columns=COLUMNS))))
        if options.reliability:
            print("\nreliability of SpaCEX, in ten bins of genes by probability\n" + reliability_table(genes))
    if options.only != "simulated":
        run_redrawn(options.data, seeds, redrawn)
        print("\nhalf of the genes redrawn without a pattern")
        redrawn.show(None)
    if options.csv:
        pd.DataFrame(simulated.rows + redrawn.rows, columns=COLUMNS).to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
