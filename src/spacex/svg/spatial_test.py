"""Test for spatial variation of all genes with Gaussian kernels and shared patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from spacex.imaging.gene_images import GeneImages
from spacex.svg.design import Design
from spacex.svg.kernels import NullCumulants, PairKernel, choose_scales, section_images
from spacex.svg.library_error import LibraryError
from spacex.svg.maps import MapBatch, StandardizedMaps
from spacex.svg.moments import is_testable
from spacex.svg.params import DEFAULT_PARAMS, SVGParams
from spacex.svg.pattern_test import SharedPatternTest
from spacex.svg.permutation import refine_pvalues
from spacex.svg.result import SVGResult, combine_kernel_pvalues, heterogeneity
from spacex.svg.size_factors import stable_size_factors
from spacex.svg.tails import cauchy_combination, gaussian_share, log_shifted_gamma_sf


def spatial_variability_test(
    images: GeneImages,
    *,
    covariates: np.ndarray | None = None,
    shared: bool = True,
    n_permutations: int = 0,
    seed: int = 0,
    progress: bool = False,
    params: SVGParams = DEFAULT_PARAMS,
) -> SVGResult:
    """Test all genes for spatial variation.

    Under the null, the residuals of a gene are independent between pixels, with a variance that depends on the library
    size and one skewness per section: those of negative binomial counts with the moments of the gene, or those of the
    map of intensities. Every kernel has a zero diagonal, so that the mean of its quadratic form is zero and its second
    and third cumulants are known (`PairKernel.null`). In panels of few genes, the expected effect of errors of library
    sizes is subtracted (`LibraryError`). A shifted gamma distribution with these cumulants gives a p-value. The
    p-values of Gaussian kernels at several scales and of shared patterns are combined by the Cauchy combination
    (`combine_kernel_pvalues`).

    Parameters
    ----------
    images
        Counts or intensities per pixel.
    covariates
        (P, c) nuisance covariates of the pixels.
    shared
        Whether to test on shared patterns.
    n_permutations
        Number of permuted maps per gene with a small p-value; see `refine_pvalues`.
    seed
        Seed of sampled rows of kernels, of the decomposition into shared patterns, and of permutations.
    progress
        Whether to show the progress of permutations on stderr.
    params
        Settings.

    Returns
    -------
    The result for all genes; NaN for genes that cannot be tested.
    """
    tested = is_testable(images, params)
    scales = choose_scales(images.layout, params)
    if not tested.any():
        return SVGResult.empty(len(images.layout.grids), scales).expand(tested)
    # The matrix products are small, so that threads would cost more than they gain.
    with threadpool_limits(1):
        test = VariationTest(images.take(np.flatnonzero(tested)), scales, covariates, shared, seed, params)
        result = test.run()
        if n_permutations:
            log_p = refine_pvalues(
                result.log_p, test.maps, test.log_p, n_permutations, seed=seed, progress=progress, params=params
            )
            result = replace(result, log_p=log_p)
    return result.expand(tested)


class VariationTest:
    """Kernels of a section, and the p-values of maps.

    Parameters
    ----------
    images, covariates, shared, seed, params
        As in `spatial_variability_test`; all genes must be testable.
    scales
        Scales of the Gaussian kernels.
    """

    def __init__(
        self,
        images: GeneImages,
        scales: tuple[float, ...],
        covariates: np.ndarray | None,
        shared: bool,
        seed: int,
        params: SVGParams = DEFAULT_PARAMS,
    ):
        layout = images.layout
        design = Design.from_covariates(layout.section, covariates, ridge=params.covariate_ridge)
        self.params, self.scales = params, scales
        library = stable_size_factors(images, seed, params)
        self.maps = StandardizedMaps(library.images, design)
        self.n_pixels = np.maximum(
            np.bincount(layout.section, minlength=len(layout.grids)), 1
        )  # a section may be empty
        relative, n_rows = self.maps.library, params.n_trace_rows
        self.kernels = [
            PairKernel(layout, sigma, design=design, library=relative, n_rows=n_rows, seed=seed) for sigma in scales
        ]
        self.error = LibraryError.estimate(self.maps, library.genes, params)
        self.kernel_excess = self.error.kernel_excess(self.kernels, self.maps)
        self.pattern_test = SharedPatternTest(self.maps, self.error, enabled=shared, seed=seed, params=params)

    def run(self) -> SVGResult:
        """Test all genes."""
        n_genes, n_scales = self.maps.images.n_genes, len(self.scales)
        log_p_by_scale, weight = np.empty((n_genes, n_scales)), np.empty((n_scales, n_genes))
        log_p_by_section = np.empty((n_genes, len(self.n_pixels)))
        log_p, log_p_shared, scale, i_squared = np.empty((4, n_genes))
        moments = []
        for batch in self.maps.batches():
            self.pattern_test.accumulate(batch)
            statistic, null = self._measure(batch)
            statistic -= self.kernel_excess[:, None] * self.error.influence[batch.genes]
            by_scale, weight[:, batch.genes] = self._by_scale(statistic, null)
            best = by_scale.argmin(axis=0)
            log_p_by_scale[batch.genes] = by_scale.T
            scale[batch.genes] = np.array(self.scales)[best]
            log_p_by_section[batch.genes] = self._by_section(statistic, null)
            at_best = best, np.arange(len(best))
            effect, variance = statistic[at_best] / self.n_pixels, null.variance[at_best] / self.n_pixels**2
            i_squared[batch.genes] = heterogeneity(effect, variance)
            moments.append(batch._replace(maps=batch.maps[:, :0], squares=batch.squares[:, :0]))
        self.pattern_test.finalize()
        for batch in moments:
            genes = batch.genes
            log_p_shared[genes], shared_weight = self.pattern_test.pvalues(batch)
            log_p[genes] = combine_kernel_pvalues(
                log_p_by_scale[genes].T, weight[:, genes], log_p_shared[genes], shared_weight, self.params
            )
        return SVGResult(log_p, log_p_by_scale, log_p_shared, scale, log_p_by_section, i_squared, self.scales)

    def log_p(self, batch: MapBatch) -> np.ndarray:
        """Log p-values (B,) of other maps, after `run`; they have no error of library sizes."""
        by_scale, weight = self._by_scale(*self._measure(batch))
        shared, shared_weight = self.pattern_test.pvalues(batch, accumulated=False)
        return combine_kernel_pvalues(by_scale, weight, shared, shared_weight, self.params)

    def _measure(self, batch: MapBatch) -> tuple[np.ndarray, NullCumulants]:
        """Statistics and null cumulants (W, B, S) of a batch."""
        images = section_images(self.maps.images.layout, batch.maps)
        statistic = [kernel.statistic(images, batch.squares) for kernel in self.kernels]
        nulls = [kernel.null(batch.skewness, batch.slope) for kernel in self.kernels]
        return np.stack(statistic), NullCumulants(
            *(np.stack(part) * batch.present for part in zip(*nulls, strict=True))
        )

    @staticmethod
    def _by_scale(statistic: np.ndarray, null: NullCumulants) -> tuple[np.ndarray, np.ndarray]:
        """Log p-values (W, B) of each scale, statistics and cumulants summed over sections, and their weights."""
        variance, third, gaussian = (part.sum(axis=2) for part in null)
        return log_shifted_gamma_sf(statistic.sum(axis=2), variance, third), gaussian_share(gaussian, third)

    def _by_section(self, statistic: np.ndarray, null: NullCumulants) -> np.ndarray:
        """Log p-values (B, S) of each section, combined over scales; NaN if a gene is absent."""
        log_p = log_shifted_gamma_sf(statistic, null.variance, null.third)
        weight = gaussian_share(null.gaussian, null.third)
        sections = range(len(self.n_pixels))
        combined = np.stack([cauchy_combination(log_p[..., s], weight[..., s]) for s in sections], axis=1)
        return np.where(null.variance[0] > 0, combined, np.nan)
