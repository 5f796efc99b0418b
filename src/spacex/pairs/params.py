"""Settings of gene pair scores."""

from __future__ import annotations

from dataclasses import dataclass

from spacex._infra.settings import MAX_COUNT, coerce_floats, coerce_ints

LIMITS = {
    "max_strength_bins": (1, 100), "genes_per_bin": (1, MAX_COUNT), "sample_per_bin": (2, 5000),
    "colocation_sample_per_bin": (2, 5000), "n_curve_points": (2, 100_000), "n_folds": (3, 20),
    "min_known_pairs": (2, MAX_COUNT), "min_pairs_per_class": (1, MAX_COUNT), "n_shuffles": (1, 10_000),
}  # fmt: skip


@dataclass(frozen=True)
class PairParams:
    """Settings of `spacex.tl.interactions` and `spacex.tl.score_pairs`.

    The defaults are those that measured best; see "Gene-gene interactions" in ``docs/method.md``.

    Parameters
    ----------
    max_strength_bins
        Maximum number of bins of gene strength (norm of the embedding). A pair is compared with random pairs from the
        same two bins, because strong genes have large cosines by chance.
    genes_per_bin
        Minimum number of genes in a bin. A panel with less than twice as many genes has one bin.
    sample_per_bin
        Genes sampled from each bin. All pairs of their sampled genes form the null distribution of two bins.
    colocation_sample_per_bin
        As `sample_per_bin`, for ``by="same"`` and ``by="neighbors"``, which compare whole maps instead of embeddings.
    n_curve_points
        Points through which the logistic curve of the probability is fitted. Without this curve, half of all pairs tie
        at probability 0 (AUROC of planted pairs 0.86 instead of 0.92).
    max_similarity
        Similarities are clipped to ±`max_similarity` before Fisher's z transform.
    n_folds
        Folds of genes in the cross-fitted classifier. A pair is scored by a model trained without both genes' folds.
    min_known_pairs
        Minimum number of known pairs for the classifier.
    min_pairs_per_class
        Minimum number of known and of negative pairs in each training set.
    n_shuffles
        Maximum number of shuffles in which negative pairs are sampled.
    inverse_penalty
        Inverse strength C of the classifier's ridge penalty. It is strong because known pairs share genes, so that the
        effective number of pairs is smaller than their count.
    colocation_sigma
        Standard deviation, in pixel pitches, of the Gaussian weights of ``by="neighbors"``.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.PairParams(n_folds=5).n_folds
    5
    """

    max_strength_bins: int = 8
    genes_per_bin: int = 100
    sample_per_bin: int = 300
    colocation_sample_per_bin: int = 100
    n_curve_points: int = 400
    max_similarity: float = 0.995
    n_folds: int = 4
    min_known_pairs: int = 40
    min_pairs_per_class: int = 5
    n_shuffles: int = 50
    inverse_penalty: float = 0.003
    colocation_sigma: float = 1.0

    def __post_init__(self) -> None:
        coerce_ints(self, LIMITS)
        coerce_floats(self, "max_similarity", above=0.0, below=1.0)
        coerce_floats(self, "inverse_penalty", "colocation_sigma", above=0.0)
