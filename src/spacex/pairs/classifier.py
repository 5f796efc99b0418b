"""What known pairs have in common: a classifier of pairs, calibrated on genes that its models have not seen.

Genes are split in folds. The probability of a pair is that of a model which saw neither of its genes, so that nothing
can be remembered of a gene, only learnt of pairs. Negative pairs are the known pairs' own genes, paired anew within the
same folds: every gene is as often in a negative as in a positive pair, and popularity tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from spacex._infra.errors import InputError

N_FOLDS = 4
MIN_PAIRS = 40
ROUNDS = 50
PENALTY = 0.003
"""Inverse strength of the ridge penalty: known pairs share genes, so that there are fewer of them than they seem."""
MIN_PER_CLASS = 5


def degree_matched(pairs: np.ndarray, fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Negative pairs (N', 2) in which every gene is about as often as in pairs (N, 2), in the same folds (G,).

    The second genes of the pairs between two folds are shuffled (the configuration model, Newman 2003, section IV.B);
    what comes out as a known pair, a gene with itself or a second time is drawn again, and left out in the end.
    """
    n_genes = len(fold)
    swap = fold[pairs[:, 0]] > fold[pairs[:, 1]]
    pairs = np.where(swap[:, None], pairs[:, ::-1], pairs)
    block = fold[pairs[:, 0]] * (fold.max() + 1) + fold[pairs[:, 1]]
    taken = _code(pairs, n_genes)
    made: list[np.ndarray] = []
    for one in np.unique(block):
        first, second = pairs[block == one].T
        within = fold[first[0]] == fold[second[0]]
        for _ in range(ROUNDS):
            if within:
                first, second = rng.permutation(np.concatenate([first, second])).reshape(2, -1)
            else:
                second = rng.permutation(second)
            code, index = np.unique(_code(np.column_stack([first, second]), n_genes), return_index=True)
            fresh = index[~np.isin(code, taken) & (first[index] != second[index])]
            new = np.column_stack([first[fresh], second[fresh]])
            made.append(new)
            taken = np.concatenate([taken, _code(new, n_genes)])
            left = np.setdiff1d(np.arange(len(first)), fresh)
            first, second = first[left], second[left]
            if len(left) < 2:
                break
    return np.concatenate(made) if made else np.empty((0, 2), dtype=int)


def _code(pairs: np.ndarray, n_genes: int) -> np.ndarray:
    low, high = np.sort(pairs, axis=1).T.astype(np.int64)
    return np.asarray(low * n_genes + high)


def calibration_error(probability: np.ndarray, truth: np.ndarray, n_bins: int = 10) -> float:
    """Expected calibration error in bins of equal size (Naeini, Cooper & Hauskrecht 2015, eq. 2)."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, n_bins) if len(part)]
    gaps = [len(part) * abs(probability[part].mean() - truth[part].mean()) for part in parts]
    return float(sum(gaps) / len(probability))


@dataclass(frozen=True)
class CrossValidationReport:
    """How a `CrossFit` did on known and negative pairs whose genes its models had not seen.

    Attributes
    ----------
    n_known, n_negative
        Pairs of each kind.
    auroc
        Chance that a known pair has a higher probability than a negative one.
    ece
        Expected calibration error.
    """

    n_known: int
    n_negative: int
    auroc: float
    ece: float


class CrossFit:
    """Ridge logistic regression on features of pairs and their products of two, one for every pair of folds of genes.

    Parameters
    ----------
    n_genes
        G.
    seed
        Of the folds and of negative pairs.
    """

    def __init__(self, n_genes: int, seed: int):
        self.rng = np.random.default_rng(seed)
        self.fold = self.rng.permutation(np.arange(n_genes) % N_FOLDS)
        self.models_: dict[tuple[int, int], Pipeline] = {}

    def negatives(self, known: np.ndarray) -> np.ndarray:
        """Negative pairs for known ones."""
        return degree_matched(known, self.fold, self.rng)

    def fit(self, pairs: np.ndarray, features: np.ndarray, truth: np.ndarray) -> CrossValidationReport:
        """Fit all models on pairs (N, 2) with features (N, F), calibrate them, and tell how they did.

        Raises `InputError` where pairs of few genes leave a model too little to learn from.
        """
        folds = np.sort(self.fold[pairs], axis=1)
        for a in range(N_FOLDS):
            for b in range(a, N_FOLDS):
                seen = ~((folds == a) | (folds == b)).any(axis=1)
                if min(truth[seen].sum(), (~truth[seen]).sum()) < MIN_PER_CLASS:
                    raise InputError(
                        f"known: its {truth.sum()} pairs centre on so few genes that a model which leaves out two "
                        f"quarters of all genes has fewer than {MIN_PER_CLASS} pairs of a kind; pass more pairs"
                    )
                self.models_[a, b] = _model().fit(features[seen], truth[seen])
        score = self._score(pairs, features)
        self.platt_ = LogisticRegression(C=1e6).fit(score[:, None], truth)
        probability = self.probability(pairs, features)
        return CrossValidationReport(
            int(truth.sum()), int((~truth).sum()), float(roc_auc_score(truth, probability)),
            calibration_error(probability, truth),
        )  # fmt: skip

    def probability(self, pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Probability (N,) of pairs, were there as many known as unknown among them (Platt 1999)."""
        return np.asarray(self.platt_.predict_proba(self._score(pairs, features)[:, None])[:, 1])

    def _score(self, pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Log odds (N,) by the model that saw neither gene."""
        folds, score = np.sort(self.fold[pairs], axis=1), np.zeros(len(pairs))
        for key, model in self.models_.items():
            here = (folds == key).all(axis=1)
            if here.any():
                score[here] = model.decision_function(features[here])
        return score


def _model() -> Pipeline:
    products = PolynomialFeatures(2, include_bias=False)
    return make_pipeline(
        StandardScaler(), products, StandardScaler(), LogisticRegression(C=PENALTY, class_weight="balanced")
    )
