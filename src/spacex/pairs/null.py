"""Null distribution of gene-gene similarity by sign symmetry.

Two unrelated genes with strong patterns seldom have cosine zero, because a tissue has few axes of variation. Inverting
the pattern of one gene (high becomes low) keeps its strength, smoothness and noise, and flips the sign of the cosine.
Without a relation, c and -c are therefore equally likely, and the random pairs with similarity at most -c estimate how
many unrelated pairs reach c. Target-decoy searches in proteomics (Elias & Gygi 2007) and knockoffs (Barber & Candès
2015) use the same argument. Genes with truly opposite patterns make the p-values conservative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from spacex.pairs.params import PairParams
from spacex.pairs.similarity import SimilarityMeasure

MAX_OVERALL_PAIRS = 200_000
"""Number of sampled pairs, within a factor of two, to which the curve of all strengths is fitted."""
MIN_EXCESS_PAIRS = 1e-3
"""Expected number of related pairs in a sample below which no curve is fitted."""


@dataclass(frozen=True)
class SignFlipNull:
    """Null distribution of the similarity of two genes, given their strengths.

    Attributes
    ----------
    edges
        (n - 1,) inner edges of the strength bins.
    sampled
        For each pair of bins, the similarities of sampled pairs, in ascending order.
    curve
        For each pair of bins, intercept and slope of the log odds of a relation as a function of Fisher's z.
    overall
        The same, for pairs of all bins.
    max_similarity
        Bound of similarities in Fisher's z.
    """

    edges: np.ndarray
    sampled: dict[tuple[int, int], np.ndarray]
    curve: dict[tuple[int, int], tuple[float, float]]
    overall: tuple[float, float] = (-np.inf, 0.0)
    max_similarity: float = PairParams.max_similarity

    @classmethod
    def from_similarity(
        cls, similarity: SimilarityMeasure, strength: np.ndarray, params: PairParams, *, n_per_bin: int, seed: int
    ) -> SignFlipNull:
        """Estimate the null from all pairs of `n_per_bin` random genes in each bin of strength (G,)."""
        n_bins = int(np.clip(len(strength) // params.genes_per_bin, 1, params.max_strength_bins))
        edges = np.unique(np.quantile(strength, np.arange(1, n_bins) / n_bins))
        bin_of_gene = np.searchsorted(edges, strength, side="right")
        rng = np.random.default_rng(seed)
        genes = [rng.permutation(np.flatnonzero(bin_of_gene == b))[:n_per_bin] for b in range(len(edges) + 1)]
        start = np.cumsum([0, *map(len, genes)])
        matrix = similarity.matrix(np.concatenate(genes))
        sampled, curve = {}, {}
        for a in range(len(genes)):
            for b in range(a, len(genes)):
                block = matrix[start[a] : start[a + 1], start[b] : start[b + 1]]
                values = block[np.triu_indices(len(block), 1)] if a == b else block.ravel()
                sampled[a, b] = np.sort(values.astype(np.float64))
                curve[a, b] = fit_relation_curve(sampled[a, b], params)
        every = np.sort(np.concatenate(list(sampled.values())))
        overall = fit_relation_curve(every[:: max(1, len(every) // MAX_OVERALL_PAIRS)], params)
        return cls(edges, sampled, curve, overall, params.max_similarity)

    def pvalue(self, similarity: np.ndarray, strength_a: np.ndarray, strength_b: np.ndarray) -> np.ndarray:
        """P-values (N,): share of sampled pairs of the same strengths with similarity at most -c, add-one corrected."""
        pvalue = np.ones(len(similarity))
        for bins, in_bins in self._groups(strength_a, strength_b):
            sampled = self.sampled[bins]
            n_below = np.searchsorted(sampled, -similarity[in_bins], side="right")
            pvalue[in_bins] = (1.0 + n_below) / (1.0 + len(sampled))
        return pvalue

    def probability(self, similarity: np.ndarray, strength_a: np.ndarray, strength_b: np.ndarray) -> np.ndarray:
        """Probability (N,) that a random pair with these strengths and this similarity is related, 1 - f(-c) / f(c).

        It is the larger of the estimates from pairs of the same strengths and from pairs of all strengths. Both are too
        low where many patterns are opposite, as those of strong genes in a tissue with one dominant axis.
        """
        z = fisher_z(similarity, self.max_similarity)
        probability = _relation(self.overall, z)
        for bins, in_bins in self._groups(strength_a, strength_b):
            probability[in_bins] = np.maximum(probability[in_bins], _relation(self.curve[bins], z[in_bins]))
        return probability

    def _groups(self, strength_a: np.ndarray, strength_b: np.ndarray) -> list[tuple[tuple[int, int], np.ndarray]]:
        """Every pair of bins that occurs, with the mask (N,) of its pairs."""
        bin_a, bin_b = np.sort([np.searchsorted(self.edges, s, side="right") for s in (strength_a, strength_b)], axis=0)
        masks = {bins: (bin_a == bins[0]) & (bin_b == bins[1]) for bins in self.sampled}
        return [(bins, mask) for bins, mask in masks.items() if mask.any()]


def fisher_z(similarity: np.ndarray, max_similarity: float = PairParams.max_similarity) -> np.ndarray:
    """Fisher's z transform artanh(c) of similarities clipped to ±`max_similarity`."""
    return np.asarray(np.arctanh(np.clip(similarity, -max_similarity, max_similarity)))


def _relation(curve: tuple[float, float], z: np.ndarray) -> np.ndarray:
    """Probability (N,) of a relation by a curve, for similarities in Fisher's z (N,)."""
    intercept, slope = curve
    return np.asarray(expit(intercept + slope * z))


def fit_relation_curve(similarity: np.ndarray, params: PairParams) -> tuple[float, float]:
    """Intercept and slope of the log odds of a relation over Fisher's z, from similarities (n,) in ascending order.

    A logistic curve is fitted through `related_share`, which is a step function that ties many pairs. Returns
    (-inf, 0) if there are no more positive than negative similarities.
    """
    if len(similarity) < 2 or similarity[-1] <= 0:
        return -np.inf, 0.0
    related = related_share(similarity)
    parts = np.array_split(np.arange(len(similarity)), min(params.n_curve_points, len(similarity)))
    z = np.array([fisher_z(similarity[part], params.max_similarity).mean() for part in parts])
    n_related = np.array([related[part].sum() for part in parts])
    n_unrelated = np.array([len(part) for part in parts]) - n_related
    if n_related.sum() < MIN_EXCESS_PAIRS:
        return -np.inf, 0.0
    is_related, weight = np.repeat([True, False], len(z)), np.concatenate([n_related, n_unrelated])
    fit = LogisticRegression(C=1e3).fit(np.tile(z, 2)[:, None], is_related, sample_weight=weight)
    return float(fit.intercept_[0]), max(float(fit.coef_[0, 0]), 0.0)


def related_share(similarity: np.ndarray) -> np.ndarray:
    """Probability (n,) that random pairs with similarities (n,), in ascending order, are related: 1 - f(-c) / f(c).

    Let r(x) be the share of positive values among similarities of absolute value x; isotonic regression keeps r from
    falling with x. The density f at x is r / (1 - r) times the density at -x. One negative value is added at the
    largest similarity, so that the probability stays below 1 for small samples. It is 0 for negative similarities.
    """
    size, positive = np.append(np.abs(similarity), similarity[-1]), np.append(similarity > 0, False)
    share = IsotonicRegression(y_min=0.5).fit(size, positive).predict(np.abs(similarity))
    return np.asarray(np.where(similarity > 0, (2.0 * share - 1.0) / share, 0.0))
