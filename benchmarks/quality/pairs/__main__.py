"""Gene pairs: known interactions against pairs of the same genes, by SpaCEX, linear baselines and controls.

    python -m benchmarks.quality.pairs --data DIR --resources DIR [--seeds 3] [--sections NAME ...] [--csv FILE]
                                       [--reference FOLDER ... --records DIR]

Positives are protein-protein edges and ligand-receptor pairs; negatives are random pairs of the same genes, each as
often as among the positives, so that degree is not informative. *unsupervised*: AUROC and AUPRC (positives: one half)
in each section. *supervised*: half of the genes are held out; a classifier is trained on known pairs of the others and
evaluated on pairs of held-out genes; also the same classifier on single features, and its expected calibration error,
in each section and over the pairs of all sections (with few pairs, ten bins are noisy). *pooled*: the mean over all
sections of every method's standardized score (log odds of the supervised one) for pairs measured in at least three
sections. *ceiling*: gradient boosting on all features of a pair in 1, 2, 5 and all sections (similarity, co-location,
expression, strength in each), cross-fitted by gene. "SpaCEX similarity" is the cosine of embeddings, "SpaCEX function"
that of the vectors for function, and "SpaCEX probability" uses the latter with a reference. With ``--reference``, each
section has a reference of all sections of other donors in these folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from spacex.pairs import PairClassifier
from spacex.stats import calibration_error

from ...reference.records import compute_records, reference_of
from ...reference.sections import corpus_sections, donors_left_out
from .measures import CONTROLS, METHODS, Section
from .tables import KINDS, human_names, known_pairs, together, with_negatives

SECTIONS = (
    "dlpfc_151676", "dlpfc_151674", "her2st_H1", "her2st_H2", "her2st_B1", "her2st_B2", "mousebrain_st_1",
    "mousebrain_st_2", "visium_mouse_embryo", "mob_st_rep11",
)  # fmt: skip
FEWEST = 100
SUPERVISED = "SpaCEX, supervised"
Row = dict[str, object]


def row(task: str, kind: str, section: str, seed: int, method: str, truth: np.ndarray, score: np.ndarray) -> Row:
    return {
        "task": task, "pairs": kind, "section": section, "seed": seed, "method": method, "n": int(truth.sum()),
        "AUROC": roc_auc_score(truth, score), "AUPRC": average_precision_score(truth, score),
    }  # fmt: skip


def unsupervised(section: Section, name: str, kind: str, known: np.ndarray, seeds: int) -> Iterator[Row]:
    for seed in range(seeds):
        pairs, truth = with_negatives(known, section.adata.n_vars, seed)
        for method in METHODS:
            yield row("unsupervised", kind, name, seed, method, truth, section.of[method](pairs))


def halves(known: np.ndarray, n_genes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Known pairs within each of two random halves of the genes."""
    half = np.random.default_rng([seed, 8]).permutation(n_genes) % 2 == 0
    inside = half[known]
    return known[inside.all(axis=1)], known[~inside.any(axis=1)]


Asked = dict[tuple[str, int], list[tuple[np.ndarray, np.ndarray]]]
"""Truth and probabilities of the pairs that classifiers were evaluated on, by kind and seed, one item per section."""


def supervised(section: Section, name: str, kind: str, known: np.ndarray, seeds: int, asked: Asked) -> Iterator[Row]:
    n = section.adata.n_vars
    for seed in range(seeds):
        train, test = halves(known, n, seed)
        if min(len(train), len(test)) < FEWEST / 2:
            continue
        pairs, truth = with_negatives(test, n, seed)
        probability = section.learned(train, pairs)
        asked.setdefault((kind, seed), []).append((truth, probability))
        result = row("supervised", kind, name, seed, SUPERVISED, truth, probability)
        yield result | {"ECE": calibration_error(probability, truth)}
        for method in CONTROLS:
            classifier = PairClassifier(n, seed)
            both = np.concatenate([train, classifier.sample_negatives(train)])
            classifier.fit(both, section.of[method](both)[:, None], np.arange(len(both)) < len(train))
            score = classifier.predict_proba(pairs, section.of[method](pairs)[:, None])
            yield row("supervised", kind, name, seed, f"{method} only", truth, score)


def together_supervised(asked: Asked) -> Iterator[Row]:
    """Scores over the evaluated pairs of all sections."""
    for (kind, seed), parts in asked.items():
        truth, probability = (np.concatenate(part) for part in zip(*parts, strict=True))
        result = row("supervised", kind, "all pairs", seed, SUPERVISED, truth, probability)
        yield result | {"ECE": calibration_error(probability, truth)}


class Pool:
    """Pairs of human genes over all sections."""

    def __init__(self, sections: dict[str, Section], names: dict[str, np.ndarray]):
        self.sections = sections
        self.genes = np.array(sorted(set().union(*(set(found) - {""} for found in names.values()))))
        index = {gene: i for i, gene in enumerate(self.genes)}
        self.local = np.full((len(sections), len(self.genes)), -1)
        for s, found in enumerate(names.values()):
            for i, gene in enumerate(found):
                if gene:
                    self.local[s, index[gene]] = i

    @property
    def measured(self) -> np.ndarray:
        return self.local.T >= 0

    def score(self, method: str, pairs: np.ndarray) -> np.ndarray:
        """Score (N, n_sections) of pairs; NaN if a section lacks one of the genes."""
        scores = np.full((len(pairs), len(self.sections)), np.nan)
        for s, section in enumerate(self.sections.values()):
            local = self.local[s][pairs]
            is_measured = (local >= 0).all(axis=1)
            scores[is_measured, s] = section.of[method](local[is_measured])
        return scores

    def learned(self, known: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Log odds (N, n_sections) of pairs by each section's classifier."""
        log_odds = np.full((len(pairs), len(self.sections)), np.nan)
        for s, section in enumerate(self.sections.values()):
            train, local = self.local[s][known], self.local[s][pairs]
            train, is_measured = train[(train >= 0).all(axis=1)], (local >= 0).all(axis=1)
            if len(train) >= FEWEST:
                log_odds[is_measured, s] = logit(np.clip(section.learned(train, local[is_measured]), 1e-6, 1 - 1e-6))
        return log_odds


def standardized(score: np.ndarray) -> np.ndarray:
    """Mean (N,) over sections of standardized scores."""
    used = score[:, np.isfinite(score).any(axis=0)]
    return np.asarray(np.nanmean((used - np.nanmean(used, axis=0)) / np.nanstd(used, axis=0), axis=1))


def pooled(pool: Pool, kind: str, known: np.ndarray, seeds: int) -> Iterator[Row]:
    known = known[together(known, pool.measured) >= 3]
    n = len(pool.genes)
    for seed in range(seeds):
        pairs, truth = with_negatives(known, n, seed, allowed=pool.measured)
        for method in METHODS:
            yield row("pooled", kind, "all", seed, method, truth, standardized(pool.score(method, pairs)))
        train, test = halves(known, n, seed)
        if min(len(train), len(test)) < FEWEST / 2:
            continue
        pairs, truth = with_negatives(test, n, seed, allowed=pool.measured)
        odds = pool.learned(train, pairs)
        is_scored = np.isfinite(odds).any(axis=1)
        odds, truth = np.nanmean(odds[is_scored], axis=1), truth[is_scored]
        yield row("pooled, supervised", kind, "all", seed, SUPERVISED, truth, odds)


def ceiling(pool: Pool, kind: str, known: np.ndarray, seeds: int) -> Iterator[Row]:
    """Gradient boosting on all features, cross-fitted by gene, for increasing numbers of sections."""
    known = known[together(known, pool.measured) >= 3]
    for seed in range(seeds):
        classifier = PairClassifier(len(pool.genes), seed)
        pairs, truth = with_negatives(known, len(pool.genes), seed, fold=classifier.fold, allowed=pool.measured)
        each = np.stack([pool.score(method, pairs) for method in METHODS], axis=2)
        order = np.random.default_rng([seed, 9]).permutation(each.shape[1])
        for n_sections in sorted({1, 2, 5, len(order)} & set(range(len(order) + 1))):
            used = each[:, order[:n_sections]]
            seen = np.isfinite(used).any(axis=(1, 2))
            score = boosted(used.reshape(len(used), -1), pairs, truth, classifier.fold)
            yield row("ceiling", kind, f"{n_sections} section(s)", seed, "boosting", truth[seen], score[seen])


def boosted(features: np.ndarray, pairs: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Probability (N,) of pairs by models trained without both genes."""
    folds, probability = np.sort(fold[pairs], axis=1), np.zeros(len(pairs))
    for a, b in np.unique(folds, axis=0):
        is_test = (folds == [a, b]).all(axis=1)
        is_train = ~((folds == a) | (folds == b)).any(axis=1)
        model = HistGradientBoostingClassifier(
            max_iter=200,
            learning_rate=0.04,
            max_leaf_nodes=12,
            min_samples_leaf=40,
            l2_regularization=5.0,
            random_state=0,
        )
        probability[is_test] = model.fit(features[is_train], truth[is_train]).predict_proba(features[is_test])[:, 1]
    return probability


def table(rows: pd.DataFrame, metric: str) -> str:
    """Mean ± standard deviation over seeds, methods by columns."""
    groups = rows.groupby(["pairs", "section", "method"], sort=False)[metric].agg(["mean", "std"])
    text = groups.apply(lambda g: f"{g['mean']:.3f}" + (f" ± {g['std']:.3f}" if g["std"] > 0 else ""), axis=1)
    wide = text.unstack("method")[list(dict.fromkeys(rows["method"]))]
    order = rows[["pairs", "section"]].drop_duplicates()
    n = rows.groupby(["pairs", "section"])["n"].mean().astype(int).rename("n")
    return wide.join(n).reindex(pd.MultiIndex.from_frame(order)).reset_index().to_string(index=False)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.pairs", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of .h5ad sections")
    parser.add_argument("--resources", type=Path, required=True, help="folder of pairs and orthologs")
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--csv", type=Path, help="write all figures")
    parser.add_argument("--reference", nargs="+", type=Path, help="folders of sections of references")
    parser.add_argument("--records", type=Path, help="folder in which the vectors of these sections are kept")
    options = parser.parse_args(argv)
    if (options.reference is None) != (options.records is None):
        parser.error("--reference and --records are used together")
    corpus = corpus_sections(options.reference or [])
    if options.records is not None:
        compute_records(corpus, options.records)
    sections, names, rows = {}, {}, []
    asked: Asked = {}
    for name in options.sections:
        target = next((s for s in corpus if s.name == name), None)
        reference = target and reference_of(donors_left_out(target, corpus)["all"], options.records)
        sections[name] = section = Section(ad.read_h5ad(options.data / f"{name}.h5ad"), reference)
        names[name] = human_names(list(section.adata.var_names), options.resources)
        print(f"{name}: {section.adata.n_vars} genes embedded", file=sys.stderr, flush=True)
        for kind in KINDS:
            known = known_pairs(kind, names[name], options.resources)
            if len(known) < FEWEST:
                continue
            rows += unsupervised(section, name, kind, known, options.seeds)
            rows += supervised(section, name, kind, known, options.seeds, asked)
    rows += together_supervised(asked)
    if len(sections) >= 3:
        pool = Pool(sections, names)
        for kind in KINDS:
            known = known_pairs(kind, pool.genes, options.resources)
            print(f"pooled {kind}", file=sys.stderr, flush=True)
            rows += pooled(pool, kind, known, options.seeds)
            rows += ceiling(pool, kind, known, options.seeds)
    table_of_rows = pd.DataFrame(rows)
    if options.csv:
        table_of_rows.to_csv(options.csv, index=False)
    for task, part in table_of_rows.groupby("task", sort=False):
        for metric in ("AUROC", "AUPRC", "ECE"):
            if metric in part and part[metric].notna().any():
                print(f"\n{task}, {metric}\n{table(part.dropna(subset=[metric]), metric)}")


if __name__ == "__main__":
    main()
