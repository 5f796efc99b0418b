"""Gene images: counts per pixel, and residual images computed from them in batches of genes.

Only the sparse matrix of counts per pixel is stored; dense images exist for one batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from spacex.imaging.layout import SectionLayout, center_sections
from spacex.imaging.residuals import log_normalize, pearson_residuals, residual_limit, z_scores
from spacex.imaging.thinning import gene_keys, thin_counts, thin_intensities

BATCH_GENES = 512
"""Default number of genes in a batch."""
BLOCK_GENES = 48
"""Genes whose residuals are computed at once. Such blocks fit into the processor's cache."""
MAX_BATCH_VALUES = 2**26
"""Maximum number of values in a batch of maps; sections with many pixels have batches of fewer genes."""
WORKING_BYTES = (60, 17_300)
"""Measured peak memory of an embedding and an SVG test: bytes per nonzero count, and bytes per pixel."""


@dataclass(frozen=True)
class GeneImages:
    """Counts of all genes in all tissue pixels, and the images computed from them.

    Attributes
    ----------
    counts
        (P, G) sparse counts per pixel, stored by columns; mean intensities if ``is_count`` is false (rescaled for
        genes with tiny intensities).
    library
        (P,) library size of each pixel, over all genes of the section, also those that are not imaged.
    layout
        Positions of the pixels.
    is_count
        Whether `counts` are counts. If not, residuals are z-scores.
    theta
        Inverse dispersion of the negative binomial in the Pearson residual.
    totals
        (n_sections, G) sum of the counts of each gene in each section.
    share
        (P,) share of each pixel in the library size of its section.
    """

    counts: sp.csc_array
    library: np.ndarray
    layout: SectionLayout
    is_count: bool = True
    theta: float = 100.0
    totals: np.ndarray = field(init=False, repr=False)
    share: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        section = self.layout.section
        member = sp.csr_array(
            (np.ones(len(section)), (section, np.arange(len(section)))), shape=(self.n_sections, len(section))
        )
        section_library = np.maximum(member @ self.library, 1e-300)
        object.__setattr__(self, "totals", (member @ self.counts).toarray())
        object.__setattr__(self, "share", self.library / section_library[section])

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return int(self.counts.shape[1])

    @property
    def n_pixels(self) -> int:
        """Number of tissue pixels P."""
        return int(self.counts.shape[0])

    @property
    def n_sections(self) -> int:
        """Number of sections."""
        return len(self.layout.grids)

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

    def has_enough_counts(self, min_counts: int) -> np.ndarray:
        """Whether each gene (G,) has counts in more than one pixel and, if they are counts, at least `min_counts`."""
        total = np.asarray(self.counts.sum(axis=0)).ravel()
        mask: np.ndarray = (total >= (min_counts if self.is_count else 0.0)) & (np.diff(self.counts.indptr) > 1)
        return mask

    def take(self, genes: np.ndarray) -> GeneImages:
        """Images of selected genes, with the library sizes of all genes."""
        return replace(self, counts=self.counts[:, genes])

    def append(self, counts: sp.csc_array) -> GeneImages:
        """Images of these genes and of further ones with counts (P, B); the library sizes stay the same."""
        return replace(self, counts=sp.csc_array(sp.hstack([self.counts, counts], format="csc")))

    def scale_library(self, factor: np.ndarray) -> GeneImages:
        """The images with library sizes multiplied by a factor (P,)."""
        return replace(self, library=self.library * factor)

    def expected_counts(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Expected counts (B, P) float32: gene total in the section x share of the pixel in the library size."""
        totals = self.totals[:, genes].T.astype(np.float32)
        mean = totals[:, self.layout.section] if self.n_sections > 1 else np.repeat(totals, self.n_pixels, axis=1)
        mean *= self.share.astype(np.float32)
        return mean

    def residuals(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Residual maps (B, P) float32 of genes, centered in each section.

        Counts: Pearson residuals (`pearson_residuals`) with the mean of `expected_counts`. Intensities: z-scores.
        """
        rows = self.counts[:, genes].T.tocsr()
        index = np.arange(self.n_genes)[genes]
        section, limit = self.layout.section, residual_limit(self.layout.section)
        out = np.empty(rows.shape, dtype=np.float32)
        for start in range(0, len(out), BLOCK_GENES):
            block = slice(start, start + BLOCK_GENES)
            part = rows[block]
            if self.is_count:
                row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
                mean = self.expected_counts(index[block])
                out[block] = pearson_residuals(part.data, row, part.indices, mean, limit, self.theta)
                center_sections(out[block], section, self.n_sections)
            else:
                out[block] = part.toarray()
                z_scores(out[block], section, self.n_sections)
        return out

    def lognorm(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Log-normalized maps (B, P) float32 of genes, centered in each section. Intensities: z-scores."""
        if not self.is_count:
            return self.residuals(genes)
        maps: np.ndarray = log_normalize(self.counts[:, genes].tocsr(), self.library).toarray().T
        return center_sections(maps, self.layout.section, self.n_sections)

    def images(self, genes: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Residual images (B, H, W) float32 of genes, zero off the tissue."""
        return self.layout.to_images(self.residuals(genes))

    @property
    def working_bytes(self) -> int:
        """Estimated peak memory in bytes of an embedding or test of these images (`WORKING_BYTES`)."""
        return WORKING_BYTES[0] * self.counts.nnz + WORKING_BYTES[1] * self.n_pixels

    def batch_size(self, max_genes: int) -> int:
        """Number of genes in a batch: at most `max_genes`, and at most `MAX_BATCH_VALUES` values."""
        return max(1, min(max_genes, MAX_BATCH_VALUES // self.n_pixels))

    def batches(self, max_genes: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Iterate over batches of at most `max_genes` genes: slice of genes, and their residual maps (B, P)."""
        size = self.batch_size(max_genes)
        for start in range(0, self.n_genes, size):
            genes = slice(start, min(start + size, self.n_genes))
            yield genes, self.residuals(genes)

    def gram(self, basis: np.ndarray, batches: Iterable[slice], *, unit: bool = False) -> np.ndarray:
        """Product R'R B (P, r) in double precision, for the residual maps R of batches of genes and a matrix B (P, r).

        With `unit`, each map is scaled to unit norm.
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
        """Scores (B, r) of residual maps, scaled to mean square one, on components (P, r)."""
        maps = self.residuals(genes)
        rms = np.sqrt(np.maximum(np.einsum("gp,gp->g", maps, maps, dtype=np.float64), 1e-12) / maps.shape[1])
        return (maps @ components).astype(np.float64) / rms[:, None]

    def thin(self, fraction: float, rng: np.random.Generator) -> tuple[GeneImages, GeneImages]:
        """Split into two independent parts with `fraction` and 1 - `fraction` of the counts (`thin_counts`).

        Intensities: `thin_intensities`.
        """
        if not self.is_count:
            first, second = thin_intensities(self.counts, self.layout, fraction, rng)
            return replace(self, counts=first), replace(self, counts=second)
        first, second = thin_counts(self.counts, fraction, rng)
        return (
            replace(self, counts=first, library=self.library * fraction),
            replace(self, counts=second, library=self.library * (1 - fraction)),
        )

    def draw_keys(self, rng: np.random.Generator) -> np.ndarray:
        """Random integers (G,) that do not depend on the order of genes (`gene_keys`)."""
        return gene_keys(self.counts, rng)
