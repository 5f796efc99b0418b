"""P-values and interaction probabilities of gene pairs in one section."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
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

By = Literal["embedding", "same", "neighbors"]

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


class PairScorer:
    """Scores of pairs of embedded genes.

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

    Attributes
    ----------
    embedded
        (n,) indices of the embedded genes. All methods take pairs (N, 2) of positions in this array.
    z
        (n, D) embeddings.
    similarity
        Similarity measure of the pairs.
    report
        Performance of the classifier, None without known pairs.
    known
        (N, 2) known pairs of embedded genes.
    """

    def __init__(
        self, adata: AnnData, names: GeneNames, *, known: KnownPairs | None = None, seed: int = 0,
        params: PairParams | None = None, by: By = "embedding",
    ):  # fmt: skip
        params, seed = (known.params, known.seed) if known is not None else (params or PairParams(), seed)
        self.embedded, self.z = read_embedded(adata)
        self.strength = np.log(np.maximum(np.linalg.norm(self.z, axis=1), 1e-6))
        self.similarity: SimilarityMeasure = CosineSimilarity(self.z)
        n_per_bin = params.sample_per_bin
        if by != "embedding":
            with _adata.restore_on_error(adata):
                pp.require_grid(adata, config=_adata.read_config(adata))
                images = embedded_images(adata).take(self.embedded)
                self.similarity = Colocation(images, by, sigma=params.colocation_sigma)
            n_per_bin = params.colocation_sample_per_bin
        self.null = SignFlipNull.from_similarity(self.similarity, self.strength, params, n_per_bin=n_per_bin, seed=seed)
        self.report: CrossValidationReport | None = None
        if known is not None:
            self._fit_classifier(adata, names, known)

    def pvalue(self, pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """P-values (N,) of pairs with the given similarity (N,)."""
        return self.null.pvalue(similarity, *self.strength[pairs.T])

    def probability(self, pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Probability (N,) of an interaction, by the classifier if there are known pairs."""
        if self.report is not None:
            return self.classifier.predict_proba(pairs, self._features(pairs, similarity))
        return self.null.probability(similarity, *self.strength[pairs.T])

    def _fit_classifier(self, adata: AnnData, names: GeneNames, known: KnownPairs) -> None:
        pairs = find_pairs(names, self.embedded, known.table, name="known")
        self.known = np.unique(np.sort(pairs[is_usable(pairs)], axis=1), axis=0)
        if len(self.known) < known.params.min_known_pairs:
            raise InputError(
                f"known: only {len(self.known)} pair(s) join two embedded genes, and a classifier needs "
                f"{known.params.min_known_pairs}; pass more pairs, or omit known="
            )
        self.expression = np.log1p(_adata.read_gene_totals(adata, _adata.read_embedded_layer(adata))[self.embedded])
        self.classifier = PairClassifier(len(self.embedded), known.seed, known.params)
        pairs = np.concatenate([self.known, self.classifier.sample_negatives(self.known)])
        features = self._features(pairs, self.similarity.pairwise(pairs))
        self.report = self.classifier.fit(pairs, features, np.arange(len(pairs)) < len(self.known))
        logger.info(
            "classifier trained on %d known pairs: AUROC %.3f, calibration error %.3f on held-out genes",
            self.report.n_known, self.report.auroc, self.report.ece,
        )  # fmt: skip

    def _features(self, pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Similarity, and sums and absolute differences of log strengths and of log total counts (N, 5)."""
        (sa, sb), (ea, eb) = self.strength[pairs.T], self.expression[pairs.T]
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
    adata: AnnData, names: GeneNames, scorer: PairScorer, *, n_neighbors: int, seed: int, params: PairParams
) -> None:
    """Write ``uns["spacex"]["interactions"]``: the arguments, the known pairs and the report of their classifier."""
    parameters = {"n_neighbors": n_neighbors, "seed": seed, "params": settings_to_dict(params)}
    if scorer.report is not None:
        a, b = names.names[scorer.embedded[scorer.known]].astype(object).T
        parameters |= {"known_a": a, "known_b": b, **asdict(scorer.report)}
    _adata.write_uns(adata, interactions=parameters)


def read_known_pairs(adata: AnnData) -> KnownPairs | None:
    """The known pairs of the last call of `spacex.tl.interactions`; None if it was called without."""
    if "known_a" not in _adata.read_uns_entry(adata, "interactions"):
        return None
    stored = _adata.read_uns_entry(adata, "interactions", "known_a", "known_b", "seed")
    table = pd.DataFrame({"gene_a": np.asarray(stored["known_a"]), "gene_b": np.asarray(stored["known_b"])})
    params = settings_from_dict(PairParams, stored.get("params", {}))  # earlier versions did not store them
    return KnownPairs(table.astype(str), int(stored["seed"]), params)
