"""Spatial autocorrelation of gene maps at several scales: Gaussian kernels and the cumulants of their quadratic forms.

The statistic of a map r at scale σ is Q = r'(G - D) r with Gaussian weights G_ij = exp(-d_ij² / 4σ²) between tissue
pixels; up to a factor and edge effects, r'Gr is the energy of the map smoothed with standard deviation σ. Subtracting
the diagonal D leaves products of *different* pixels. Their mean is zero whatever the variance, dispersion and kurtosis
of the counts, and their variance does not depend on the kurtosis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import Smoother
from spacex.svg.design import Design
from spacex.svg.params import DEFAULT_PARAMS, SVGParams

EIGENVALUE_TOL = 1e-7
"""Eigenvalues of a Gaussian matrix below this fraction of the largest are dropped."""
MIN_SCALES = 2


def choose_scales(layout: SectionLayout, params: SVGParams = DEFAULT_PARAMS) -> tuple[float, ...]:
    """Kernel scales σ in pixel pitches that fit the largest section; see `SVGParams.min_side_in_scales`."""
    side = np.sqrt(np.bincount(layout.section).max())
    limit = side / params.min_side_in_scales
    return tuple(sigma for i, sigma in enumerate(params.scales) if i < MIN_SCALES or sigma <= limit)


def _gaussian_factor(points: np.ndarray, tau: float) -> np.ndarray:
    """F (N, R) with F F' = exp(-d² / 2τ²) between points on a line; R is small for large τ."""
    values, vectors = np.linalg.eigh(np.exp(-0.5 * ((points[:, None] - points) / tau) ** 2))
    large = values > EIGENVALUE_TOL * values[-1]
    return (vectors[:, large] * np.sqrt(values[large])).astype(np.float32)


class GaussianEnergy:
    """Quadratic form r'Gr of images r on one grid, from low-rank factors of the separable Gaussian.

    On staggered grids, both row parities are points on one line of half columns.

    Parameters
    ----------
    grid
        Grid of the section.
    tau
        Standard deviation of the Gaussian in pixel pitches.
    """

    def __init__(self, grid: Grid, tau: float):
        height, width = grid.shape
        self.step = 2 if grid.staggered else 1
        self.column_factor = _gaussian_factor(np.arange(self.step * width) / self.step, tau)
        self.row_factor = _gaussian_factor(np.arange(height) * grid.aspect, tau)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Energies (B,) of images (H, W, B)."""
        height, _, batch = images.shape
        lines = np.empty((height, self.column_factor.shape[1], batch), dtype=np.float32)
        for parity in range(self.step):
            factor = np.ascontiguousarray(self.column_factor[parity :: self.step].T)
            np.matmul(factor, images[parity :: self.step], out=lines[parity :: self.step])
        scores = self.row_factor.T @ lines.reshape(height, -1)
        return np.square(scores, out=scores).reshape(-1, batch).sum(axis=0)


class NullCumulants(NamedTuple):
    """Cumulants of a statistic under the null; its mean is zero.

    Attributes
    ----------
    variance
        (B, S) second cumulant.
    third
        (B, S) third cumulant.
    gaussian
        (B, S) third cumulant of noise without skewness.
    """

    variance: np.ndarray
    third: np.ndarray
    gaussian: np.ndarray


class PairKernel:
    """K = H (G - D) H: Gaussian weights between different pixels of a section, on centered maps.

    H projects out the effects of a design (at least the mean of each section). D makes the diagonal of K vanish up to
    terms of order 1 / pixels. No (P, P) matrix is stored.

    Parameters
    ----------
    layout
        Positions of the pixels.
    sigma
        Scale σ in pixel pitches.
    design
        Effects that are projected out; the means of the sections by default.
    library
        (P,) relative library size d, see `moments.relative_library`.
    n_rows
        Rows from which third-order traces are estimated.
    seed
        Seed of the sample of rows.

    Attributes
    ----------
    square
        (S,) tr K² per section, exact: the square of a Gaussian is a Gaussian.
    cross, both
        (S,) Σ K_ij² d_j and Σ d_i K_ij² d_j, divided by `square`.
    cube
        (S,) tr K³.
    third
        (S,) Σ K_ij³ over all pairs.
    """

    def __init__(
        self,
        layout: SectionLayout,
        sigma: float,
        *,
        design: Design | None = None,
        library: np.ndarray | None = None,
        n_rows: int = DEFAULT_PARAMS.n_trace_rows,
        seed: int = 0,
    ):
        self.sigma = float(sigma)
        self.design = Design.from_covariates(layout.section) if design is None else design
        self.section = layout.section
        self.n_sections = len(layout.grids)
        self.member = np.eye(self.n_sections, dtype=np.float32)[layout.section]
        self._smoother = Smoother(layout, np.sqrt(2.0) * self.sigma)
        self._energies = [GaussianEnergy(grid, np.sqrt(2.0) * self.sigma) for grid in layout.grids]
        self._diagonal = self._compute_diagonal()
        self.square = self._trace_of_square()
        self.cross, self.both = self._library_terms(layout, np.zeros(len(self.section)) if library is None else library)
        self.cube, self.third = self._third_order_traces(n_rows, np.random.default_rng(seed))

    def _section_sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.section, values, self.n_sections)

    def _apply_gaussian(self, columns: np.ndarray) -> np.ndarray:
        """G times columns (P, C)."""
        rows = np.ascontiguousarray(columns.T)
        return (self._smoother.apply(rows) * self._smoother.weight).T.astype(np.float64)

    def _compute_diagonal(self) -> np.ndarray:
        """D (P,) for which the diagonal of H (G - D) H vanishes: diagonal of H G H over 1 - h, h the leverage."""
        basis = self.design.basis.astype(np.float64)
        smoothed = self._apply_gaussian(self.design.basis)
        projected = np.sum((basis @ (basis.T @ smoothed)) * basis, axis=1)
        diagonal = 1.0 - 2.0 * np.sum(smoothed * basis, axis=1) + projected
        leverage = np.sum(basis**2, axis=1)
        return (diagonal / np.maximum(1.0 - leverage, 1e-6)).astype(np.float32)

    def _trace_of_square(self) -> np.ndarray:
        """Tr HAHA (S,) for A = G - D and H = 1 - UU': Σ A_ij² - 2 |AU|² + |U'AU|²."""
        basis, diagonal = self.design.basis.astype(np.float64), self._diagonal.astype(np.float64)
        weight = self._smoother.weight.astype(np.float64)
        squares = self._smoother.variance * weight**2 - 1.0 + (1.0 - diagonal) ** 2
        product = self._apply_gaussian(self.design.basis) - diagonal[:, None] * basis
        inner = basis.T @ product
        return self._section_sums(squares - 2.0 * np.sum(product**2, axis=1) + np.sum((basis @ inner) ** 2, axis=1))

    def _library_terms(self, layout: SectionLayout, library: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of d_j and of d_i d_j over pairs of pixels, weighted by the square of the kernel."""
        squared = Smoother(layout, self.sigma)  # the square of G is a Gaussian with standard deviation σ
        relative = library.astype(np.float32)
        neighbor_sum = (squared.apply(relative[None]) * squared.weight)[0] - relative
        pairs = np.maximum(self._section_sums(squared.weight - 1.0), 1e-30)
        return self._section_sums(neighbor_sum) / pairs, self._section_sums(relative * neighbor_sum) / pairs

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """K r for maps (B, P)."""
        maps = self.design.center(maps)
        return self.design.center(self._smoother.apply(maps) * self._smoother.weight - self._diagonal * maps)

    def statistic(self, images: list[np.ndarray], squares: np.ndarray) -> np.ndarray:
        """Statistic r'K r (B, S) of centered maps r.

        Parameters
        ----------
        images
            (H, W, B) images of the maps on each section, see `section_images`.
        squares
            (B, P) squares of the maps.
        """
        energies = [energy(image) for energy, image in zip(self._energies, images, strict=True)]
        return np.stack(energies, axis=1) - squares @ (self.member * self._diagonal[:, None])

    def null(self, skewness: np.ndarray, slope: np.ndarray) -> NullCumulants:
        """Cumulants of the statistic for maps of unit variance with independent noise.

        K has no diagonal, so with variances v_i and skewness s the second cumulant is 2 Σ K_ij² v_i v_j and the third
        8 tr K³ + 4 s² Σ K_ij³ (Leonov & Shiryaev 1959). Variances are v = 1 + slope · d with the relative library size
        d; they scale the third cumulant like the second to the power 3/2.

        Parameters
        ----------
        skewness, slope
            (B, S) moments of each gene in each section, see `moments`.
        """
        inflation = np.maximum(1.0 + 2.0 * slope * self.cross + slope**2 * self.both, 0.1)
        gaussian = inflation**1.5 * 8.0 * self.cube
        third = gaussian + inflation**1.5 * 4.0 * skewness**2 * self.third
        return NullCumulants(inflation * 2.0 * self.square, third, gaussian)

    def _third_order_traces(self, n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Tr K³ and Σ K_ij³ (S,), from rows of K, relative to tr K² from the same rows.

        Sections do not interact, so one map contains a unit vector for each section.
        """
        samples = [rng.permutation(np.flatnonzero(self.section == s))[:n_rows] for s in range(self.n_sections)]
        units = np.zeros((max(map(len, samples)), len(self.section)), dtype=np.float32)
        for pixels in samples:
            units[np.arange(len(pixels)), pixels] = 1.0
        rows = self.apply(np.asfortranarray(units))
        sums = [self._section_sums(np.sum(x, axis=0)) for x in (rows**2, rows * self.apply(rows), rows**3)]
        ratio = self.square / np.maximum(sums[0], 1e-30)
        return ratio * sums[1], ratio * sums[2]


def section_images(layout: SectionLayout, maps: np.ndarray) -> list[np.ndarray]:
    """Images (H, W, B) of each section from maps (B, P), zero off the tissue."""
    images = []
    for s, grid in enumerate(layout.grids):
        pixels = layout.section == s
        row, column = layout.pixel[pixels].T
        images.append(np.zeros((*grid.shape, len(maps)), dtype=np.float32))
        images[s][row, column] = maps.T[pixels]
    return images
