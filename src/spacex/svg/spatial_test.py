"""The test for spatial variation: every gene's map against every kernel."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from spacex.imaging.gene_images import GeneImages
from spacex.svg.design import Design
from spacex.svg.kernels import Null, PairKernel, choose_scales, section_images
from spacex.svg.maps import Batch, StandardMaps
from spacex.svg.moments import can_be_tested
from spacex.svg.pattern_test import MAX_PATTERNS, SharedPatterns
from spacex.svg.permutation import refine
from spacex.svg.result import SVGResult, combine_kernel_pvalues, heterogeneity
from spacex.svg.size_factors import background_size_factors
from spacex.svg.tails import combine, gaussian_share, log_tail


def spatial_variability_test(
    images: GeneImages,
    *,
    covariates: np.ndarray | None = None,
    shared: bool = True,
    n_permutations: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> SVGResult:
    """Test every gene for spatial variation.

    Under the null the residuals of a gene are independent between pixels, with a variance that follows the library
    size and one skewness per section: those of negative-binomial counts with the gene's moments, or of the map where
    there are no counts. Every kernel has a zero diagonal, so that the mean of its quadratic form is zero and its second
    and third cumulants are known (see `PairKernel.null`); a shifted gamma with these gives a p-value. Kernels are
    Gaussians of several widths, and the patterns that other genes share. The Cauchy combination joins
    them.

    Parameters
    ----------
    images
        Counts or intensities per pixel.
    covariates
        (P, c) values per pixel that a gene may follow without being called spatial.
    shared
        Whether to test on the patterns that genes share, too.
    n_permutations
        Shuffled maps of each gene with p < .05 by which its tail is fitted anew; see `permutation.refine`.
    seed
        Of the rows from which third cumulants are estimated, of the search for shared patterns, and of permutations.
    progress
        Whether to show the progress of permutations on stderr.
    """
    tested = can_be_tested(images)
    scales = choose_scales(images.layout)
    found = SVGResult.empty(images.n_genes, len(images.layout.grids), scales)
    if not tested.any():
        return found
    # Its products are small: threads that wait for one another cost more than they bring.
    with threadpool_limits(1):
        test = VariationTest(images.take(np.flatnonzero(tested)), scales, covariates, shared, seed)
        log_p = test.run(found, np.flatnonzero(tested))
        if n_permutations:
            log_p = refine(log_p, test.maps, test.log_p, n_permutations, seed=seed, progress=progress)
    found.log_p[tested] = log_p
    return found


class VariationTest:
    """Kernels on a section, and the evidence on maps.

    Parameters
    ----------
    images, covariates, shared, seed
        As in `spatial_variability_test`; all genes can be tested.
    scales
        Widths of the Gaussian kernels.
    """

    def __init__(
        self, images: GeneImages, scales: tuple[float, ...], covariates: np.ndarray | None, shared: bool, seed: int
    ):
        design = Design.of(images.layout.section, covariates)
        self.maps = StandardMaps(background_size_factors(images, seed), design)
        self.size = np.bincount(images.layout.section)
        self.scales = np.array(scales)
        self.kernels = [
            PairKernel(images.layout, sigma, design=design, library=self.maps.library, seed=seed) for sigma in scales
        ]
        self.shared = SharedPatterns(self.maps, most=MAX_PATTERNS if shared else 0, seed=seed)

    def run(self, found: SVGResult, genes: np.ndarray) -> np.ndarray:
        """Log p-values (G,) of all genes; the rest of the evidence goes to rows `genes` of `found`."""
        n = len(genes)
        trusted, moments = np.empty((len(self.kernels), n)), []
        for batch in self.maps.batches():
            self.shared.keep(batch)
            here = genes[batch.genes]
            statistic, null = self._measure(batch)
            widths, trusted[:, batch.genes] = self._widths(statistic, null)
            best = widths.argmin(axis=0)
            found.log_p_widths[here] = widths.T
            found.scale[here] = self.scales[best]
            found.sections[here] = self._by_section(statistic, null)
            of_best = best, np.arange(len(best))
            effect, variance = statistic[of_best] / self.size, null.variance[of_best] / self.size**2
            found.heterogeneity[here] = heterogeneity(effect, variance)
            moments.append(batch._replace(maps=batch.maps[:, :0], squares=batch.squares[:, :0]))
        self.shared.settle()
        log_p = np.empty(n)
        for batch in moments:
            here = genes[batch.genes]
            found.log_p_shared[here], trust_of_shared = self.shared.evidence(batch)
            widths = found.log_p_widths[here].T
            log_p[batch.genes] = combine_kernel_pvalues(
                widths, trusted[:, batch.genes], found.log_p_shared[here], trust_of_shared
            )
        return log_p

    def log_p(self, batch: Batch) -> np.ndarray:
        """Log p-values (B,) of maps that `run` has not seen; it was called before."""
        widths, trusted = self._widths(*self._measure(batch))
        return combine_kernel_pvalues(widths, trusted, *self.shared.evidence(batch, kept=False))

    def _measure(self, batch: Batch) -> tuple[np.ndarray, Null]:
        """Statistics and null cumulants (W, B, S) of a batch."""
        pictures = section_images(self.maps.images.layout, batch.maps)
        statistic = [kernel.statistic(pictures, batch.squares) for kernel in self.kernels]
        nulls = [kernel.null(batch.skewness, batch.slope) for kernel in self.kernels]
        return np.stack(statistic), Null(*(np.stack(part) * batch.present for part in zip(*nulls, strict=True)))

    @staticmethod
    def _widths(statistic: np.ndarray, null: Null) -> tuple[np.ndarray, np.ndarray]:
        """Log p-values (W, B) of the widths, the sections' statistics and cumulants added up, and the trust in them."""
        variance, third, gaussian = (part.sum(axis=2) for part in null)
        return log_tail(statistic.sum(axis=2), variance, third), gaussian_share(gaussian, third)

    def _by_section(self, statistic: np.ndarray, null: Null) -> np.ndarray:
        """Log p-values (B, S) of each section, all widths together; NaN where a gene is absent."""
        alone = log_tail(statistic, null.variance, null.third)
        weight = gaussian_share(null.gaussian, null.third)
        joined = np.stack([combine(alone[..., s], weight[..., s]) for s in range(len(self.size))], axis=1)
        return np.where(null.variance[0] > 0, joined, np.nan)
