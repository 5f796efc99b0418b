"""P-values and interaction probabilities of gene pairs in one section."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.settings import settings_from_dict, settings_to_dict
from spacex.gene_names import GeneNames
from spacex.get import embedded_images
from spacex.pairs import (
    Colocation,
    CosineSimilarity,
    CrossValidationReport,
    PairClassifier,
    PairParams,
    SignFlipNull,
    SimilarityMeasure,
)
from spacex.tl._pair_table import find_pairs, is_usable

logger = logging.getLogger("spacex")

By = Literal["embedding", "cofunction", "same", "neighbors"]

MIN_GENES = 10


@dataclass(frozen=True)
class KnownPairs:
    """Known pairs, seed and settings of the classifier trained on them.

    Attributes
    ----------
    table
        Names of the genes, in the columns ``gene_a`` and ``gene_b``.
    seed
        Seed of the null distribution, of the gene folds and of the negative pairs.
    params
        Settings.
    """

    table: pd.DataFrame
    seed: int
    params: PairParams


@dataclass(frozen=True)
class PairScorer:
    """Scores of pairs of embedded genes.

    Attributes
    ----------
    embedded
        (n,) indices of the embedded genes. All methods take pairs (N, 2) of positions in this array.
    z
        (n, D) embeddings, whose norms are the strengths.
    vectors
        (n, D') vectors of which the cosine is the similarity; the embeddings, or the vectors for function.
    similarity
        Similarity measure of the pairs.
    null
        Null distribution of the similarity.
    has_pattern
        (n,) probability that a gene has a spatial pattern, by which the probabilities of its pairs are multiplied.
    learned
        The classifier of known pairs; None without known pairs.
    """

    embedded: np.ndarray
    z: np.ndarray
    vectors: np.ndarray
    similarity: SimilarityMeasure
    null: SignFlipNull
    has_pattern: np.ndarray
    learned: LearnedPairs | None = None

    @property
    def strength(self) -> np.ndarray:
        """(n,) log norm of the embeddings."""
        return _log_strength(self.z)

    def pvalue(self, pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """P-values (N,) of pairs with the given similarity (N,)."""
        return self.null.pvalue(similarity, *self.strength[pairs.T])

    def probability(self, pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Probability (N,) of an interaction, by the classifier if there are known pairs."""
        if self.learned is not None:
            features = _pair_features(pairs, similarity, self.strength, self.learned.expression)
            return self.learned.classifier.predict_proba(pairs, features)
        have_pattern = self.has_pattern[pairs].prod(axis=1)
        return have_pattern * self.null.probability(similarity, *self.strength[pairs.T])


@dataclass(frozen=True)
class LearnedPairs:
    """A classifier of pairs, trained on known ones.

    Attributes
    ----------
    classifier
        The trained classifier.
    expression
        (n,) log total counts of the embedded genes.
    pairs
        (N, 2) known pairs of embedded genes.
    report
        Performance of the classifier on held-out genes.
    """

    classifier: PairClassifier
    expression: np.ndarray
    pairs: np.ndarray
    report: CrossValidationReport


def fit_pair_scorer(
    adata: AnnData, names: GeneNames, *, known: KnownPairs | None = None, seed: int = 0,
    params: PairParams | None = None, by: By = "embedding",
) -> PairScorer:  # fmt: skip
    """Fit the null distribution of pair similarity and, with known pairs, a classifier.

    Parameters
    ----------
    adata
        An AnnData with an embedding.
    names
        Names of its genes.
    known
        Known pairs to train a classifier on.
    seed, params
        Used without known pairs.
    by
        Similarity measure.
    """
    params, seed = (known.params, known.seed) if known is not None else (params or PairParams(), seed)
    embedded, z = read_embedded(adata)
    vectors = _adata.read_cofunction(adata)[embedded] if by == "cofunction" else z
    similarity: SimilarityMeasure = CosineSimilarity(vectors)
    n_per_bin, has_pattern = params.sample_per_bin, _adata.read_pattern_probability(adata)[embedded]
    if by in ("same", "neighbors"):
        with _adata.restore_on_error(adata):
            pp.require_grid(adata, config=_adata.read_config(adata))
            images = embedded_images(adata).take(embedded)
            similarity = Colocation(images, by, sigma=params.colocation_sigma)
        n_per_bin, has_pattern = params.colocation_sample_per_bin, np.ones(len(embedded))
    null = SignFlipNull.from_similarity(similarity, _log_strength(z), params, n_per_bin=n_per_bin, seed=seed)
    scorer = PairScorer(embedded, z, vectors, similarity, null, has_pattern)
    return scorer if known is None else replace(scorer, learned=_learn_pairs(adata, names, scorer, known))


def _learn_pairs(adata: AnnData, names: GeneNames, scorer: PairScorer, known: KnownPairs) -> LearnedPairs:
    pairs = find_pairs(names, scorer.embedded, known.table, name="known")
    known_pairs = np.unique(np.sort(pairs[is_usable(pairs)], axis=1), axis=0)
    if len(known_pairs) < known.params.min_known_pairs:
        raise InputError(
            f"known: only {len(known_pairs)} pair(s) join two embedded genes, and a classifier needs "
            f"{known.params.min_known_pairs}; pass more pairs, or omit known="
        )
    expression = np.log1p(_adata.read_gene_totals(adata, _adata.read_embedded_layer(adata))[scorer.embedded])
    classifier = PairClassifier(len(scorer.embedded), known.seed, known.params)
    pairs = np.concatenate([known_pairs, classifier.sample_negatives(known_pairs)])
    features = _pair_features(pairs, scorer.similarity.pairwise(pairs), scorer.strength, expression)
    report = classifier.fit(pairs, features, np.arange(len(pairs)) < len(known_pairs))
    logger.info(
        "classifier trained on %d known pairs: AUROC %.3f, calibration error %.3f on held-out genes",
        report.n_known, report.auroc, report.ece,
    )  # fmt: skip
    return LearnedPairs(classifier, expression, known_pairs, report)


def _log_strength(z: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.linalg.norm(z, axis=1), 1e-6))


def _pair_features(
    pairs: np.ndarray, similarity: np.ndarray, strength: np.ndarray, expression: np.ndarray
) -> np.ndarray:
    """Similarity, and sums and absolute differences of log strengths and of log total counts (N, 5)."""
    (sa, sb), (ea, eb) = strength[pairs.T], expression[pairs.T]
    return np.column_stack([similarity, sa + sb, np.abs(sa - sb), ea + eb, np.abs(ea - eb)])


def read_embedded(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n,) and embeddings (n, D) of the embedded genes."""
    full = _adata.read_embedding(adata)
    embedded = np.flatnonzero(np.isfinite(full).all(axis=1))
    if len(embedded) < MIN_GENES:
        raise InputError(
            f"only {len(embedded)} gene(s) are embedded, and pairs need {MIN_GENES}; pass more genes to sx.tl.embed"
        )
    return embedded, full[embedded]


def write_scorer_parameters(
    adata: AnnData,
    names: GeneNames,
    scorer: PairScorer,
    *,
    n_neighbors: int,
    by: By,
    seed: int,
    params: PairParams,
) -> None:
    """Write ``uns["spacex"]["interactions"]``: the arguments, the known pairs and the report of their classifier."""
    parameters = {"n_neighbors": n_neighbors, "by": by, "seed": seed, "params": settings_to_dict(params)}
    if scorer.learned is not None:
        a, b = names.names[scorer.embedded[scorer.learned.pairs]].astype(object).T
        parameters |= {"known_a": a, "known_b": b, **asdict(scorer.learned.report)}
    _adata.write_uns(adata, interactions=parameters)


def read_known_pairs(adata: AnnData) -> KnownPairs | None:
    """The known pairs of the last call of `spacex.tl.interactions`; None if it was called without."""
    if "known_a" not in _adata.read_uns_entry(adata, "interactions"):
        return None
    stored = _adata.read_uns_entry(adata, "interactions", "known_a", "known_b", "seed")
    table = pd.DataFrame({"gene_a": np.asarray(stored["known_a"]), "gene_b": np.asarray(stored["known_b"])})
    params = settings_from_dict(PairParams, stored.get("params", {}))  # earlier versions did not store them
    return KnownPairs(table.astype(str), int(stored["seed"]), params)
