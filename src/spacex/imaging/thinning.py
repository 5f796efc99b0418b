"""Splitting counts or intensities into two independent parts.

Random draws follow from the values of a gene and a seed, not from the position of the gene among the others, so that
the order of genes does not change results.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from spacex.imaging.layout import SectionLayout


def gene_keys(values: sp.csc_array, rng: np.random.Generator) -> np.ndarray:
    """Random integers (G,) in [0, 2³¹) computed from the values (P, G) of each gene and one draw of `rng`."""
    key = values.T @ rng.random(values.shape[0])
    return np.floor(np.abs(key) * 1e4 % 2**31).astype(np.int64)


def _gene_generators(values: sp.csc_array, rng: np.random.Generator) -> Iterator[np.random.Generator]:
    """A random generator for each gene, seeded with its key."""
    base = int(rng.integers(2**31))
    for key in gene_keys(values, rng):
        yield np.random.default_rng([base, int(key)])


def thin_counts(counts: sp.csc_array, fraction: float, rng: np.random.Generator) -> tuple[sp.csc_array, sp.csc_array]:
    """Binomial thinning: a part of counts (P, G) with the expected `fraction` of them, and the rest.

    Given the expected counts, the parts are independent if the counts are Poisson (Gerard 2020, BMC Bioinformatics
    21:206).
    """
    first = np.empty_like(counts.data)
    for gene, generator in enumerate(_gene_generators(counts, rng)):
        entries = slice(counts.indptr[gene], counts.indptr[gene + 1])
        first[entries] = generator.binomial(counts.data[entries].astype(np.int64), fraction)
    parts = []
    for data in (first, counts.data - first):
        part = sp.csc_array((data, counts.indices, counts.indptr), shape=counts.shape).copy()
        part.eliminate_zeros()
        parts.append(part)
    return parts[0], parts[1]


def thin_intensities(
    intensities: sp.csc_array, layout: SectionLayout, fraction: float, rng: np.random.Generator
) -> tuple[sp.csc_array, sp.csc_array]:
    """Gaussian thinning: a part of intensities (P, G) with the expected `fraction` of them, and the rest.

    For x with noise variance σ² the first part is fraction · x + ε with ε ~ N(0, fraction (1 - fraction) σ²)
    (Neufeld et al. 2024, JMLR 25:57, section 3). σ² is estimated as half the mean squared difference between
    neighboring tissue pixels.
    """
    values = intensities.toarray()
    order = np.lexsort((layout.pixel[:, 1], layout.pixel[:, 0], layout.section))
    noise = np.sqrt(np.mean(np.diff(values[order], axis=0) ** 2, axis=0) / 2)
    generators = _gene_generators(intensities, rng)
    draws = np.stack([generator.standard_normal(len(values)) for generator in generators], axis=1)
    first = fraction * values + draws * noise * np.sqrt(fraction * (1 - fraction))
    return sp.csc_array(first.astype(values.dtype)), sp.csc_array((values - first).astype(values.dtype))
