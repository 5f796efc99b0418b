"""A classifier of gene pairs, trained on known pairs and cross-fitted over genes.

Genes are split into folds. Each pair is scored by a model that was trained without either of its genes, so the score
reflects properties of pairs and not the identity of genes. Negative pairs are obtained by shuffling the
genes of the known pairs within folds, so every gene is as frequent in negative as in known pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from spacex._infra.errors import InputError
from spacex.pairs.params import PairParams
from spacex.stats import calibration_error


def degree_matched(
    pairs: np.ndarray, fold: np.ndarray, rng: np.random.Generator, *, n_shuffles: int = PairParams.n_shuffles
) -> np.ndarray:
    """Sample negative pairs (N', 2) with about the gene frequencies of pairs (N, 2), within the same gene folds (G,).

    The second genes of the pairs between two folds are shuffled (configuration model, Newman 2003, section IV.B).
    Known pairs, repeated pairs and pairs of a gene with itself are shuffled again, and dropped after `n_shuffles`.
    """
    n_genes = len(fold)
    is_swapped = fold[pairs[:, 0]] > fold[pairs[:, 1]]
    pairs = np.where(is_swapped[:, None], pairs[:, ::-1], pairs)
    block = fold[pairs[:, 0]] * (fold.max() + 1) + fold[pairs[:, 1]]
    used = _pair_code(pairs, n_genes)
    negatives = [np.empty((0, 2), dtype=int)]
    for number in np.unique(block):
        first, second = pairs[block == number].T
        is_same_fold = fold[first[0]] == fold[second[0]]
        for _ in range(n_shuffles):
            if is_same_fold:
                first, second = rng.permutation(np.concatenate([first, second])).reshape(2, -1)
            else:
                second = rng.permutation(second)
            code, index = np.unique(_pair_code(np.column_stack([first, second]), n_genes), return_index=True)
            accepted = index[~np.isin(code, used) & (first[index] != second[index])]
            negatives.append(np.column_stack([first[accepted], second[accepted]]))
            used = np.concatenate([used, _pair_code(negatives[-1], n_genes)])
            rejected = np.setdiff1d(np.arange(len(first)), accepted)
            first, second = first[rejected], second[rejected]
            if len(rejected) < 2:
                break
    return np.concatenate(negatives)


def _pair_code(pairs: np.ndarray, n_genes: int) -> np.ndarray:
    """One integer (N,) for each unordered pair (N, 2)."""
    low, high = np.sort(pairs, axis=1).T.astype(np.int64)
    return np.asarray(low * n_genes + high)


@dataclass(frozen=True)
class CrossValidationReport:
    """Performance of a `PairClassifier` on pairs whose genes its models were not trained on.

    Attributes
    ----------
    n_known, n_negative
        Number of known and of negative pairs.
    auroc
        Area under the ROC curve: probability that a known pair scores higher than a negative one.
    ece
        Expected calibration error.
    """

    n_known: int
    n_negative: int
    auroc: float
    ece: float


class PairClassifier:
    """Ridge logistic regression on pair features and their products, one model for every pair of gene folds.

    Parameters
    ----------
    n_genes
        G.
    seed
        Seed of the folds and of the negative pairs.
    params
        Settings.

    Attributes
    ----------
    fold
        (G,) fold of each gene.
    models_
        For each pair of folds, the model trained on pairs without genes of these folds.
    """

    def __init__(self, n_genes: int, seed: int, params: PairParams | None = None):
        self.params = params or PairParams()
        self.rng = np.random.default_rng(seed)
        self.fold = self.rng.permutation(np.arange(n_genes) % self.params.n_folds)

    def sample_negatives(self, known: np.ndarray) -> np.ndarray:
        """Negative pairs (N', 2) for known pairs (N, 2); see `degree_matched`."""
        return degree_matched(known, self.fold, self.rng, n_shuffles=self.params.n_shuffles)

    def fit(self, pairs: np.ndarray, features: np.ndarray, is_known: np.ndarray) -> CrossValidationReport:
        """Fit and calibrate the models on pairs (N, 2) with features (N, F); return their cross-validated performance.

        Raises `InputError` if the pairs share so few genes that a model would have too little training data.
        """
        folds = np.sort(self.fold[pairs], axis=1)
        self.models_: dict[tuple[int, int], Pipeline] = {}
        for a in range(self.params.n_folds):
            for b in range(a, self.params.n_folds):
                in_training = ~((folds == a) | (folds == b)).any(axis=1)
                n_smaller_class = min(is_known[in_training].sum(), (~is_known[in_training]).sum())
                if n_smaller_class < self.params.min_pairs_per_class:
                    raise InputError(
                        f"known: its {is_known.sum()} pairs share so few genes that a model trained without two of "
                        f"{self.params.n_folds} folds of genes has fewer than {self.params.min_pairs_per_class} known "
                        "or negative pairs; pass more pairs"
                    )
                self.models_[a, b] = _make_model(self.params).fit(features[in_training], is_known[in_training])
        score = self._decision_function(pairs, features)
        self.platt_ = LogisticRegression(C=1e6).fit(score[:, None], is_known)
        probability = self.predict_proba(pairs, features)
        return CrossValidationReport(
            int(is_known.sum()), int((~is_known).sum()), float(roc_auc_score(is_known, probability)),
            calibration_error(probability, is_known),
        )  # fmt: skip

    def predict_proba(self, pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Probability (N,) that pairs interact, calibrated for equal numbers of both classes (Platt 1999)."""
        return np.asarray(self.platt_.predict_proba(self._decision_function(pairs, features)[:, None])[:, 1])

    def _decision_function(self, pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Log odds (N,) by the model trained without either gene."""
        folds, score = np.sort(self.fold[pairs], axis=1), np.zeros(len(pairs))
        for bins, model in self.models_.items():
            in_folds = (folds == bins).all(axis=1)
            if in_folds.any():
                score[in_folds] = model.decision_function(features[in_folds])
        return score


def _make_model(params: PairParams) -> Pipeline:
    products = PolynomialFeatures(2, include_bias=False)
    classifier = LogisticRegression(C=params.inverse_penalty, class_weight="balanced")
    return make_pipeline(StandardScaler(), products, StandardScaler(), classifier)
