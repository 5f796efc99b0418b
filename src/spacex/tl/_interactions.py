"""`interactions` and `score_pairs`: similarity and interaction probability of gene pairs."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_choice, check_int, check_seed
from spacex.pairs import PairParams, neighbor_pairs
from spacex.stats import benjamini_hochberg
from spacex.tl._pair_scorer import (
    By,
    KnownPairs,
    fit_pair_scorer,
    read_embedded,
    read_known_pairs,
    write_scorer_parameters,
)
from spacex.tl._pair_table import PairTable, find_pairs, is_usable, read_pairs
from spacex.tl._space import SpaceArgument, resolve_space

logger = logging.getLogger("spacex")


def interactions(
    adata: AnnData,
    *,
    n_neighbors: int = 15,
    known: PairTable | None = None,
    space: SpaceArgument = "auto",
    seed: int = 0,
    params: PairParams | None = None,
) -> None:
    """Estimate the probability of an interaction between each gene and its nearest neighbors.

    Without `known`, the probability compares the cosine of two genes with that of unrelated genes of the same strengths
    (see Notes). With `known`, a classifier is trained on these pairs and predicts the probability.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    n_neighbors
        Number of nearest genes, by cosine, to pair each gene with.
    known
        Pairs of genes known to interact: a table with the columns ``gene_a`` and ``gene_b``, or a list of pairs, of
        names or symbols. At least 40 pairs must join two embedded genes. `spacex.tl.score_pairs` then uses the
        classifier too.
    space
        Vectors of which the cosine is computed: ``"section"`` (the embedding: similar pattern in this section),
        ``"cofunction"`` (``varm["X_spacex_cofunction"]``: similar function), or ``"auto"``, the latter if the embedding
        has a reference, with which it predicts known pairs better.
    seed
        Seed of the sampled null pairs, of the gene folds and of the negative pairs.
    params
        Settings of the null distribution and of the classifier; ``PairParams()`` by default.

    Raises
    ------
    InputError
        If there is no embedding, if `known` is not a table of pairs or has too few embedded genes, or if an argument is
        out of range.

    Notes
    -----
    Writes

    - ``varp["spacex_interactions"]``: sparse, symmetric (G, G), the probability of each pair of neighbors;
    - ``uns["spacex"]["interactions"]``: the arguments, and with `known` the pairs, their number, and the AUROC and the
      expected calibration error of the classifier on pairs of held-out genes.

    *Null distribution.* Inverting the pattern of one of two unrelated genes (high becomes low) keeps its strength and
    smoothness, and flips the sign of the cosine. Random pairs of genes with the same strengths (norms of the embedding)
    and a cosine of at most -c therefore estimate how many unrelated pairs have a cosine of c or more. The probability
    of a relation is 1 - f(-c) / f(c), where f is the density of the cosine, times the probabilities that both genes
    have a spatial pattern (``var["spacex_module_prob"]``; ``score_pairs`` by other measures omits them). Without these,
    the nearest neighbors of a gene without a pattern would seem related to it. Among pairs chosen for a reason, more
    are related.

    *Classifier.* Ridge logistic regression on the cosine, the strengths and the expression of both genes, and all
    pairwise products of these features. Genes are split into four folds, and each pair is scored by a model trained
    without either of its genes. Negative pairs are shuffled genes of the known pairs, so that every gene is as
    frequent in negative as in known pairs. The probability is calibrated for equal numbers of both (Platt 1999).

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.interactions(adata, n_neighbors=5)
    >>> adata.varp["spacex_interactions"].shape
    (80, 80)
    """
    _adata.prepare_adata(adata, writes=True)
    check_int(n_neighbors, name="n_neighbors", low=1)
    seed = check_seed(seed)
    params = _check_params(params)
    read_embedded(adata)
    known_pairs = None if known is None else KnownPairs(_read_pairs(adata, known, "known"), seed, params)
    names = _adata.read_gene_names(adata)
    by: By = "embedding" if resolve_space(adata, space) == "section" else "cofunction"
    scorer = fit_pair_scorer(adata, names, known=known_pairs, seed=seed, params=params, by=by)
    pairs = neighbor_pairs(scorer.vectors, n_neighbors)
    probability = scorer.probability(pairs, scorer.similarity.pairwise(pairs))
    write_scorer_parameters(adata, names, scorer, n_neighbors=n_neighbors, by=by, seed=seed, params=params)
    _adata.write_interactions(adata, scorer.embedded[pairs], probability)
    logger.info(
        "scored %d pairs of %d genes: %d have a probability above 0.9",
        len(pairs), len(scorer.embedded), (probability > 0.9).sum(),
    )  # fmt: skip


def score_pairs(
    adata: AnnData,
    pairs: PairTable,
    *,
    by: By | Literal["auto", "neighbours"] = "auto",
    seed: int = 0,
    params: PairParams | None = None,
) -> pd.DataFrame:
    """Score pairs of genes by similarity, q-value and probability of an interaction.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called. If `spacex.tl.interactions` was called on it with known
        pairs, its classifier predicts the probability.
    pairs
        A table with the columns ``gene_a`` and ``gene_b``, or a list of pairs; names or symbols, in any case.
    by
        Similarity measure. ``"embedding"``: cosine of the embeddings. ``"cofunction"``: cosine of the vectors for
        function. ``"auto"``: that of `spacex.tl.interactions` if its classifier is used, else ``"cofunction"`` if the
        embedding has a reference, else ``"embedding"``. ``"same"``: correlation of the residual maps over
        the pixels. ``"neighbors"``: correlation of one gene's map with the mean of the other gene's map over the
        neighbors of each pixel, for ligands and receptors, which need not share a spot. These two never use the
        classifier, nor does a space other than its own. The spelling ``"neighbours"`` is also accepted.
    seed
        Seed of the sampled null pairs. With a classifier, the seed of `spacex.tl.interactions` is used instead.
    params
        Settings of the null distribution, ``PairParams()`` by default. With a classifier, those of
        `spacex.tl.interactions` are used instead.

    Returns
    -------
    The pairs in the given order: ``gene_a``, ``gene_b``, ``similarity``, ``qvalue`` and ``probability``. The q-value is
    that of Benjamini and Hochberg over the given pairs; its p-value is the probability that unrelated genes of the same
    strengths are as similar. See `spacex.tl.interactions` for this null distribution and for the probability. Pairs
    with a gene that is unknown, ambiguous or not embedded, and pairs of a gene with itself, have NaN; a warning names
    and counts them. Also ``symbol_a`` and ``symbol_b``, if a column of ``var`` has symbols that differ from the names.

    Raises
    ------
    InputError
        If there is no embedding, `pairs` is not a table of pairs, no pair joins two embedded genes, or an argument is
        out of range.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.score_pairs(adata, [("gene0001", "gene0002")]).columns.tolist()
    ['gene_a', 'gene_b', 'similarity', 'qvalue', 'probability']
    """
    _adata.prepare_adata(adata)
    by = "neighbors" if isinstance(by, str) and by == "neighbours" else by  # the older spelling
    check_choice(by, name="by", allowed=("auto", "embedding", "cofunction", "same", "neighbors"))
    seed = check_seed(seed)
    params = _check_params(params)
    embedded, _ = read_embedded(adata)
    table = _read_pairs(adata, pairs, "pairs")
    names = _adata.read_gene_names(adata)
    positions = find_pairs(names, embedded, table, name="pairs")
    usable = is_usable(positions)
    measure, known = _measure_and_known_pairs(adata, by)
    scorer = fit_pair_scorer(adata, names, known=known, seed=seed, params=params, by=measure)
    columns = np.full((3, len(table)), np.nan)
    similarity = scorer.similarity.pairwise(positions[usable])
    columns[0, usable] = np.clip(similarity, -1.0, 1.0)
    columns[1, usable] = benjamini_hochberg(scorer.pvalue(positions[usable], similarity))
    columns[2, usable] = scorer.probability(positions[usable], similarity)
    scored = table.assign(similarity=columns[0], qvalue=columns[1], probability=columns[2])
    return names.with_symbols(scored, symbol_a=names.indices(table["gene_a"]), symbol_b=names.indices(table["gene_b"]))


def _measure_and_known_pairs(adata: AnnData, by: By | Literal["auto", "neighbours"]) -> tuple[By, KnownPairs | None]:
    """Similarity measure that `by` means, and the known pairs of the classifier if one was trained on this measure."""
    known = read_known_pairs(adata)
    trained: By = _adata.read_uns_entry(adata, "interactions").get("by", "embedding")
    if by == "auto":
        space = resolve_space(adata, "auto")
        measure: By = trained if known is not None else "embedding" if space == "section" else "cofunction"
    else:
        measure = by  # type: ignore[assignment]
    return measure, known if measure == trained else None


def _check_params(params: PairParams | None) -> PairParams:
    params = resolve_settings(params, PairParams)
    return params


def _read_pairs(adata: AnnData, pairs: PairTable, name: str) -> pd.DataFrame:
    return read_pairs(pairs, name=name, allow_int=pd.api.types.is_integer_dtype(adata.var_names))
