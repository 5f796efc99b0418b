"""Measure what references of other donors add to each section.

    python -m benchmarks.reference FOLDER... --records DIR [--seeds 3] [--sections NAME ...]
                                   [--function RESOURCES | --sizes N ... [--figure FILE.png]]

For every section, references are made of the other donors (or experiments) of its species:

all
    all their sections;
same
    those of the same tissue and technology;
other
    those of other tissues, and of other technologies.

The agreement of the embedding of half of the counts with that of the other half (without reference) is printed for
all gene pairs, and for the thirds of the genes with the fewest and the most counts. With ``--function``, gene sets and
pairs are predicted from the vectors for function of all counts (``all``), beside three PCAs of the section alone. With
``--sizes``, references are made of N random sections of other donors, and of all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from .measures import LEVELS, PCA, function_scores, half_agreements
from .records import compute_records, reference_of
from .sections import CorpusSection, corpus_sections, donors_left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of sections (.h5ad)")
    parser.add_argument("--records", type=Path, required=True, help="folder in which the vectors of sections are kept")
    parser.add_argument("--seeds", type=int, default=3, help="number of divisions of the counts")
    parser.add_argument("--function", type=Path, help="folder of gene sets and pairs; measures these instead")
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="numbers of sections of references; measures these instead"
    )
    parser.add_argument("--figure", type=Path, help="file for a figure of the gain by number of sections")
    parser.add_argument("--sections", nargs="+", help="names of the sections to measure; all by default")
    arguments = parser.parse_args()
    sections = corpus_sections(arguments.folders)
    compute_records(sections, arguments.records)
    targets = [s for s in sections if arguments.sections is None or s.name in arguments.sections]
    if arguments.function is not None:
        print_function(targets, sections, arguments.records, arguments.function)
    elif arguments.sizes is not None:
        table = agreement_by_size(targets, sections, arguments.records, arguments.seeds, arguments.sizes)
        print(table.to_string(float_format="%.3f"))
        if arguments.figure is not None:
            draw_sizes(table, arguments.figure)
    else:
        print_agreement(targets, sections, arguments.records, arguments.seeds)


def print_agreement(targets: list[CorpusSection], sections: list[CorpusSection], records: Path, n_seeds: int) -> None:
    """Print agreements without reference and the gains by kind of reference: each section, then means."""
    rows = []
    for target in targets:
        chosen = donors_left_out(target, sections)
        references = {name: reference_of(members, records) for name, members in chosen.items()}
        results = [half_agreements(target.load(), references, seed) for seed in range(n_seeds)]
        for name, members in chosen.items():
            base, value = (np.array([result[key] for result in results]) for key in ("none", name))
            rows.append([target.name, name, len(members), *base.mean(axis=0), *(value - base).mean(axis=0)])
            rows[-1].append(np.std((value - base)[:, 0], ddof=1) if n_seeds > 1 else np.nan)
        text = to_table(rows[-len(chosen) :]).to_string(index=False, float_format="%.3f", header=target is targets[0])
        print(text, flush=True)
    table = to_table(rows)
    gains = [f"gain, {level}" for level in LEVELS]
    print("\nmean over sections")
    print(table.groupby("reference")[[*LEVELS, *gains]].mean().to_string(float_format="%.3f"))
    print("\nminimum over sections")
    print(table.groupby("reference")[gains].min().to_string(float_format="%.3f"))


def agreement_by_size(
    targets: list[CorpusSection], sections: list[CorpusSection], records: Path, n_seeds: int, sizes: list[int]
) -> pd.DataFrame:
    """Gain in agreement over all pairs (sections × numbers of reference sections), mean over seeds."""
    gains: dict[str, dict[str, float]] = {}
    for target in targets:
        others, values = donors_left_out(target, sections)["all"], []
        for seed in range(n_seeds):
            order = np.random.default_rng(seed).permutation(len(others))
            chosen = {str(n): [others[i] for i in order[:n]] for n in sizes if n < len(others)}
            references = {name: reference_of(members, records) for name, members in chosen.items()}
            references["all"] = reference_of(others, records)
            result = half_agreements(target.load(), references, seed)
            values.append({name: result[name][0] - result["none"][0] for name in references})
        gains[target.name] = pd.DataFrame(values).mean().to_dict()
    return pd.DataFrame(gains).T


def draw_sizes(table: pd.DataFrame, file: Path) -> None:
    """Draw the gain of each section by number of reference sections."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, gains in table.iterrows():
        measured = np.flatnonzero(gains.notna())  # a species may have fewer sections
        axes.plot(measured, gains.iloc[measured], marker="o", markersize=4, label=name)
    axes.set_xticks(np.arange(table.shape[1]), table.columns)
    axes.set(xlabel="sections of other donors in the reference", ylabel="gain in agreement of halves")
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(file, dpi=150)


def to_table(rows: list[list[object]]) -> pd.DataFrame:
    """Table of the rows of `print_agreement`."""
    gains = [f"gain, {level}" for level in LEVELS]
    return pd.DataFrame(rows, columns=["section", "reference", "n", *LEVELS, *gains, "sd of gain"])


def print_function(targets: list[CorpusSection], sections: list[CorpusSection], records: Path, resources: Path) -> None:
    """Print scores of gene sets and pairs for each section and embedding, then the gains over the best PCA."""
    rows = []
    for target in targets:
        reference = reference_of(donors_left_out(target, sections)["all"], records)
        scores = pd.DataFrame(function_scores(target.load(), reference, resources)).T
        print(f"\n{target.name}\n{scores.to_string(float_format='%.3f')}", flush=True)
        gains = scores.loc[["no reference", "reference"]] - scores.loc[list(PCA)].max()
        rows.append(gains.assign(section=target.name, embedding=gains.index))
    table = pd.concat(rows).set_index(["section", "embedding"])
    print("\ngain over the best of three PCAs, per metric")
    print(table.to_string(float_format="%.3f"))
    print(table.groupby("embedding").agg(["mean", "min"]).T.to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
