"""Test of genes on the patterns shared by other genes, cross-fitted over folds of genes."""

from __future__ import annotations

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.svg.gene_hash import gene_hash
from spacex.svg.library_error import LibraryError
from spacex.svg.maps import MapBatch, StandardizedMaps
from spacex.svg.params import DEFAULT_PARAMS, SVGParams
from spacex.svg.pattern_kernel import PatternKernel
from spacex.svg.shared_patterns import learn_patterns, pattern_weights, rms_correlation
from spacex.svg.tails import gaussian_share, log_shifted_gamma_sf


def gene_folds(images: GeneImages, params: SVGParams = DEFAULT_PARAMS) -> np.ndarray:
    """Pseudorandom fold (G,) of each gene; see `gene_hash`."""
    n_folds = params.n_folds if images.n_genes <= params.max_small_genes else params.n_folds_large
    return gene_hash(images) * n_folds // 2**32


class SharedPatternTest:
    """Test of each gene on the patterns of the genes in other folds.

    Call `accumulate` on all batches of maps, then `finalize`; then `pvalues` returns p-values.

    Parameters
    ----------
    maps
        Standardized maps.
    error
        Error of the library sizes, which `accumulate` subtracts.
    enabled
        Whether to test; if not, all p-values are NaN.
    seed
        Seed of the decomposition and of the sampled rows of kernels.
    params
        Settings.
    """

    def __init__(
        self,
        maps: StandardizedMaps,
        error: LibraryError,
        *,
        enabled: bool,
        seed: int,
        params: SVGParams = DEFAULT_PARAMS,
    ):
        images = maps.images
        self.maps, self.error, self.seed, self.params = maps, error, seed, params
        self.fold = gene_folds(images, params)
        n_patterns = params.max_patterns if enabled else 0
        n_patterns = min(n_patterns, max(4, images.n_genes // params.genes_per_pattern), images.n_pixels // 4)
        self.patterns = []
        for fold in range(self.fold.max() + 1):
            others = np.flatnonzero(self.fold != fold)
            enough = len(others) > n_patterns > 0
            self.patterns.append(learn_patterns(maps, others, n_patterns, seed, params) if enough else None)
        self.correlation = rms_correlation(maps, seed, params) if n_patterns else 0.0
        self.kernels: list[PatternKernel | None] = [None] * len(self.patterns)
        self._energy = np.zeros((2, images.n_genes, n_patterns))

    def accumulate(self, batch: MapBatch) -> None:
        """Store the energies of a batch of maps along the patterns."""
        self._energy[:, batch.genes] = self._measure(batch)
        if not len(self.error.maps):
            return
        for fold, patterns in enumerate(self.patterns):
            genes = batch.gene_index[self.fold[batch.genes] == fold]
            if patterns is not None and len(genes):
                section = self.maps.images.layout.section
                self._energy[:, genes] -= self.error.pattern_excess(patterns, genes, section)

    def finalize(self) -> None:
        """Weight the patterns by the signal of the genes that are tested on them."""
        energy, diagonal_energy = self._energy
        layout, library = self.maps.images.layout, self.maps.library
        for fold, patterns in enumerate(self.patterns):
            genes = self.fold == fold
            if patterns is None or genes.sum() < 2:
                continue
            weight = pattern_weights(energy[genes] - diagonal_energy[genes], self.correlation, self.params)
            if weight.any():
                n_rows = self.params.n_pattern_trace_rows
                self.kernels[fold] = PatternKernel(layout, patterns, weight, library, n_rows=n_rows, seed=self.seed)

    def pvalues(self, batch: MapBatch, *, accumulated: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Log p-values (B,) and weights (B,) of a batch of maps; NaN if the other genes share no significant pattern.

        With `accumulated`, the energies stored by `accumulate` for these genes are used; otherwise they are computed.
        """
        energy, diagonal_energy = self._energy[:, batch.genes] if accumulated else self._measure(batch)
        log_p, weight = np.full(len(batch.maps), np.nan), np.zeros(len(batch.maps))
        for fold, kernel in enumerate(self.kernels):
            rows = self.fold[batch.genes] == fold
            if kernel is None or not rows.any():
                continue
            null = kernel.null(batch.skewness[rows], batch.slope[rows], batch.present[rows])
            statistic = kernel.statistic(energy[rows], diagonal_energy[rows])
            log_p[rows] = log_shifted_gamma_sf(statistic, null.variance, null.third)
            weight[rows] = gaussian_share(null.gaussian, null.third)
        return log_p, weight

    def _measure(self, batch: MapBatch) -> np.ndarray:
        """Energy along the patterns, and its diagonal part: (2, B, n)."""
        out = np.zeros((2, len(batch.maps), self._energy.shape[2]))
        for fold, patterns in enumerate(self.patterns):
            rows = self.fold[batch.genes] == fold
            if patterns is not None and rows.any():
                out[0, rows] = (batch.maps[rows] @ patterns) ** 2
                out[1, rows] = batch.squares[rows] @ patterns**2
        return out
