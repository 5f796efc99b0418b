"""Null genes: genes of a section redrawn without a spatial pattern, which take part in the fit."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spacex._infra.errors import InputError
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.thinning import gene_keys
from spacex.svg.gene_hash import HASH_FACTOR

MIN_DISPERSION = 1e-6
MIN_NULL_GENES = 100


def number_of_null_genes(n_genes: int, maximum: int) -> int:
    """Return the number of null genes: a quarter of the genes, at least `MIN_NULL_GENES`, and at most the maximum.

    With half of 2,000 genes instead of a quarter, 1 % more of the spatial genes were in no module: null genes add noise
    to the components.
    """
    return min(maximum, max(MIN_NULL_GENES, n_genes // 4))


def null_gene_sources(images: GeneImages, n_null: int, seed: int) -> np.ndarray:
    """Indices (n_null,) of the genes that are redrawn, in random order; they repeat if there are fewer genes."""
    return _sources(images, gene_keys(images.counts, np.random.default_rng(seed)), n_null)


def _sources(images: GeneImages, keys: np.ndarray, n_null: int) -> np.ndarray:
    # Keys increase with counts; multiplicative hashing (Knuth 1998, section 6.4) makes their order random.
    genes = np.argsort(keys * HASH_FACTOR % 2**32, kind="stable")
    if images.is_count:
        genes = genes[images.totals.sum(axis=0)[genes] > 0]
    if not len(genes):
        raise InputError("no gene has any counts; check the counts")
    return np.resize(genes[:n_null], n_null)


def redraw_null_genes(images: GeneImages, n_null: int, seed: int) -> sp.csc_array:
    """Draw counts (P, n_null) of genes without a pattern, with the totals and dispersions of `null_gene_sources`.

    Counts are negative binomial with a mean proportional to the library size in each section. Intensities are permuted
    over the pixels of each section. Draws follow from the values of a gene, not from the order of genes.
    """
    keys = gene_keys(images.counts, np.random.default_rng(seed))
    sources = _sources(images, keys, n_null)
    n_genes = len(np.unique(sources))
    copies = -(-n_null // n_genes)
    section = images.layout.section
    columns = []
    for i, gene in enumerate(sources):
        rng = np.random.default_rng([seed, int(keys[gene]), i // n_genes, copies])
        values = images.counts[:, [gene]].toarray().ravel()
        if images.is_count:
            redrawn = _negative_binomial(values, images.totals[section, gene] * images.share, rng)
        else:
            redrawn = values[_permutation(section, rng)]
        columns.append(sp.csc_array(redrawn[:, None].astype(images.counts.dtype)))
    return sp.csc_array(sp.hstack(columns, format="csc"))


def dispersion(counts: np.ndarray, mean: np.ndarray) -> float:
    """Estimate the excess variance φ of counts (P,) with expected counts (P,): variance = mean + φ mean².

    Method of moments: Σ ((x - μ)² - μ) / Σ μ².
    """
    return float(max(np.sum((counts - mean) ** 2 - mean) / max(np.sum(mean**2), 1e-300), 0.0))


def _negative_binomial(counts: np.ndarray, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    phi = dispersion(counts, mean)
    rate = mean * rng.gamma(1.0 / phi, phi, len(mean)) if phi > MIN_DISPERSION else mean
    drawn = rng.poisson(rate)
    if not drawn.any():  # every gene has at least one count
        drawn[rng.choice(len(mean), p=mean / mean.sum())] = 1
    return drawn


def _permutation(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random permutation of the pixels (P,) within their sections; pixels are sorted by section."""
    return np.lexsort((rng.random(len(section)), section))
