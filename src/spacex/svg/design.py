"""What a gene's map is compared with: its mean in each section, and covariates that it may follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacex.imaging.gene_images import GeneImages

RIDGE = 0.1
"""Prior precision of an effect, on the scale of log counts: a gene that a domain lacks keeps a finite effect there."""
ITERATIONS = 12
MAX_STEP = 2.0
TOL = 1e-4
RANK_TOL = 1e-6


@dataclass(frozen=True)
class Design:
    """Effects on the mean of a gene that are no patterns of interest: sections and, in each, covariates.

    Attributes
    ----------
    effects
        For each section the covariates (P_s, c) of its pixels at mean zero and standard deviation one; c may be 0.
    basis
        (P, C) orthonormal columns that span the effects, each within one section. Maps are centred by taking out what
        lies in their span.
    """

    effects: tuple[np.ndarray, ...]
    basis: np.ndarray

    @classmethod
    def of(cls, section: np.ndarray, covariates: np.ndarray | None = None) -> Design:
        """The design of pixels in sections (P,), with covariates (P, c) where there are any."""
        given = np.zeros((len(section), 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
        effects, parts = [], []
        for s in range(int(section.max()) + 1):
            here = np.flatnonzero(section == s)
            inside = given[here] - given[here].mean(axis=0)
            spread = inside.std(axis=0)
            effects.append(inside[:, spread > RANK_TOL] / spread[spread > RANK_TOL])
            left, size, _ = np.linalg.svd(np.column_stack([np.ones(len(here)), effects[-1]]), full_matrices=False)
            column = np.zeros((len(section), int((size > RANK_TOL * size[0]).sum())), dtype=np.float32)
            column[here] = left[:, : column.shape[1]]
            parts.append(column)
        return cls(tuple(effects), np.hstack(parts))

    @property
    def is_plain(self) -> bool:
        """Whether there are no covariates."""
        return all(part.shape[1] == 0 for part in self.effects)

    def center(self, maps: np.ndarray) -> np.ndarray:
        """Maps (B, P) without what lies in the span of the effects."""
        return maps - (maps @ self.basis) @ self.basis.T

    def rank(self, section: np.ndarray) -> np.ndarray:
        """Number of columns (S,) that belong to each section."""
        owner = section[np.abs(self.basis).argmax(axis=0)]
        return np.bincount(owner, minlength=len(self.effects))

    def residuals(self, images: GeneImages, genes: slice | np.ndarray) -> np.ndarray:
        """Residual maps (B, P) of genes, centred: of counts, Pearson residuals from the mean that the effects fit."""
        if self.is_plain:
            return images.residuals(genes)
        if not images.is_count:
            return self.center(images.residuals(genes))
        counts = images.counts[:, genes].T.toarray().astype(np.float32)
        mean = self.means(images, counts)
        limit = np.sqrt(np.bincount(images.layout.section), dtype=np.float32)[images.layout.section]
        spread = np.sqrt(np.maximum(mean + mean**2 / images.theta, 1e-12))
        return self.center(np.clip((counts - mean) / spread, -limit, limit))

    def means(self, images: GeneImages, counts: np.ndarray) -> np.ndarray:
        """Expected counts (B, P) of counts (B, P): library size times the exponential of the effects."""
        out = np.empty_like(counts)
        for s, effects in enumerate(self.effects):
            here = images.layout.section == s
            out[:, here] = poisson_means(counts[:, here], images.share[here], effects)
        return out


def poisson_means(counts: np.ndarray, share: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Fitted means (B, P) of log-linear Poisson regressions of many genes on the same effects (P, c).

    Newton's method (McCullagh & Nelder 1989, section 2.5) for all genes at once, with offset log `share` (P,), an
    intercept, and a normal prior on the effects.
    """
    columns = np.column_stack([np.ones(len(share)), effects])
    pairs = np.einsum("pc,pd->pcd", columns, columns).reshape(len(share), -1)
    prior = np.full(columns.shape[1], RIDGE)
    prior[0] = 1e-6
    total = counts.sum(axis=1, dtype=np.float64)
    beta = np.zeros((len(counts), columns.shape[1]))
    beta[:, 0] = np.log(np.maximum(total, 1e-3) / share.sum())
    observed = counts @ columns
    for _ in range(ITERATIONS):
        mean = share * np.exp(np.clip(beta @ columns.T, -30.0, 30.0))
        slope = observed - mean @ columns - prior * beta
        bend = (mean @ pairs).reshape(len(counts), len(prior), -1) + np.diag(prior)
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        beta += np.clip(step, -MAX_STEP, MAX_STEP)
        if np.abs(step).max(initial=0.0) < TOL:
            break
    return (share * np.exp(np.clip(beta @ columns.T, -30.0, 30.0))).astype(np.float32)
