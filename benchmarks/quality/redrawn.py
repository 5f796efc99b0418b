"""Real sections in which half of the genes are redrawn without a spatial pattern."""

from __future__ import annotations

from collections.abc import Iterable

import anndata as ad
import numpy as np
import scipy.sparse as sp


def negative_binomial(mean: np.ndarray, phi: float, rng: np.random.Generator) -> np.ndarray:
    """Draw counts with variance mean + φ mean²."""
    return rng.poisson(mean * rng.gamma(1 / phi, phi, mean.shape) if phi > 1e-6 else mean)


def moments_dispersion(counts: np.ndarray, mean: np.ndarray) -> float:
    """Dispersion φ by moments, at least 0."""
    return max(float((np.square(counts - mean) - mean).sum() / np.square(mean).sum()), 0.0)


def half_redrawn(adata: ad.AnnData, seed: int, min_counts: int) -> ad.AnnData:
    """Redraw half of the genes without spatial pattern; ``var["null"]`` marks them.

    Their counts are negative binomial, with mean proportional to library size and the dispersion of the gene. Genes
    with fewer than `min_counts` counts are dropped.
    """
    rng = np.random.default_rng([seed, 1])
    counts = sp.csc_matrix(adata.X)
    share = np.asarray(counts.sum(axis=1)).ravel() / counts.sum()
    total = np.asarray(counts.sum(axis=0)).ravel()
    genes = np.flatnonzero(total >= min_counts)
    null = rng.permutation(len(genes)) < len(genes) // 2

    def column(gene: int, is_null: bool) -> np.ndarray:
        values = counts[:, [gene]].toarray().ravel().astype(float)
        if not is_null:
            return values
        mean = total[gene] * share
        return negative_binomial(mean, moments_dispersion(values, mean), rng)

    columns = (column(gene, is_null) for gene, is_null in zip(genes, null, strict=True))
    return from_columns(columns, adata, adata.var_names[genes], null=null)


def from_columns(columns: Iterable[np.ndarray], adata: ad.AnnData, names: object, **var: np.ndarray) -> ad.AnnData:
    """A section of the given counts (S,) of each gene, at the coordinates of another section."""
    matrix = sp.hstack([sp.csc_matrix(column.astype(np.float32)[:, None]) for column in columns], format="csr")
    return plain(matrix, adata.obsm["spatial"], names, **var)


def plain(matrix: sp.csr_matrix, xy: np.ndarray, names: object, **var: np.ndarray) -> ad.AnnData:
    """A section with counts and coordinates only."""
    adata = ad.AnnData(sp.csr_matrix(matrix, dtype=np.float32), obsm={"spatial": np.asarray(xy, dtype=float)[:, :2]})
    adata.var_names = names
    for name, values in var.items():
        adata.var[name] = values
    return adata
