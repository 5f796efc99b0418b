"""Settings of the test for spatially variable genes."""

from __future__ import annotations

from dataclasses import dataclass

from spacex._infra.errors import safe_repr
from spacex._infra.settings import MAX_COUNT, check_tuple, coerce_floats, coerce_ints
from spacex._infra.validation import check_number

LIMITS = {
    "min_counts": (1, 2**31 - 1), "min_pixels": (3, MAX_COUNT), "n_trace_rows": (2, 100_000),
    "n_pattern_trace_rows": (2, 100_000), "max_patterns": (1, 1000), "genes_per_pattern": (1, MAX_COUNT),
    "n_folds": (2, 100), "n_folds_large": (2, 100), "max_small_genes": (0, MAX_COUNT), "n_probes": (1, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class SVGParams:
    """Settings of `spacex.tl.svg`.

    The defaults are those that measured best; see "Spatially variable genes" in ``docs/method.md``.

    Parameters
    ----------
    scales
        Standard deviations σ of the Gaussian kernels, in pixel pitches, in increasing order.
    min_side_in_scales
        A kernel is used only if the side of the largest section is at least this multiple of its scale (the first two
        kernels always). Larger kernels only measure the same few gradients and reduce the power of the others.
    min_counts, min_pixels
        Genes with fewer counts, or with counts in fewer pixels, are not tested.
    n_trace_rows
        Rows of a kernel matrix from which its third-order traces are estimated; smaller sections use all rows.
    n_pattern_trace_rows
        As `n_trace_rows`, for the kernel of shared patterns. Rows are sampled in proportion to their size.
    size_factor_scale
        Standard deviation, in pixel pitches, of the Gaussian that smooths size factors. With library sizes from stable
        genes, p < 0.05 on null genes of two panels fell from 0.56 to 0.040 and from 0.59 to 0.063.
    stability_scale
        Scale of the kernel whose statistic measures how stable a gene is.
    stable_quantile
        Size factors from stable genes replace sums of counts if this quantile of the genes' statistics decreases. With
        the median, null p < 0.05 of one panel was 0.206, because half of the genes of a panel may be spatial.
    covariate_ridge
        Prior precision of covariate effects on log counts. It keeps effects finite for genes absent from a category.
    pattern_scale
        Standard deviation, in pixel pitches, of the neighbor mean of shared patterns. σ = 2 lowered
        the AUROC by 0.003 to 0.035.
    max_patterns
        Maximum number of shared patterns; 16 and 64 changed the AUROC by at most 0.002.
    genes_per_pattern
        At least this number of genes per shared pattern.
    n_folds, n_folds_large
        Folds of genes with at most, and with more than, `max_small_genes` genes. Genes are tested on the patterns of
        the other folds. On large sections, 2, 3 and 5 folds differed by less than 0.001 in AUROC.
    max_small_genes
        Number of genes up to which `n_folds` is used.
    pattern_noise
        Weight of a pattern is signal / (signal + `pattern_noise`), with the signal in units of the noise.
    pattern_min_z
        Minimum signal of a pattern, in standard errors of its mean over genes.
    pattern_min_signal, pattern_signal_per_correlation
        Minimum signal of a pattern: a constant, plus a multiple of the root mean square correlation of genes. With
        permuted coordinates the largest signal was 0.07 to 0.33 at correlations of 0.01 to 0.04, and up to 1.5 at 0.12
        to 0.19 (panels); patterns of real sections have 2 to 360.
    n_probes
        Random vectors in the estimate of that correlation.
    pattern_weight
        Weight of the shared patterns in the combined p-value, from 0 to 1; the kernels have the rest.
    scale_excess
        Relative excess of the combination of correlated kernels at small p-values, which is corrected: 0.03 to 0.07 was
        measured under Gaussian noise at p = 0.1 to 0.01.
    permutation_level
        Genes with a larger p-value are not permuted.
    permutation_tail
        Fraction of the permuted maps to which the tail of the null distribution is fitted.

    Raises
    ------
    InputError
        If a value is outside its range.

    Examples
    --------
    >>> import spacex as sx
    >>> sx.SVGParams(scales=(1.0, 4.0)).scales
    (1.0, 4.0)
    """

    scales: tuple[float, ...] = (0.6, 1.2, 2.5, 5.0, 10.0)
    min_side_in_scales: float = 3.0
    min_counts: int = 3
    min_pixels: int = 3
    n_trace_rows: int = 256
    n_pattern_trace_rows: int = 1024
    size_factor_scale: float = 2.0
    stability_scale: float = 2.0
    stable_quantile: float = 0.4
    covariate_ridge: float = 0.1
    pattern_scale: float = 1.0
    max_patterns: int = 32
    genes_per_pattern: int = 40
    n_folds: int = 5
    n_folds_large: int = 2
    max_small_genes: int = 4000
    pattern_noise: float = 2.0
    pattern_min_z: float = 3.0
    pattern_min_signal: float = 0.25
    pattern_signal_per_correlation: float = 8.0
    n_probes: int = 16
    pattern_weight: float = 0.75
    scale_excess: float = 0.05
    permutation_level: float = 0.05
    permutation_tail: float = 0.25

    def __post_init__(self) -> None:
        coerce_ints(self, LIMITS)
        positive = ("min_side_in_scales", "size_factor_scale", "stability_scale", "covariate_ridge", "pattern_scale")
        coerce_floats(self, *positive, "pattern_noise", above=0.0)
        coerce_floats(
            self, "pattern_min_z", "pattern_min_signal", "pattern_signal_per_correlation", "scale_excess", at_least=0.0
        )
        coerce_floats(
            self, "stable_quantile", "pattern_weight", "permutation_level", "permutation_tail", above=0.0, below=1.0
        )
        scales = check_tuple(self, "scales", allowed="a tuple of increasing numbers")
        lower, checked = 0.0, []
        for value in scales:
            lower = check_number(value, name=f"SVGParams.scales={safe_repr(scales)}: a value", above=lower)
            checked.append(lower)
        object.__setattr__(self, "scales", tuple(checked))


DEFAULT_PARAMS = SVGParams()
