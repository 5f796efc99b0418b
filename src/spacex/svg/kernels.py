"""Spatial autocorrelation of gene maps at several widths: kernels, and the cumulants of their quadratic forms.

The statistic of a map r at width σ is Q = r'(G - D) r with Gaussian weights G_ij = exp(-d_ij² / 4σ²) between
tissue pixels, so that r'Gr is, up to a factor and the edge of the tissue, the energy of the map smoothed
with width σ. The diagonal D is taken out: what is left are products of *different* pixels, whose mean is zero
whatever the variance, dispersion or kurtosis of the counts, and whose variance does not depend on the kurtosis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import Smoother
from spacex.svg.design import Design

SCALES = (0.6, 1.2, 2.5, 5.0, 10.0)
ROWS = 256
NEGLIGIBLE = 1e-7


def choose_scales(layout: SectionLayout) -> tuple[float, ...]:
    """Widths σ in pixel pitches: `SCALES` up to a third of the largest section's side, two at least.

    Wider ones see the same few gradients again, and would only dilute the others.
    """
    side = np.sqrt(np.bincount(layout.section).max())
    return tuple(sigma for i, sigma in enumerate(SCALES) if i < 2 or sigma <= side / 3)


def _factor(points: np.ndarray, tau: float) -> np.ndarray:
    """F (N, R) with F F' = Gaussian weights of width `tau` between points on a line; wide ones need few R."""
    values, vectors = np.linalg.eigh(np.exp(-0.5 * ((points[:, None] - points) / tau) ** 2))
    kept = values > NEGLIGIBLE * values[-1]
    return (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float32)


class Energy:
    """r'Gr of images r on one grid, by factors of the separable Gaussian: few numbers are left of wide ones.

    Both parities of staggered rows are points of one line of half columns.
    """

    def __init__(self, grid: Grid, tau: float):
        height, width = grid.shape
        self.step = 2 if grid.staggered else 1
        self.across = _factor(np.arange(self.step * width) / self.step, tau)
        self.along = _factor(np.arange(height) * grid.aspect, tau)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Energy (B,) of images (H, W, B)."""
        height, _, batch = images.shape
        lines = np.empty((height, self.across.shape[1], batch), dtype=np.float32)
        for parity in range(self.step):
            factor = np.ascontiguousarray(self.across[parity :: self.step].T)
            np.matmul(factor, images[parity :: self.step], out=lines[parity :: self.step])
        parts = self.along.T @ lines.reshape(height, -1)
        return np.square(parts, out=parts).reshape(-1, batch).sum(axis=0)


class Null(NamedTuple):
    """Cumulants of a statistic when nothing is spatial; its mean is zero. Each (B, S)."""

    variance: np.ndarray
    third: np.ndarray
    gaussian: np.ndarray  # what the third cumulant would be without skewness


class PairKernel:
    """K = H (G - D) H: Gaussian weights between different pixels of a section, on centred maps.

    H takes out the effects of a design (the mean of each section at least), and D makes the diagonal of K vanish but
    for terms of order 1 / pixels. No N x N matrix is made. Traces are per section (S,):

    ``square``
        tr K², exact: the square of a Gaussian is a Gaussian.
    ``cross``, ``both``
        Sums of K_ij² d_j and d_i K_ij² d_j over `square`, d the relative library size.
    ``cube``
        tr K³.
    ``third``
        sum of K_ij³ over all pairs.

    The last two come from rows of K: all of them, or a random sample in sections of more than `ROWS` pixels.

    Parameters
    ----------
    layout
        Where the pixels lie.
    sigma
        Width in pixel pitches.
    design
        What maps are centred by; the means of the sections unless given.
    library
        Relative library size (P,), see `moments.relative_library`.
    seed
        Of the sample of rows.
    """

    def __init__(
        self,
        layout: SectionLayout,
        sigma: float,
        *,
        design: Design | None = None,
        library: np.ndarray | None = None,
        seed: int = 0,
    ):
        self.sigma = float(sigma)
        self.design = Design.of(layout.section) if design is None else design
        self.section = layout.section
        self.n_sections = len(layout.grids)
        self.member = np.eye(self.n_sections, dtype=np.float32)[layout.section]
        self._smoother = Smoother(layout, np.sqrt(2.0) * self.sigma)
        self._energy = [Energy(grid, np.sqrt(2.0) * self.sigma) for grid in layout.grids]
        self._set_diagonal()
        self.square = self._trace_of_square()
        self.cross, self.both = self._unequal(layout, np.zeros(len(self.section)) if library is None else library)
        self.cube, self.third = self._from_rows(np.random.default_rng(seed))

    def _by_section(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.section, values, self.n_sections)

    def _blurred(self, columns: np.ndarray) -> np.ndarray:
        """G times columns (P, C)."""
        rows = np.ascontiguousarray(columns.T)
        return (self._smoother.apply(rows) * self._smoother.weight).T.astype(np.float64)

    def _set_diagonal(self) -> None:
        """D, so that the diagonal of H (G - D) H vanishes: that of H G H over 1 - h, h the leverage of the effects."""
        basis = self.design.basis.astype(np.float64)
        blurred = self._blurred(self.design.basis)
        of_centred = 1.0 - 2.0 * np.sum(blurred * basis, axis=1) + np.sum((basis @ (basis.T @ blurred)) * basis, axis=1)
        leverage = np.sum(basis**2, axis=1)
        self._diagonal = (of_centred / np.maximum(1.0 - leverage, 1e-6)).astype(np.float32)

    def _trace_of_square(self) -> np.ndarray:
        """Trace of HAHA for A = G - D and H = 1 - UU': the sum of A_ij², less 2 |AU|², plus |U'AU|²."""
        basis, diagonal = self.design.basis.astype(np.float64), self._diagonal.astype(np.float64)
        weight = self._smoother.weight.astype(np.float64)
        squares = self._smoother.variance * weight**2 - 1.0 + (1.0 - diagonal) ** 2
        product = self._blurred(self.design.basis) - diagonal[:, None] * basis
        inner = basis.T @ product
        return self._by_section(squares - 2.0 * np.sum(product**2, axis=1) + np.sum((basis @ inner) ** 2, axis=1))

    def _unequal(self, layout: SectionLayout, library: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of d_j and of d_i d_j over pairs of pixels, weighted by the square of the kernel."""
        squared = Smoother(layout, self.sigma)  # the square of a Gaussian is a Gaussian, of width σ
        known = library.astype(np.float32)
        near = (squared.apply(known[None]) * squared.weight)[0] - known
        pairs = np.maximum(self._by_section(squared.weight - 1.0), 1e-30)
        return self._by_section(near) / pairs, self._by_section(known * near) / pairs

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """K r for maps (B, P)."""
        maps = self.design.center(maps)
        return self.design.center(self._smoother.apply(maps) * self._smoother.weight - self._diagonal * maps)

    def statistic(self, images: list[np.ndarray], squares: np.ndarray) -> np.ndarray:
        """Statistic r'K r (B, S) of centred maps r, as images (H, W, B) of each section and squares (B, P)."""
        energy = [of(image) for of, image in zip(self._energy, images, strict=True)]
        return np.stack(energy, axis=1) - squares @ (self.member * self._diagonal[:, None])

    def null(self, skewness: np.ndarray, slope: np.ndarray) -> Null:
        """Cumulants of the statistic of maps of unit variance with independent noise, from moments (B, S).

        With K without a diagonal and variances v_i: 2 Σ K_ij² v_i v_j and 8 tr K³ + 4 s² Σ K_ij³ (Leonov & Shiryaev
        1959), the latter scaled as the former is by variances v = 1 + slope × relative library size.
        """
        unequal = np.maximum(1.0 + 2.0 * slope * self.cross + slope**2 * self.both, 0.1)
        gaussian = unequal**1.5 * 8.0 * self.cube
        return Null(unequal * 2.0 * self.square, gaussian + unequal**1.5 * 4.0 * skewness**2 * self.third, gaussian)

    def _from_rows(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Trace of K³ and the sum of K_ij³ by rows of K, relative to tr K² by the same rows.

        Sections do not mix, so that one map holds a unit vector for each of them.
        """
        chosen = [rng.permutation(np.flatnonzero(self.section == s))[:ROWS] for s in range(self.n_sections)]
        units = np.zeros((max(map(len, chosen)), len(self.section)), dtype=np.float32)
        for pixels in chosen:
            units[np.arange(len(pixels)), pixels] = 1.0
        rows = self.apply(np.asfortranarray(units))
        sums = [self._by_section(np.sum(x, axis=0)) for x in (rows**2, rows * self.apply(rows), rows**3)]
        known = self.square / np.maximum(sums[0], 1e-30)
        return known * sums[1], known * sums[2]


def section_images(layout: SectionLayout, maps: np.ndarray) -> list[np.ndarray]:
    """Images (H, W, B) of each section from maps (B, P), zero off the tissue."""
    images = []
    for s, grid in enumerate(layout.grids):
        here = layout.section == s
        row, col = layout.pixel[here].T
        images.append(np.zeros((*grid.shape, len(maps)), dtype=np.float32))
        images[s][row, col] = maps.T[here]
    return images
