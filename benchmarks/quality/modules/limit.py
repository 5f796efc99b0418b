"""Bayes classifier of the genes of a simulated section, which knows how the section was drawn."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from scipy.special import logsumexp
from scipy.stats import norm

from spacex.datasets._simulated import LOG_EFFECT_SD

N_EFFECTS = 9
"""Quantiles that represent the log-normal distribution of effects."""


def posterior(adata: AnnData) -> np.ndarray:
    """Posterior probability (G, K + 1) of each planted module, and of none in the last column.

    The classifier knows the pattern of every module, the distribution of effects, the dispersion of the gene, library
    sizes, the budget of spatial genes and the sizes of the modules. The effect of a gene is integrated out; its mean
    expression is estimated by its total.
    """
    n_modules = adata.obsm["module_pattern"].shape[1]
    size = np.bincount(adata.var["module"] % (n_modules + 1), minlength=n_modules + 1)  # -1 is the last
    with np.errstate(divide="ignore"):  # sections without null genes
        log_joint = log_likelihood(adata) + np.log(size / size.sum())
    return np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))


def log_likelihood(adata: AnnData) -> np.ndarray:
    """Log likelihood (G, K + 1) of a gene's counts in each module and, last, in none, up to a constant per gene."""
    counts, dispersion = sp.csc_matrix(adata.X), adata.var["dispersion"].to_numpy()
    share = expected_shares(adata)
    by_share = np.empty((adata.n_vars, len(share)))
    for gene in range(adata.n_vars):
        entries = slice(*counts.indptr[gene : gene + 2])
        by_share[gene] = negative_binomial(counts.data[entries], counts.indices[entries], share, dispersion[gene])
    in_module = by_share[:, :-1].reshape(len(by_share), -1, N_EFFECTS)
    return np.column_stack([logsumexp(in_module, axis=2) - np.log(N_EFFECTS), by_share[:, -1]])


def expected_shares(adata: AnnData) -> np.ndarray:
    """Share of a gene's counts expected at every spot, float32: (K × `N_EFFECTS` + 1, S), without a pattern last."""
    library = adata.obs["true_library"].to_numpy()
    spatial = library * adata.obs["spatial_budget"].to_numpy()
    quantile = norm.ppf((np.arange(N_EFFECTS) + 0.5) / N_EFFECTS)
    effects = adata.uns["simulation"]["effect"] * np.exp(LOG_EFFECT_SD * quantile)
    pattern = adata.obsm["module_pattern"].T.astype(float)
    mean = spatial * np.exp(effects[:, None] * pattern[:, None, :])
    mean = np.vstack([mean.reshape(-1, len(library)), library])
    return (mean / mean.sum(axis=1, keepdims=True)).astype(np.float32)


def negative_binomial(values: np.ndarray, spots: np.ndarray, share: np.ndarray, dispersion: float) -> np.ndarray:
    """Log likelihood (N,) of a gene with counts `values` at `spots`, zero elsewhere, for expected shares (N, S).

    Up to a constant: the sum of x log m - (x + 1 / φ) log(1 + φ m) over spots.
    """
    mean = np.float32(values.sum()) * share
    excess = np.log1p(np.float32(dispersion) * mean)
    at_counts = (np.log(mean[:, spots]) - excess[:, spots]) @ values
    return at_counts.astype(float) - excess.sum(axis=1, dtype=float) / dispersion
