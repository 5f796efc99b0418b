"""How often two unrelated genes of the same strength are as alike, told from how often genes are as unlike.

Two genes that both have a pattern are seldom at cosine zero: a tissue has few ways to vary, and a cosine that noise
never gives can be had by any two genes that follow it. What unrelated genes do is seen on the other side. Turn the
pattern of one of them over, high for low: it is as strong, as smooth and as noisy as before, and the cosine changes its
sign. So without a relation c and -c are equally likely, and the random pairs at -c or below tell how many at c or above
mean nothing. (So do decoys in proteomics, Elias & Gygi 2007, and knockoffs, Barber & Candès 2015.) Genes that oppose
each other for a reason make it strict, not bold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from spacex.pairs.similarity import SimilarityMeasure

MAX_BINS = 8
GENES_PER_BIN = 100
SAMPLE_PER_BIN = 300
POINTS = 400
LARGEST = 0.995


@dataclass(frozen=True)
class SignFlipNull:
    """Chance of a likeness between genes of given strengths.

    Attributes
    ----------
    edges
        (n - 1,) inner edges of the bins of strength.
    low
        For each pair of bins, the likeness of sampled pairs, ascending.
    curve
        For each pair of bins, intercept and slope of the log odds of a relation, by Fisher's z of the likeness.
    """

    edges: np.ndarray
    low: dict[tuple[int, int], np.ndarray]
    curve: dict[tuple[int, int], tuple[float, float]]

    @classmethod
    def of(
        cls, likeness: SimilarityMeasure, strength: np.ndarray, seed: int, *, sample_per_bin: int = SAMPLE_PER_BIN
    ) -> SignFlipNull:
        """From a random sample of genes in every bin of strength (G,), and all pairs of them."""
        n_bins = int(np.clip(len(strength) // GENES_PER_BIN, 1, MAX_BINS))
        edges = np.unique(np.quantile(strength, np.arange(1, n_bins) / n_bins))
        bin_of = np.searchsorted(edges, strength, side="right")
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(np.flatnonzero(bin_of == b))[:sample_per_bin] for b in range(len(edges) + 1)]
        start = np.cumsum([0, *map(len, chosen)])
        table = likeness.among(np.concatenate(chosen))
        low, curve = {}, {}
        for a in range(len(chosen)):
            for b in range(a, len(chosen)):
                block = table[start[a] : start[a + 1], start[b] : start[b + 1]]
                values = block[np.triu_indices(len(block), 1)] if a == b else block.ravel()
                low[a, b] = np.sort(values.astype(np.float64))
                curve[a, b] = relation_curve(low[a, b])
        return cls(edges, low, curve)

    def pvalue(self, likeness: np.ndarray, strength_a: np.ndarray, strength_b: np.ndarray) -> np.ndarray:
        """P-values (N,): the share of sampled pairs of the same strengths at -c or below, the pair itself counted."""
        found = np.ones(len(likeness))
        for key, here in self._groups(strength_a, strength_b):
            low = self.low[key]
            found[here] = (1.0 + np.searchsorted(low, -likeness[here], side="right")) / (1.0 + len(low))
        return found

    def probability(self, likeness: np.ndarray, strength_a: np.ndarray, strength_b: np.ndarray) -> np.ndarray:
        """Probability (N,) that a random pair of these strengths and this likeness is related: 1 - f(-c) / f(c)."""
        found = np.zeros(len(likeness))
        for key, here in self._groups(strength_a, strength_b):
            intercept, slope = self.curve[key]
            found[here] = expit(intercept + slope * fisher_z(likeness[here]))
        return found

    def _groups(self, strength_a: np.ndarray, strength_b: np.ndarray) -> list[tuple[tuple[int, int], np.ndarray]]:
        """Which pairs fall in each pair of bins."""
        bins = np.sort([np.searchsorted(self.edges, s, side="right") for s in (strength_a, strength_b)], axis=0)
        return [(key, here) for key in self.low if (here := (bins[0] == key[0]) & (bins[1] == key[1])).any()]


def fisher_z(likeness: np.ndarray) -> np.ndarray:
    """Inverse hyperbolic tangent, bounded."""
    return np.asarray(np.arctanh(np.clip(likeness, -LARGEST, LARGEST)))


def relation_curve(low: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the log odds of a relation from the likeness of random pairs, ascending.

    A logistic curve through `excess`, which knows no difference between pairs without any; (-inf, 0) where there is no
    excess at all.
    """
    if len(low) < 2 or low[-1] <= 0:
        return -np.inf, 0.0
    related = excess(low)
    parts = np.array_split(np.arange(len(low)), min(POINTS, len(low)))
    z = np.array([fisher_z(low[part]).mean() for part in parts])
    mass = np.array([related[part].sum() for part in parts])
    rest = np.array([len(part) for part in parts]) - mass
    if mass.sum() < 1e-3:
        return -np.inf, 0.0
    truth = np.repeat([True, False], len(z))
    fit = LogisticRegression(C=1e3).fit(np.tile(z, 2)[:, None], truth, sample_weight=np.concatenate([mass, rest]))
    return float(fit.intercept_[0]), max(float(fit.coef_[0, 0]), 0.0)


def excess(low: np.ndarray) -> np.ndarray:
    """Probability (n,) that random pairs of a likeness (n,), ascending, are related: 1 - f(-c) / f(c), at least 0.

    With r(x) the share of positive values among those of size x, which must not fall with x (isotonic regression), f is
    r / (1 - r) times as high at x as at -x. One decoy is added at the largest value, so that few pairs never make
    certain.
    """
    size, positive = np.append(np.abs(low), low[-1]), np.append(low > 0, False)
    share = IsotonicRegression(y_min=0.5).fit(size, positive).predict(np.abs(low))
    return np.asarray(np.where(low > 0, (2.0 * share - 1.0) / share, 0.0))
