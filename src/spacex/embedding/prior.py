"""Prior of the embeddings of genes from the vectors of a reference.

Directions of embeddings are predicted from the vectors of a reference by ridge regression, cross-fitted by gene. The
prediction is added to the direction with a weight that is chosen on independent halves of the counts, down to zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spacex.embedding.predictor import Predictor
from spacex.imaging.gene_images import GeneImages
from spacex.stats import l2_normalize

N_FOLDS = 5
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Ridge penalties, relative to the mean eigenvalue of the weighted covariance of the reference vectors."""
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of the prediction relative to the direction of an embedding of half of the counts."""
FULL_COUNTS = 0.5
"""Factor of the weight with all counts: the noise of a map relative to its signal is half that with half of them."""
COUNT_POWER = 0.25
"""The weight of a gene decreases with this power of its total counts, relative to the median."""
MIN_GAIN = 3.0
"""Minimum gain in the agreement of halves, in standard errors over `N_BLOCKS`, with which a reference is used."""
N_BLOCKS = 10
"""Number of blocks of gene pairs; no gene is first in pairs of two blocks."""
N_PAIRS = 50_000
MIN_GENES = 100
"""Minimum number of genes that the reference knows."""
HALVES_STREAM, PAIRS_STREAM = 77, 24


class Agreement(NamedTuple):
    """Correlation of the similarities of genes in one half of the counts with those in the other half.

    Attributes
    ----------
    without, with_reference
        Without and with the reference in the first half; the second never has it.
    """

    without: float
    with_reference: float


class Prior(NamedTuple):
    """Prediction of embeddings from other sections.

    Attributes
    ----------
    prediction
        (G, D) predicted directions times (median / total counts)^`COUNT_POWER`, shorter where less is predictable; zero
        for genes without a vector.
    weight
        Weight of the prediction relative to the direction of the embedding; zero if the reference is not used.
    penalty
        Relative ridge penalty.
    agreement
        Agreement of halves of the counts.
    """

    prediction: np.ndarray
    weight: float
    penalty: float
    agreement: Agreement

    def apply(self, z: np.ndarray, gene: np.ndarray | None = None) -> np.ndarray:
        """Add the prior to embeddings (G, D), or of genes with the indices (B,); norms are unchanged."""
        if not self.weight:
            return z
        prediction = self.prediction if gene is None else self.prediction[gene]
        norm = np.linalg.norm(z, axis=1, keepdims=True)
        direction = l2_normalize(l2_normalize(z.astype(np.float64)) + self.weight * prediction)
        return (norm * direction).astype(np.float32)


def fit_prior(
    z: np.ndarray, halves: tuple[np.ndarray, np.ndarray], vectors: list[np.ndarray], total: np.ndarray, seed: int
) -> Prior:
    """Predict embeddings from the vectors of a reference and choose the weight of the prediction.

    Parameters
    ----------
    z
        (G, D) embeddings of the genes from all counts.
    halves
        Embeddings (G, D) from independent halves of the counts, in the same space.
    vectors
        For each group of sections of the reference, vectors (G, F); rows of zeros for genes that it does not know.
    total
        (G,) total counts, whose square roots weight the genes in the regression.
    seed
        Seed of the folds and of the pairs of genes.

    Returns
    -------
    The prior. Penalty and weight maximize the agreement of halves: the correlation, over pairs of genes, of the cosine
    of embeddings with the prior in one half with the cosine of embeddings without it in the other. The weight is zero
    if the gain is not clearly above its standard error.
    """
    features = np.hstack([v for v in vectors if v.any()] or [np.zeros((len(z), 1))]).astype(np.float32)
    known = features.any(axis=1)
    full, first, second = (l2_normalize(x) for x in (z, *halves))
    rng = np.random.default_rng([seed, PAIRS_STREAM])
    pairs = draw_pairs(len(z), rng)
    similarity = [pair_products(x, x, pairs) for x in (first, second)]
    without = float(correlation(*similarity).mean())
    none = Prior(np.zeros(z.shape, dtype=np.float32), 0.0, 0.0, Agreement(without, without))
    if known.sum() < MIN_GENES:
        return none
    scale = (np.median(total) / np.maximum(total, 1e-300))[:, None] ** COUNT_POWER
    fold = rng.integers(N_FOLDS, size=len(z))
    targets = np.hstack([full, first, second])
    best, n_dims = none, z.shape[1]
    for penalty, prediction in cross_fitted_ridge(features, targets, (np.sqrt(total) * known).astype(np.float32), fold):
        prediction *= scale
        p_full, p_first, p_second = (prediction[:, i * n_dims : (i + 1) * n_dims] for i in range(3))
        values = (
            agreement_by_weight(first, p_first, similarity[1], pairs)
            + agreement_by_weight(second, p_second, similarity[0], pairs)
        ) / 2
        i = int(values.mean(axis=1).argmax())
        gain = values[i] - values[0]
        is_clear = gain.mean() > MIN_GAIN * gain.std(ddof=1) / np.sqrt(N_BLOCKS)
        if is_clear and values[i].mean() > best.agreement.with_reference:
            scores = Agreement(without, float(values[i].mean()))
            best = Prior(p_full.astype(np.float32), FULL_COUNTS * WEIGHTS[i], penalty, scores)
    return best


def draw_pairs(n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Random pairs of genes (2, `N_BLOCKS`, n)."""
    blocks = np.array_split(rng.permutation(n_genes), N_BLOCKS)
    first = np.stack([rng.choice(block, N_PAIRS // N_BLOCKS) for block in blocks])
    second = (first + rng.integers(1, n_genes, size=first.shape)) % n_genes
    return np.stack([first, second])


def section_prior(model: Predictor, images: GeneImages, vectors: list[np.ndarray], seed: int) -> Prior:
    """Fit the prior of a fitted model, for the images to which it was fitted; see `fit_prior`.

    The halves of the counts are embedded by the components of all counts, so that they are in the same space. Both
    share the noise to which the components were fitted, which favors a small weight.
    """
    state = model._fitted_state()
    halves = images.thin(0.5, np.random.default_rng([seed, HALVES_STREAM]))
    first, second = (model.transform(half) for half in halves)
    return fit_prior(state.embedding, (first, second), vectors, images.totals.sum(axis=0), seed)


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlations (...) of x (..., n) and y (..., n) along the last axis; zero if one is constant."""
    x, y = (v - v.mean(axis=-1, keepdims=True) for v in (x, y))
    norm = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.where(norm > 1e-12, (x * y).sum(axis=-1) / np.maximum(norm, 1e-12), 0.0)


def pair_products(x: np.ndarray, y: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Dot products (...) of the rows of x (G, D) and y (G, D) with the indices of pairs (2, ...)."""
    return np.einsum("...d,...d->...", x[pairs[0]], y[pairs[1]])


def agreement_by_weight(x: np.ndarray, prediction: np.ndarray, other: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """For each weight and block, correlation of the cosines of x + weight * prediction (G, D) with other ones.

    Pairs are (2, B, n) and the other cosines (B, n); the result is (len(WEIGHTS), B).
    """
    square, product, predicted = (np.einsum("gd,gd->g", a, b) for a, b in ((x, x), (x, prediction), (prediction,) * 2))
    own = pair_products(x, x, pairs)
    mixed = pair_products(x, prediction, pairs) + pair_products(prediction, x, pairs)
    both = pair_products(prediction, prediction, pairs)
    values = []
    for w in WEIGHTS:
        norm = np.sqrt(np.maximum(square + 2 * w * product + w**2 * predicted, 1e-12))
        cosine = (own + w * mixed + w**2 * both) / (norm[pairs[0]] * norm[pairs[1]])
        values.append(correlation(cosine, other))
    return np.array(values)


def cross_fitted_ridge(
    features: np.ndarray, targets: np.ndarray, weight: np.ndarray, fold: np.ndarray
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield penalties and predictions (G, T) of targets (G, T) from features (G, F); no gene is in its own fit."""
    weighted = features * weight[:, None]
    gram, moment = weighted.T @ features, weighted.T @ targets
    parts = []
    for i in range(N_FOLDS):
        out = fold == i
        value, basis = np.linalg.eigh(gram - weighted[out].T @ features[out])
        parts.append((out, value, features[out] @ basis, basis.T @ (moment - weighted[out].T @ targets[out])))
    for penalty in PENALTIES:
        prediction = np.empty_like(targets)
        for out, value, rotated, rotated_moment in parts:
            value = np.maximum(value, 0.0)
            prediction[out] = rotated @ (rotated_moment / (value + penalty * value.mean())[:, None])
        yield penalty, prediction
