"""`interactions` and `score_pairs`: which genes go together, with a probability."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import false_discovery_control

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.validation import check_choice, check_int, check_seed
from spacex.get import embedded_images
from spacex.pairs import (
    Colocation,
    CosineSimilarity,
    CrossFit,
    CrossValidationReport,
    SignFlipNull,
    SimilarityMeasure,
    neighbor_pairs,
)
from spacex.pairs.classifier import MIN_PAIRS
from spacex.tl._pair_table import PairTable, find_pairs, read_pairs

logger = logging.getLogger("spacex")

MIN_GENES = 10
MAPS_PER_BIN = 100
"""Genes of each bin of strength whose maps, which are larger than embeddings, tell what is chance."""


def interactions(adata: AnnData, *, n_neighbors: int = 15, known: PairTable | None = None, seed: int = 0) -> None:
    """Probability of an interaction between every gene and its nearest genes.

    Without `known`, a pair is scored by the cosine of its embeddings, and the probability is that the two are related:
    that they are not as alike as genes without a relation can be that have as strong patterns (see Notes). With
    `known`, it is that of a classifier which has learnt from these pairs what interacting genes have in common.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    n_neighbors
        Genes to pair every gene with, the nearest ones by cosine.
    known
        Pairs of genes known to interact: a table with the columns ``gene_a`` and ``gene_b``, or a list of pairs, of
        names or symbols. `spacex.tl.score_pairs` then uses the classifier too. At least 40 must join two embedded
        genes.
    seed
        Of the random pairs that tell what is chance, of the folds of genes and of negative pairs.

    Raises
    ------
    InputError
        If there is no embedding, `known` is not a table of pairs or too few of its genes are embedded.

    Notes
    -----
    Writes

    - ``varp["spacex_interactions"]``: sparse, symmetric (G, G), the probability of each kept pair;
    - ``uns["spacex"]["interactions"]``: parameters, and with `known` the pairs, their number, and AUROC and expected
      calibration error of the classifier on pairs of genes that it had not seen.

    *Chance.* Turn the pattern of one of two unrelated genes over, high for low: it is as strong and as smooth as
    before, and the cosine changes its sign. So random pairs of genes of the same strengths (norms of the embedding) at
    -c or below tell how often c or more means nothing, and 1 - f(-c) / f(c) is the probability of a relation, where f
    is the density of the cosine. That holds for random pairs; among pairs chosen for a reason more are related.

    *Classifier.* Ridge logistic regression on the cosine, the strengths and the expression of both genes, and all
    products of two. Genes are split in four folds, and a pair is scored by a model that saw neither of its genes;
    negative pairs are the known pairs' genes paired anew, so that every gene is as often in either kind.
    The probability is calibrated for as many interacting as other pairs (Platt 1999).

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.interactions(adata, n_neighbors=5)
    >>> adata.varp["spacex_interactions"].shape
    (80, 80)
    """
    _adata.check_adata(adata, writes=True)
    check_int(n_neighbors, name="n_neighbors", low=1)
    seed = check_seed(seed)
    genes, z = _embedded(adata)
    table = None if known is None else read_pairs(adata, known, name="known")
    scorer = _Scorer(adata, genes, z, table, seed)
    pairs = neighbor_pairs(z, n_neighbors)
    probability = scorer.probability(pairs, scorer.likeness.of(pairs))
    names = _adata.read_gene_names(adata).names[genes]
    learnt = {} if scorer.fitted is None else _note_of(names[scorer.known], scorer.fitted)
    _adata.write_uns(adata, interactions={"n_neighbors": n_neighbors, "seed": seed, **learnt})
    _adata.write_interactions(adata, genes[pairs], probability)
    logger.info(
        "%d pairs of %d genes kept, %d with a probability above .9", len(pairs), len(z), (probability > 0.9).sum()
    )


By = Literal["embedding", "same", "neighbours"]


def score_pairs(adata: AnnData, pairs: PairTable, *, by: By = "embedding", seed: int = 0) -> pd.DataFrame:
    """Similarity and probability of an interaction of given pairs of genes.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called. If `spacex.tl.interactions` was called on it with known
        pairs, the probability is that of its classifier.
    pairs
        A table with the columns ``gene_a`` and ``gene_b``, or a list of pairs; names or symbols, in any case.
    by
        ``"embedding"``: cosine of the embeddings; ``"same"``: correlation of the residual maps, spot by spot;
        ``"neighbours"``: correlation of one gene's map with the other's around each spot, without the spot itself, for
        ligands and receptors that need not share a spot. The last two never use the classifier.
    seed
        Of the random pairs that tell what is chance; with a classifier, that of `spacex.tl.interactions` is taken.

    Returns
    -------
    The pairs in their order: ``gene_a``, ``gene_b``, ``similarity``, ``qvalue`` and ``probability``. The p-value behind
    the q-value (Benjamini-Hochberg over the given pairs) is the chance that unrelated genes with as strong patterns
    are as alike; see `spacex.tl.interactions` for it and for the probability. NaN for pairs of a gene that was not
    embedded, unknown or ambiguous, or of a gene with itself; a warning names and counts them. Also ``symbol_a`` and
    ``symbol_b``, where a column of ``var`` holds symbols that differ from the names.

    Raises
    ------
    InputError
        If there is no embedding, `pairs` is not a table of pairs, or no pair joins two embedded genes.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.score_pairs(adata, [("gene0001", "gene0002")]).columns.tolist()
    ['gene_a', 'gene_b', 'similarity', 'qvalue', 'probability']
    """
    _adata.check_adata(adata)
    check_choice(by, name="by", allowed=("embedding", "same", "neighbours"))
    seed = check_seed(seed)
    genes, z = _embedded(adata)
    table = read_pairs(adata, pairs, name="pairs")
    place = _among(genes, find_pairs(adata, table, name="pairs"))
    usable = (place >= 0).all(axis=1) & (place[:, 0] != place[:, 1])
    known, seed_of_known = _known(adata) if by == "embedding" else (None, seed)
    scorer = _Scorer(adata, genes, z, known, seed if known is None else seed_of_known, by=by)
    columns = np.full((3, len(table)), np.nan)
    similarity = scorer.likeness.of(place[usable])
    columns[0, usable] = np.clip(similarity, -1.0, 1.0)
    columns[1, usable] = false_discovery_control(scorer.pvalue(place[usable], similarity))
    columns[2, usable] = scorer.probability(place[usable], similarity)
    scored = table.assign(similarity=columns[0], qvalue=columns[1], probability=columns[2])
    names = _adata.read_gene_names(adata)
    return names.with_symbols(scored, symbol_a=names.find(table["gene_a"]), symbol_b=names.find(table["gene_b"]))


class _Scorer:
    """P-values and probabilities of pairs (N, 2) of embedded genes, by numbers among them, and their likeness (N,)."""

    def __init__(
        self, adata: AnnData, genes: np.ndarray, z: np.ndarray, known: pd.DataFrame | None, seed: int,
        *, by: By = "embedding",
    ):  # fmt: skip
        self.strength = np.log(np.maximum(np.linalg.norm(z, axis=1), 1e-6))
        self.likeness: SimilarityMeasure = CosineSimilarity(z)
        if by != "embedding":
            with _adata.restore_on_error(adata):
                pp.require_grid(adata, config=_adata.read_config(adata))
                self.likeness = Colocation(embedded_images(adata).take(genes), by)
        sample = {} if by == "embedding" else {"sample_per_bin": MAPS_PER_BIN}
        self.null = SignFlipNull.of(self.likeness, self.strength, seed, **sample)
        self.fitted: CrossValidationReport | None = None
        if known is not None:
            self._learn(adata, genes, known, seed)

    def pvalue(self, pairs: np.ndarray, likeness: np.ndarray) -> np.ndarray:
        return self.null.pvalue(likeness, *self.strength[pairs.T])

    def probability(self, pairs: np.ndarray, likeness: np.ndarray) -> np.ndarray:
        if self.fitted is not None:
            return self.classifier.probability(pairs, self._features(pairs, likeness))
        return self.null.probability(likeness, *self.strength[pairs.T])

    def _learn(self, adata: AnnData, genes: np.ndarray, known: pd.DataFrame, seed: int) -> None:
        place = _among(genes, find_pairs(adata, known, name="known"))
        place = np.unique(np.sort(place[(place >= 0).all(axis=1)], axis=1), axis=0)
        place = place[place[:, 0] != place[:, 1]]
        if len(place) < MIN_PAIRS:
            raise InputError(
                f"known: only {len(place)} pair(s) join two embedded genes, and a classifier needs {MIN_PAIRS}; "
                "pass more pairs, or leave known= out"
            )
        self.known = place
        self.expression = np.log1p(_adata.read_gene_totals(adata, _adata.read_embedded_layer(adata))[genes])
        self.classifier = CrossFit(len(genes), seed)
        negative = self.classifier.negatives(place)
        both = np.concatenate([place, negative])
        truth = np.arange(len(both)) < len(place)
        self.fitted = self.classifier.fit(both, self._features(both, self.likeness.of(both)), truth)
        logger.info(
            "classifier of %d known pairs: AUROC %.3f, calibration error %.3f on unseen genes",
            self.fitted.n_known, self.fitted.auroc, self.fitted.ece,
        )  # fmt: skip

    def _features(self, pairs: np.ndarray, likeness: np.ndarray) -> np.ndarray:
        """Cosine, and sums and absolute differences of log strengths and log totals (N, 5)."""
        (sa, sb), (ea, eb) = self.strength[pairs.T], self.expression[pairs.T]
        return np.column_stack([likeness, sa + sb, np.abs(sa - sb), ea + eb, np.abs(ea - eb)])


def _embedded(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) and embeddings (n, D) of the embedded genes."""
    full = _adata.read_embedding(adata)
    genes = np.flatnonzero(np.isfinite(full).all(axis=1))
    if len(genes) < MIN_GENES:
        raise InputError(
            f"only {len(genes)} gene(s) are embedded, and pairs need {MIN_GENES}; pass more genes to sx.tl.embed"
        )
    return genes, full[genes]


def _among(genes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Positions of genes, given by number, among the embedded ones (n,); -1 stays."""
    return np.where(numbers >= 0, np.searchsorted(genes, numbers), -1)


def _note_of(known: np.ndarray, fitted: CrossValidationReport) -> dict[str, object]:
    """What `score_pairs` needs to fit the classifier again, names (N, 2) of the known pairs, and how it did."""
    return {
        "known_a": known[:, 0].astype(object), "known_b": known[:, 1].astype(object),
        "n_known": fitted.n_known, "n_negative": fitted.n_negative, "auroc": fitted.auroc, "ece": fitted.ece,
    }  # fmt: skip


def _known(adata: AnnData) -> tuple[pd.DataFrame | None, int]:
    """The pairs, and the seed, that `interactions` was called with; None where it knew of none."""
    if "known_a" not in _adata.read_uns_entry(adata, "interactions"):
        return None, 0
    noted = _adata.read_uns_entry(adata, "interactions", "known_a", "known_b", "seed")
    names = {"gene_a": np.asarray(noted["known_a"]), "gene_b": np.asarray(noted["known_b"])}
    return pd.DataFrame(names).astype(str), int(noted["seed"])
