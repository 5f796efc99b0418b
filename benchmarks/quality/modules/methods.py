"""Methods that assign genes to modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from anndata import AnnData
from sklearn.cluster import KMeans

import spacex as sx

from ..neighbors import unit
from ..planted import NONE, UNASSIGNED
from . import limit

MIN_POSTERIOR = 0.5
"""Posterior probability above which the Bayes classifier assigns a gene to its best module."""


@dataclass(frozen=True)
class ModuleResult:
    """Modules of a method.

    `labels` (G,) are numbers from 0, -1 for unassigned genes; `probability` (G,) is that of the label, None if the
    method has none; `scores` are (G,) scores of spatial variation by metric.
    """

    labels: np.ndarray
    probability: np.ndarray | None = None
    scores: dict[str, np.ndarray] = field(default_factory=dict)


def assign(posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label (G,) and its probability (G,) for posteriors (G, K + 1) of the modules and, last, of none."""
    best, probability = posterior[:, :-1].argmax(axis=1), posterior[:, :-1].max(axis=1)
    is_assigned = probability > MIN_POSTERIOR
    return np.where(is_assigned, best, NONE), np.where(is_assigned, probability, posterior[:, -1])


def bayes(adata: AnnData, seed: int) -> ModuleResult:
    """The limit: a Bayes classifier with the true parameters of the simulation."""
    posterior = limit.posterior(adata)
    labels, probability = assign(posterior)
    return ModuleResult(labels, probability, {"SVG AUROC": -posterior[:, -1]})


def spacex(adata: AnnData, seed: int) -> ModuleResult:
    """`sx.tl.embed` with default settings; spatial variation by the norm of the embedding and by `sx.tl.svg`."""
    sx.tl.embed(adata, seed=seed, progress=False)
    sx.tl.svg(adata)
    scores = {"SVG AUROC": strength(adata), "SVG AUROC, tl.svg": adata.var["spacex_svg_score"].to_numpy()}
    return ModuleResult(module_numbers(adata), adata.var["spacex_module_prob"].to_numpy(), scores)


def k_means(adata: AnnData, seed: int) -> ModuleResult:
    """K-means on the directions of an embedded section, with one cluster more than planted modules."""
    k = adata.obsm["module_pattern"].shape[1] + 1
    return ModuleResult(KMeans(k, n_init=10, random_state=seed).fit_predict(unit(adata.varm["X_spacex"])))


METHODS: dict[str, Callable[[AnnData, int], ModuleResult]] = {"limit": bayes, "SpaCEX": spacex, "K-means": k_means}
"""In this order, since K-means uses the embedding of SpaCEX."""


def strength(adata: AnnData) -> np.ndarray:
    """Norm (G,) of the embedding; NaN for genes that are not embedded."""
    return np.linalg.norm(adata.varm["X_spacex"].astype(float), axis=1)


def module_numbers(adata: AnnData) -> np.ndarray:
    """Module (G,) of every gene, -1 for unassigned genes."""
    module = adata.var["spacex_module"].astype(str)
    return module.where(module != UNASSIGNED, str(NONE)).astype(int).to_numpy()
