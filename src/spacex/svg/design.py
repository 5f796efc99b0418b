"""Nuisance effects on the mean of a gene: sections and covariates.

Maps are projected onto the orthogonal complement of the effects, H = 1 - UU' with an orthonormal basis U. Expected
counts with covariates are those of a Poisson regression (`poisson_means`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex.imaging.gene_images import GeneImages
from spacex.imaging.residuals import pearson_residuals, residual_limit
from spacex.svg.params import DEFAULT_PARAMS

MAX_ITERATIONS = 12
MAX_STEP = 2.0
TOL = 1e-4
RANK_TOL = 1e-6


@dataclass(frozen=True)
class Design:
    """Nuisance effects on the mean of a gene: sections and, within each section, covariates.

    Attributes
    ----------
    effects
        For each section (P_s, c) covariates of its pixels, scaled to mean zero and standard deviation one; c may be 0.
    basis
        (P, C) orthonormal basis U of the effects; each column is nonzero in one section only.
    ridge
        Prior precision of covariate effects on log counts.
    """

    effects: tuple[np.ndarray, ...]
    basis: np.ndarray
    ridge: float = DEFAULT_PARAMS.covariate_ridge

    @classmethod
    def from_covariates(
        cls,
        section: np.ndarray,
        covariates: np.ndarray | None = None,
        *,
        ridge: float = DEFAULT_PARAMS.covariate_ridge,
    ) -> Design:
        """Design of pixels with sections (P,) and optional covariates (P, c)."""
        values = np.zeros((len(section), 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
        effects, bases = [], []
        for s in range(int(section.max()) + 1):
            pixels = np.flatnonzero(section == s)
            centered = values[pixels] - values[pixels].mean(axis=0)
            sd = centered.std(axis=0)
            effects.append(centered[:, sd > RANK_TOL] / sd[sd > RANK_TOL])
            columns = np.column_stack([np.ones(len(pixels)), effects[-1]])
            left, singular, _ = np.linalg.svd(columns, full_matrices=False)
            basis = np.zeros((len(section), int((singular > RANK_TOL * singular[0]).sum())), dtype=np.float32)
            basis[pixels] = left[:, : basis.shape[1]]
            bases.append(basis)
        return cls(tuple(effects), np.hstack(bases), ridge)

    @property
    def has_covariates(self) -> bool:
        """Whether the design contains covariates."""
        return any(part.shape[1] > 0 for part in self.effects)

    def center(self, maps: np.ndarray) -> np.ndarray:
        """Maps (B, P) projected out of the effects: H r."""
        return maps - (maps @ self.basis) @ self.basis.T

    def rank(self, section: np.ndarray) -> np.ndarray:
        """Number of basis columns (S,) of each section."""
        section_of_column = section[np.abs(self.basis).argmax(axis=0)]
        return np.bincount(section_of_column, minlength=len(self.effects))

    def residuals(self, images: GeneImages, genes: slice | np.ndarray) -> np.ndarray:
        """Centered residual maps (B, P) of genes; Pearson residuals use the mean fitted to the covariates."""
        if not self.has_covariates:
            return images.residuals(genes)
        if not images.is_count:
            return self.center(images.residuals(genes))
        rows = images.counts[:, genes].T.tocsr().astype(np.float32)
        row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        mean, limit = self.means(images, rows.toarray()), residual_limit(images.layout.section)
        return self.center(pearson_residuals(rows.data, row, rows.indices, mean, limit, images.theta))

    def means(self, images: GeneImages, counts: np.ndarray) -> np.ndarray:
        """Expected counts (B, P) of counts (B, P): library size times the exponential of the effects."""
        out = np.empty_like(counts)
        for s, effects in enumerate(self.effects):
            pixels = images.layout.section == s
            out[:, pixels] = poisson_means(counts[:, pixels], images.share[pixels], effects, ridge=self.ridge)
        return out


def poisson_means(
    counts: np.ndarray, share: np.ndarray, effects: np.ndarray, *, ridge: float = DEFAULT_PARAMS.covariate_ridge
) -> np.ndarray:
    """Fitted means (B, P) of Poisson regressions of many genes on the same covariates.

    The mean is share · exp(β₀ + effects · β) with a normal prior of precision `ridge` on β. Newton's method for all
    genes at once (McCullagh & Nelder 1989, section 2.5).

    Parameters
    ----------
    counts
        (B, P) counts.
    share
        (P,) exposure: share of each pixel in the library size.
    effects
        (P, c) covariates.
    ridge
        Prior precision of β.
    """
    columns = np.column_stack([np.ones(len(share)), effects])
    products = np.einsum("pc,pd->pcd", columns, columns).reshape(len(share), -1)
    prior = np.full(columns.shape[1], ridge)
    prior[0] = 1e-6
    total = counts.sum(axis=1, dtype=np.float64)
    beta = np.zeros((len(counts), columns.shape[1]))
    beta[:, 0] = np.log(np.maximum(total, 1e-3) / share.sum())
    observed = counts @ columns
    for _ in range(MAX_ITERATIONS):
        mean = share * np.exp(np.clip(beta @ columns.T, -30.0, 30.0))
        gradient = observed - mean @ columns - prior * beta
        hessian = (mean @ products).reshape(len(counts), len(prior), -1) + np.diag(prior)
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        beta += np.clip(step, -MAX_STEP, MAX_STEP)
        if np.abs(step).max(initial=0.0) < TOL:
            break
    return (share * np.exp(np.clip(beta @ columns.T, -30.0, 30.0))).astype(np.float32)
