"""The kernel of given patterns on a section, and the cumulants of its quadratic form."""

from __future__ import annotations

import numpy as np

from spacex.imaging.layout import SectionLayout
from spacex.svg.kernels import Null

ROWS = 1024


class PatternKernel:
    """K = V diag(w) V' - D: what maps have in common with patterns V, products of a pixel with itself taken out.

    Parameters
    ----------
    layout
        Where the pixels lie.
    patterns
        V (P, n), orthonormal.
    weight
        w (n,).
    library
        Relative library size (P,).
    seed
        Of the sample of rows in sections of more than `ROWS` pixels.
    """

    def __init__(
        self, layout: SectionLayout, patterns: np.ndarray, weight: np.ndarray, library: np.ndarray, *, seed: int
    ):
        self.n_sections = len(layout.grids)
        self.member = np.eye(self.n_sections)[layout.section]
        self.patterns, self.weight = patterns.astype(np.float64), weight
        self.diagonal = self.patterns**2 @ weight
        self._overlap = self._overlaps(library)
        own = np.stack([self.diagonal**2 * library**k for k in range(3)])
        self._own = own @ self.member  # (3, S) sums of D_i² d_i^k
        self.cube = self._trace_of_cube()
        self.third = self._sum_of_cubes(np.random.default_rng(seed))

    def _overlaps(self, library: np.ndarray) -> np.ndarray:
        """(1 + S, 1 + S) sums over k, l of w_k w_l M_kl N_kl, M and N from V'V and, by section, V' diag(d) V."""
        unequal = [self.patterns * (here * library)[:, None] for here in self.member.T]
        inner = np.stack([self.patterns.T @ part for part in (self.patterns, *unequal)])
        return np.einsum("akl,bkl,k,l->ab", inner, inner, self.weight, self.weight)

    def _trace_of_cube(self) -> float:
        """Trace of (L - D)³ for L = V w V', whose diagonal is D: tr L³ - 3 Σ (L²)_ii D_i + 2 Σ D_i³."""
        inner = self.patterns.T @ self.patterns * self.weight
        square = np.sum((self.patterns * self.weight @ inner.T) * self.patterns, axis=1)
        return float(np.trace(inner @ inner @ inner) - 3 * square @ self.diagonal + 2 * np.sum(self.diagonal**3))

    def _sum_of_cubes(self, rng: np.random.Generator) -> np.ndarray:
        """(S, S) sums of K_ij³ over pairs of pixels, by their sections: all rows, or a sample of mostly large ones."""
        size = len(self.diagonal)
        chance = self.diagonal + self.diagonal.mean() + 1e-300
        chance = chance / chance.sum()
        rows = np.arange(size) if size <= ROWS else rng.choice(size, ROWS, p=chance)
        times = np.ones(size) if size <= ROWS else 1.0 / (ROWS * chance)
        total = np.zeros((self.n_sections, self.n_sections))
        for part in np.array_split(rows, -(-len(rows) // 128)):
            values = (self.patterns[part] * self.weight) @ self.patterns.T
            values[np.arange(len(part)), part] = 0.0
            total += (self.member[part] * times[part, None]).T @ (values**3 @ self.member)
        return total

    def statistic(self, energy: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Statistic (B,) from a map's energies (B, n) along the patterns and its own products there (B, n)."""
        return (energy - own) @ self.weight

    def null(self, skewness: np.ndarray, slope: np.ndarray, present: np.ndarray) -> Null:
        """Cumulants (B,) of the statistic of independent noise, as in `PairKernel.null`; moments (B, S)."""
        terms = np.column_stack([np.ones(len(slope)), slope])
        equal = self._overlap[0, 0] - self._own[0].sum()
        of_pairs = np.einsum("ba,ac,bc->b", terms, self._overlap, terms)
        of_own = self._own[0].sum() + 2.0 * slope @ self._own[1] + slope**2 @ self._own[2]
        share = present @ self.member.mean(axis=0)  # maps of sections without counts are zero
        square = np.maximum(of_pairs - of_own, 0.1 * equal) * share**2
        unequal = (square / max(equal, 1e-300)) ** 1.5
        skewed = np.einsum("bs,st,bt->b", skewness, self.third, skewness)
        gaussian = unequal * 8.0 * self.cube
        return Null(2.0 * square, gaussian + unequal * 4.0 * skewed, gaussian)
