"""Kernel of shared patterns, and the cumulants of its quadratic form."""

from __future__ import annotations

import numpy as np

from spacex.imaging.layout import SectionLayout
from spacex.svg.kernels import NullCumulants
from spacex.svg.params import DEFAULT_PARAMS

BLOCK_ROWS = 128


class PatternKernel:
    """K = V diag(w) V' - D for patterns V, where D is the diagonal of the first term.

    Parameters
    ----------
    layout
        Positions of the pixels.
    patterns
        V (P, n), orthonormal.
    weight
        w (n,).
    library
        Relative library size d (P,).
    n_rows
        Rows from which Σ K_ij³ is estimated; all rows in smaller sections.
    seed
        Seed of the sample of rows.
    """

    def __init__(
        self,
        layout: SectionLayout,
        patterns: np.ndarray,
        weight: np.ndarray,
        library: np.ndarray,
        *,
        n_rows: int = DEFAULT_PARAMS.n_pattern_trace_rows,
        seed: int,
    ):
        self.n_sections = len(layout.grids)
        self.member = np.eye(self.n_sections)[layout.section]
        self.patterns, self.weight = patterns.astype(np.float64), weight
        self.diagonal = self.patterns**2 @ weight
        self._overlap = self._overlaps(library)
        diagonal_terms = np.stack([self.diagonal**2 * library**k for k in range(3)])
        self._diagonal_sums = diagonal_terms @ self.member  # (3, S) sums of D_i² d_i^k
        self.cube = self._trace_of_cube()
        self.third = self._sum_of_cubes(n_rows, np.random.default_rng(seed))

    def _overlaps(self, library: np.ndarray) -> np.ndarray:
        """(1 + S, 1 + S) sums over k, l of w_k w_l M_kl N_kl, for M, N in {V'V, V' diag(d) V of each section}."""
        by_section = [self.patterns * (member * library)[:, None] for member in self.member.T]
        inner = np.stack([self.patterns.T @ part for part in (self.patterns, *by_section)])
        return np.einsum("akl,bkl,k,l->ab", inner, inner, self.weight, self.weight)

    def _trace_of_cube(self) -> float:
        """Tr (L - D)³ for L = V w V' with diagonal D: tr L³ - 3 Σ (L²)_ii D_i + 2 Σ D_i³."""
        inner = self.patterns.T @ self.patterns * self.weight
        square = np.sum((self.patterns * self.weight @ inner.T) * self.patterns, axis=1)
        return float(np.trace(inner @ inner @ inner) - 3 * square @ self.diagonal + 2 * np.sum(self.diagonal**3))

    def _sum_of_cubes(self, n_rows: int, rng: np.random.Generator) -> np.ndarray:
        """(S, S) sums of K_ij³ over pairs of pixels by section: all rows, or a sample weighted by their size."""
        n_pixels = len(self.diagonal)
        probability = self.diagonal + self.diagonal.mean() + 1e-300
        probability = probability / probability.sum()
        use_all = n_pixels <= n_rows
        rows = np.arange(n_pixels) if use_all else rng.choice(n_pixels, n_rows, p=probability)
        row_weight = np.ones(n_pixels) if use_all else 1.0 / (n_rows * probability)
        total = np.zeros((self.n_sections, self.n_sections))
        for block in np.array_split(rows, -(-len(rows) // BLOCK_ROWS)):
            values = (self.patterns[block] * self.weight) @ self.patterns.T
            values[np.arange(len(block)), block] = 0.0
            total += (self.member[block] * row_weight[block, None]).T @ (values**3 @ self.member)
        return total

    def statistic(self, energy: np.ndarray, diagonal_energy: np.ndarray) -> np.ndarray:
        """Statistic (B,) from the energies (B, n) of maps along the patterns and their diagonal parts (B, n)."""
        return (energy - diagonal_energy) @ self.weight

    def null(self, skewness: np.ndarray, slope: np.ndarray, present: np.ndarray) -> NullCumulants:
        """Cumulants (B,) of the statistic under independent noise; see `PairKernel.null`.

        Parameters
        ----------
        skewness, slope
            (B, S) moments of each gene in each section.
        present
            (B, S) whether a gene has counts in a section; otherwise its map is zero there.
        """
        terms = np.column_stack([np.ones(len(slope)), slope])
        unweighted = self._overlap[0, 0] - self._diagonal_sums[0].sum()
        all_pairs = np.einsum("ba,ac,bc->b", terms, self._overlap, terms)
        diagonal = self._diagonal_sums
        self_pairs = diagonal[0].sum() + 2.0 * slope @ diagonal[1] + slope**2 @ diagonal[2]
        share = present @ self.member.mean(axis=0)
        square = np.maximum(all_pairs - self_pairs, 0.1 * unweighted) * share**2
        inflation = (square / max(unweighted, 1e-300)) ** 1.5
        skewed = np.einsum("bs,st,bt->b", skewness, self.third, skewness)
        gaussian = inflation * 8.0 * self.cube
        return NullCumulants(2.0 * square, gaussian + inflation * 4.0 * skewed, gaussian)
