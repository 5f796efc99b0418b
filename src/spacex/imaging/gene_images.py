"""Gene images: counts per pixel, and the residual images made from them batch by batch.

Counts and library sizes are summed into pixels first (`pixels`); residuals are taken after. Images are never
stored whole: what is kept is the sparse matrix of counts per pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from spacex.imaging.layout import SectionLayout, section_means

BLOCK = 48
MAX_BATCH_VALUES = 2**26
"""Values of a batch of maps: fewer genes where there are many pixels."""
WORKING_BYTES = (60, 17_300)
"""For each count that is kept, and for each pixel: what an embedding and a test take at their peak, as measured."""


def log_normalize(
    counts: sp.csr_matrix | sp.csr_array, library: np.ndarray | None = None
) -> sp.csr_matrix | sp.csr_array:
    """Log1p of counts (N, G) scaled to the median library; rows without counts stay empty.

    `library` (N,) where it is not the sum of these counts.
    """
    if library is None:
        library = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    factor = np.median(library[library > 0]) / np.maximum(library, 1e-300)
    values = counts.astype(np.float32, copy=True)
    values.data = np.log1p(values.data * np.repeat(factor, np.diff(values.indptr))).astype(np.float32)
    return values


@dataclass(frozen=True)
class GeneImages:
    """Counts of every gene in every tissue pixel, and the images made from them.

    Attributes
    ----------
    counts
        (P, G) sparse by columns: summed counts, or mean intensities where ``is_count`` is false, those of a
        gene of tiny ones in a larger unit.
    library
        (P,) library size of each pixel (all genes of the section, also those that are not imaged).
    layout
        Where the pixels lie.
    is_count
        Whether `counts` are counts; else residuals are plain z-scores.
    theta
        Inverse dispersion of the negative binomial in the Pearson residual.
    """

    counts: sp.csc_array
    library: np.ndarray
    layout: SectionLayout
    is_count: bool = True
    theta: float = 100.0
    totals: np.ndarray = field(init=False, repr=False)
    share: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        section, n_sections = self.layout.section, len(self.layout.grids)
        member = sp.csr_array(
            (np.ones(len(section)), (section, np.arange(len(section)))), shape=(n_sections, len(section))
        )
        section_library = np.maximum(member @ self.library, 1e-300)
        object.__setattr__(self, "totals", (member @ self.counts).toarray())
        object.__setattr__(self, "share", self.library / section_library[section])

    @property
    def n_genes(self) -> int:
        """G."""
        return int(self.counts.shape[1])

    @property
    def n_pixels(self) -> int:
        """P, the number of tissue pixels."""
        return int(self.counts.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (H, W) of an image."""
        return self.layout.shape

    @property
    def mask(self) -> np.ndarray:
        """(H, W) tissue mask."""
        return self.layout.mask

    def __len__(self) -> int:
        return self.n_genes

    def take(self, genes: np.ndarray) -> GeneImages:
        """The images of some genes, with the library sizes of all."""
        return replace(self, counts=self.counts[:, genes])

    def residuals(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Residual maps (B, P) float32 of some genes, centred in each section.

        Counts: analytic Pearson residuals (Lause, Berens & Kobak 2021, eq. 3) with the mean
        gene total x share of the library, clipped at the square root of the section's number of pixels.
        Intensities: z-scores over the tissue.
        """
        rows = self.counts[:, genes].T.tocsr()
        totals = self.totals[:, genes].T.astype(np.float32)
        out = np.empty(rows.shape, dtype=np.float32)
        # Blocks that stay in the processor's cache: the same arithmetic, several times as fast.
        for start in range(0, len(out), BLOCK):
            block = slice(start, start + BLOCK)
            if self.is_count:
                self._pearson(rows[block], totals[block], out[block])
            else:
                self._standardize(rows[block], out[block])
        return out

    def lognorm(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Maps (B, P) float32 of log1p of counts scaled to the median library, centred in each section.

        Intensities: z-scores, as `residuals` gives.
        """
        if not self.is_count:
            return self.residuals(genes)
        section = self.layout.section
        maps: np.ndarray = log_normalize(self.counts[:, genes].tocsr(), self.library).toarray().T
        maps -= section_means(maps, section, len(self.layout.grids))[:, section]
        return maps

    def _pearson(self, counts: sp.csr_array, totals: np.ndarray, out: np.ndarray) -> None:
        """Centred, clipped Pearson residuals of counts (B, P) with section totals (B, n_sections)."""
        section = self.layout.section
        limit = np.sqrt(np.bincount(section), dtype=np.float32)[section]  # of its own section, as of one alone
        mean = totals[:, section] if totals.shape[1] > 1 else np.repeat(totals, self.n_pixels, axis=1)
        mean *= self.share.astype(np.float32)
        # Where there is no count the residual is -sqrt(mean / (1 + mean / theta)); where there is, add count / sd.
        np.divide(mean, self.theta, out=out)
        out += 1.0
        out *= mean
        spread = np.sqrt(np.maximum(out, 1e-12, out=out), out=out)
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        column = counts.indices
        filled = np.minimum((counts.data - mean[row, column]) / spread[row, column], limit[column])
        np.divide(mean, spread, out=out)
        np.maximum(np.negative(out, out=out), -limit, out=out)
        out[row, counts.indices] = filled
        out -= section_means(out, section, len(self.layout.grids))[:, section]

    def _standardize(self, values: sp.csr_array, out: np.ndarray) -> None:
        """Z-scores of intensities (B, P) in each section."""
        section, n_sections = self.layout.section, len(self.layout.grids)
        out[:] = values.toarray()
        out -= section_means(out, section, n_sections)[:, section]
        scale = np.sqrt(section_means(out**2, section, n_sections))
        out /= np.maximum(scale, 1e-12)[:, section]

    def images(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Residual images (B, H, W) float32 of some genes, zero off the tissue."""
        return self.layout.to_images(self.residuals(genes))

    @property
    def working_bytes(self) -> int:
        """Memory that work on these images needs, these included (`WORKING_BYTES`)."""
        return WORKING_BYTES[0] * self.counts.nnz + WORKING_BYTES[1] * self.n_pixels

    def batch_size(self, most: int) -> int:
        """Genes in a batch: `most`, or as many as keep its maps within `MAX_BATCH_VALUES` values."""
        return max(1, min(most, MAX_BATCH_VALUES // self.n_pixels))

    def batches(self, most: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Residual maps in batches of genes: a slice of at most so many genes, and their maps (B, P)."""
        size = self.batch_size(most)
        for start in range(0, self.n_genes, size):
            genes = slice(start, min(start + size, self.n_genes))
            yield genes, self.residuals(genes)

    def gram(self, basis: np.ndarray, batches: Iterable[slice], *, unit: bool = False) -> np.ndarray:
        """R'R B (P, R) for the residual maps R of batches of genes and a matrix B (P, R), in double precision.

        `unit` scales each map to unit norm.
        """
        out = np.zeros_like(basis)
        for genes in batches:
            maps = self.residuals(genes).astype(np.float64)
            scores = maps @ basis
            if unit:
                scores /= np.maximum(np.einsum("gp,gp->g", maps, maps), 1e-12)[:, None]
            out += maps.T @ scores
        return out

    def scores(self, components: np.ndarray, genes: slice) -> np.ndarray:
        """Scores (B, r) of residual maps, each scaled to mean square one, on components (P, r)."""
        maps = self.residuals(genes)
        size = np.sqrt(np.maximum(np.einsum("gp,gp->g", maps, maps, dtype=np.float64), 1e-12) / maps.shape[1])
        return (maps @ components).astype(np.float64) / size[:, None]

    def thin(self, fraction: float, rng: np.random.Generator) -> tuple[GeneImages, GeneImages]:
        """Split into two independent sections: one keeps `fraction` of the counts, the other the rest.

        Counts are thinned binomially (Gerard 2020): independent given the expected counts where counts
        are Poisson. Intensities are thinned as Gaussians (Neufeld et al. 2024, section 3) with a noise
        variance estimated from differences between neighbouring tissue pixels. A gene's draws are its own: they do not
        depend on which genes stand beside it.
        """
        return self._thin_counts(fraction, rng) if self.is_count else self._thin_values(fraction, rng)

    def draw_keys(self, rng: np.random.Generator) -> np.ndarray:
        """A whole number (G,) below 2^31 for every gene that follows from its counts and from one draw of `rng`.

        For random choices that stay with a gene whatever its place among the others.
        """
        key = self.counts.T @ rng.random(self.n_pixels)
        return np.floor(np.abs(key) * 1e4 % 2**31).astype(np.int64)

    def _gene_generators(self, rng: np.random.Generator) -> Iterator[np.random.Generator]:
        """A random generator for every gene, which stays with it like its key."""
        base = int(rng.integers(2**31))
        for key in self.draw_keys(rng):
            yield np.random.default_rng([base, int(key)])

    def _thin_counts(self, fraction: float, rng: np.random.Generator) -> tuple[GeneImages, GeneImages]:
        counts, kept = self.counts.data, np.empty_like(self.counts.data)
        for gene, own in enumerate(self._gene_generators(rng)):
            here = slice(self.counts.indptr[gene], self.counts.indptr[gene + 1])
            kept[here] = own.binomial(counts[here].astype(np.int64), fraction)
        halves = []
        for data, part in ((kept, fraction), (counts - kept, 1 - fraction)):
            thinned = sp.csc_array((data, self.counts.indices, self.counts.indptr), shape=self.counts.shape)
            thinned = thinned.copy()
            thinned.eliminate_zeros()
            halves.append(replace(self, counts=thinned, library=self.library * part))
        return halves[0], halves[1]

    def _thin_values(self, fraction: float, rng: np.random.Generator) -> tuple[GeneImages, GeneImages]:
        values = self.counts.toarray()
        order = np.lexsort((self.layout.pixel[:, 1], self.layout.pixel[:, 0], self.layout.section))
        noise = np.sqrt(np.mean(np.diff(values[order], axis=0) ** 2, axis=0) / 2)
        draws = np.stack([own.standard_normal(self.n_pixels) for own in self._gene_generators(rng)], axis=1)
        first = fraction * values + draws * noise * np.sqrt(fraction * (1 - fraction))
        return (
            replace(self, counts=sp.csc_array(first.astype(values.dtype))),
            replace(self, counts=sp.csc_array((values - first).astype(values.dtype))),
        )
