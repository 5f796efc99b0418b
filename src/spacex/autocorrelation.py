"""Spatial autocorrelation of gene maps at several widths, and its null distribution.

The statistic of a map r at width σ is Q = r'(G - D) r with Gaussian weights G_ij = exp(-d_ij² / 4σ²) between
tissue pixels, so that r'Gr is, up to a factor and the edge of the tissue, the energy of the map smoothed
with width σ. The diagonal D is taken out: what is left are products of *different* pixels, whose mean is zero
whatever the variance, dispersion or kurtosis of the counts, and whose variance does not depend on the kurtosis.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import gammaincc, gammaln, logsumexp

from .grid import Grid
from .raster import Canvas, GeneImages, section_means
from .spectral import Smoother

SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
BATCH = 512
ROWS = 256
FEWEST_COUNTS = 3
FEWEST_PIXELS = 3
LARGEST_P = 0.999
NEGLIGIBLE = 1e-7
EXCESS = 0.05
"""Measured excess of the Cauchy combination of widths at p = .1 to .01 under Gaussian noise: .03 to .07."""


def choose_scales(canvas: Canvas) -> tuple[float, ...]:
    """Widths σ in pixel pitches: `SCALES` up to a third of the largest section's side, two at least.

    Wider ones see the same few gradients again, and would only dilute the others.
    """
    side = np.sqrt(np.bincount(canvas.section).max())
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


class PairKernel:
    """K = H (G - D) H: Gaussian weights between different pixels of a section, on centred maps.

    H centres within sections and D makes the diagonal of K vanish but for terms of order 1 / pixels. No N x N
    matrix is made. Traces are per section (S,):

    ``square``
        tr K², exact: the square of a Gaussian is a Gaussian.
    ``cube``
        tr K³.
    ``third``
        sum of K_ij³ over all pairs.

    The last two come from rows of K: all of them, or a random sample in sections of more than `ROWS` pixels.

    Parameters
    ----------
    canvas
        Where the pixels lie.
    sigma
        Width in pixel pitches.
    seed
        Of the sample of rows.
    """

    def __init__(self, canvas: Canvas, sigma: float, *, seed: int = 0):
        self.sigma = float(sigma)
        self.section = canvas.section
        self.n_sections = len(canvas.grids)
        self.member = np.eye(self.n_sections, dtype=np.float32)[canvas.section]
        self._smoother = Smoother(canvas, np.sqrt(2.0) * self.sigma)
        self._energy = [Energy(grid, np.sqrt(2.0) * self.sigma) for grid in canvas.grids]
        size = np.bincount(canvas.section, minlength=self.n_sections).astype(float)
        total = self._smoother.weight.astype(np.float64)
        n = size[canvas.section]
        grand = self._by_section(total)[canvas.section]
        diagonal = (1 - 2 * total / n + grand / n**2) * n / np.maximum(n - 1, 1)
        self._diagonal = diagonal.astype(np.float32)
        squares = self._smoother.variance * total**2 - 1 + (1 - diagonal) ** 2
        rows = total - diagonal
        self.square = self._by_section(squares) - 2 * self._by_section(rows**2) / size
        self.square += self._by_section(rows) ** 2 / size**2
        self.cube, self.third = self._from_rows(np.random.default_rng(seed))

    def _by_section(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.section, values, self.n_sections)

    def apply(self, maps: np.ndarray) -> np.ndarray:
        """K r for maps (B, P)."""
        maps = self._centre(maps)
        return self._centre(self._smoother.apply(maps) * self._smoother.weight - self._diagonal * maps)

    def _centre(self, maps: np.ndarray) -> np.ndarray:
        return maps - section_means(maps, self.section, self.n_sections)[:, self.section]

    def statistic(self, images: list[np.ndarray], squares: np.ndarray) -> np.ndarray:
        """Statistic r'K r (B, S) of centred maps r, as images (H, W, B) of each section and squares (B, P)."""
        energy = [of(image) for of, image in zip(self._energy, images, strict=True)]
        return np.stack(energy, axis=1) - squares @ (self.member * self._diagonal[:, None])

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


def log_gamma_sf(shape: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log of the regularised upper incomplete gamma function, also where that underflows.

    There by its continued fraction (Abramowitz & Stegun 6.5.31).
    """
    shape, x = np.broadcast_arrays(np.asarray(shape, dtype=float), np.asarray(x, dtype=float))
    upper = gammaincc(shape, x)
    out = np.log(np.maximum(upper, 1e-290))
    far = upper < 1e-290
    a, z = shape[far], x[far]
    fraction = np.zeros_like(z)
    for k in range(200, 0, -1):
        fraction = k * (a - k) / (z + 2 * k + 1 - a + fraction)
    out[far] = a * np.log(z) - z - gammaln(a) - np.log(z + 1 - a + fraction)
    return out


def log_tail(value: np.ndarray, variance: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Log P(X > value), X a shifted gamma (Pearson's type III) of mean 0, `variance` and `third` cumulant."""
    scale = np.sqrt(np.maximum(variance, 1e-30))
    skewness = np.maximum(third / scale**3, 1e-3)
    shape = 4.0 / skewness**2
    return log_gamma_sf(shape, np.maximum(shape + np.sqrt(shape) * value / scale, 0.0))


def combine(log_p: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cauchy combination (Liu & Xie 2020) of log p-values (K, G), weighted, over the first axis, in log space."""
    weight = weight / weight.sum(axis=0)
    p = np.exp(np.clip(log_p, -30.0, np.log(LARGEST_P)))
    body = np.log(0.5 - np.arctan(np.sum(weight * np.tan((0.5 - p) * np.pi), axis=0)) / np.pi)
    far = -logsumexp(-log_p, b=weight, axis=0)  # tan((1/2 - p) π) tends to 1 / (p π)
    return np.where(log_p.min(axis=0) < -20.0, far, body)


def dispersion(images: GeneImages) -> np.ndarray:
    """Excess variance φ (G,) by moments: Var = mean + φ mean², mean in proportion to the library size."""
    counts, section, share = images.counts.astype(np.float64), images.canvas.section, images.share
    n_sections = len(images.canvas.grids)
    spread = sp.csr_array((share, (section, np.arange(len(section)))), shape=(n_sections, len(section)))
    cross = (images.totals * (counts.T @ spread.T).T.toarray()).sum(axis=0)
    mean_square = (images.totals**2 * np.bincount(section, share**2, n_sections)[:, None]).sum(axis=0)
    square = np.asarray(counts.power(2).sum(axis=0)).ravel()
    excess = square - 2 * cross + mean_square - images.totals.sum(axis=0)
    return np.maximum(excess / np.maximum(mean_square, 1e-300), 0.0)


def count_skewness(images: GeneImages, genes: slice, phi: np.ndarray) -> np.ndarray:
    """Mean skewness (B, S) of negative-binomial counts over the pixels of each section."""
    section = images.canvas.section
    mean = images.totals[:, genes].T.astype(np.float32)[:, section] * images.share.astype(np.float32)
    extra = mean * phi[genes, None].astype(np.float32)
    skewness = (1 + 2 * extra) / np.sqrt(np.maximum(mean * (1 + extra), 1e-12))
    skewness[mean <= 0] = 0.0
    return section_means(skewness, section, len(images.canvas.grids)).astype(np.float64)


def can_be_tested(images: GeneImages) -> np.ndarray:
    """Genes (G,) with enough counts in enough pixels, and not the same value in all."""
    counts = images.counts
    gene = np.repeat(np.arange(images.n_genes), np.diff(counts.indptr))
    present = np.bincount(gene[counts.data != 0], minlength=images.n_genes)
    low, high = (np.asarray(x.toarray()).ravel() for x in (counts.min(axis=0), counts.max(axis=0)))
    possible = (present >= FEWEST_PIXELS) & (high > low)
    return possible & (images.totals.sum(axis=0) >= FEWEST_COUNTS) if images.is_count else possible


def log_pvalues(images: GeneImages, *, seed: int = 0) -> tuple[np.ndarray, tuple[float, ...]]:
    """Log p-values (G,) of spatial variation, NaN for genes that cannot be tested; and the widths.

    Under the null the residuals r of a gene are independent between pixels, with one variance v and one
    skewness s per section. For a K without diagonal the cumulants of r'Kr are then 0, 2 v² tr K² and
    v³ (8 tr K³ + 4 s² ΣK_ij³) (Leonov & Shiryaev 1959); v is estimated from the map, s follows from the
    negative binomial with the gene's moments (counts) or from the map (intensities). A shifted gamma with these
    cumulants gives a p-value per width; the Cauchy combination joins the widths. A width's weight is the share of
    the third cumulant that Gaussian noise would have too: fine widths tell little about sparse genes.
    """
    scales = choose_scales(images.canvas)
    log_p = np.full(images.n_genes, np.nan)
    tested = can_be_tested(images)
    if not tested.any():
        return log_p, scales
    images = images.take(np.flatnonzero(tested))
    kernels = [PairKernel(images.canvas, sigma, seed=seed) for sigma in scales]
    phi = dispersion(images) if images.is_count else np.empty(0)
    degrees = np.maximum(np.bincount(images.canvas.section) - 1.0, 1.0)
    found = np.empty(images.n_genes)
    for genes, maps in images.batches(BATCH):
        # Pixels first in memory, as the products want them.
        maps = np.asfortranarray(maps)
        squares = maps**2
        variance = _section_sums(squares, kernels[0]) / degrees
        if images.is_count:
            skewness = count_skewness(images, genes, phi)
        else:
            third = _section_sums(squares * maps, kernels[0]) / degrees
            skewness = third / np.maximum(variance, 1e-12) ** 1.5
        sections = _section_images(images.canvas, maps)
        each = [_evidence(k, k.statistic(sections, squares), variance, skewness) for k in kernels]
        found[genes] = combine(*np.stack(each, axis=1))
    # Neighbouring widths agree, which makes the combination a little bold; p = 1 stays where it is.
    log_p[tested] = np.minimum(found + np.log1p(EXCESS * -np.expm1(found)), 0.0)
    return log_p, scales


def _section_sums(values: np.ndarray, kernel: PairKernel) -> np.ndarray:
    """Sum (B, S) of values (B, P) over the pixels of each section."""
    return (values @ kernel.member).astype(np.float64)


def _section_images(canvas: Canvas, maps: np.ndarray) -> list[np.ndarray]:
    """Images (H, W, B) of each section from maps (B, P), zero off the tissue."""
    images = []
    for s, grid in enumerate(canvas.grids):
        here = canvas.section == s
        row, col = canvas.pixel[here].T
        images.append(np.zeros((*grid.shape, len(maps)), dtype=np.float32))
        images[s][row, col] = maps.T[here]
    return images


def _evidence(kernel: PairKernel, statistic: np.ndarray, variance: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Log p-values and weights (2, B) of one width: the sections' statistics and cumulants add up."""
    value = statistic.sum(axis=1, dtype=np.float64)
    spread = (2 * variance**2 * kernel.square).sum(axis=1)
    gaussian = (variance**3 * 8 * kernel.cube).sum(axis=1)
    third = gaussian + (variance**3 * 4 * skewness**2 * kernel.third).sum(axis=1)
    weight = np.clip(gaussian / np.maximum(third, 1e-30), 1e-6, 1.0)
    return np.stack([log_tail(value, spread, third), weight])
