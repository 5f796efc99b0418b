"""What the job recovered of a simulated section's truth."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

N_NEIGHBORS = 10


def recovery(adata: AnnData) -> list[str]:
    """Lines with the figures; modules and neighbours are judged on the spatial genes, as the truth has no others."""
    spatial = adata.var["spatially_variable"].to_numpy(dtype=bool)
    truth = adata.var["module"].to_numpy()
    module = adata.var["spacex_module"].astype(str).to_numpy()
    pvalue = adata.var["spacex_svg_pvalue"].to_numpy()
    tested = np.isfinite(pvalue)
    figures = [
        ("modules, adjusted Rand index", adjusted_rand_score(truth[spatial], module[spatial])),
        ("10 nearest genes of the same module", _purity(adata.varm["X_spacex"][spatial], truth[spatial])),
        ("spatial genes without a module", float(np.mean(module[spatial] == "unassigned"))),
        ("other genes in a module", float(np.mean(module[~spatial] != "unassigned"))),
        ("spatially variable genes, AUROC", roc_auc_score(spatial[tested], -pvalue[tested])),
        ("other genes with p < .05", float(np.mean(pvalue[tested & ~spatial] < 0.05))),
        ("domains, adjusted Rand index", _domains(adata)),
    ]
    found = len(set(module) - {"unassigned"})
    planted = len(set(truth[spatial]))
    head = (
        f"Recovered from {adata.n_vars} genes ({spatial.sum()} spatial, in {planted} modules) on {adata.n_obs} spots:"
    )
    return [
        head,
        *(f"  {name:<38} {value:.3f}" for name, value in figures),
        f"  {'modules found':<38} {found}",
    ]


def _purity(z: np.ndarray, truth: np.ndarray) -> float:
    embedded = np.isfinite(z).all(axis=1)
    z, truth = z[embedded], truth[embedded]
    near = NearestNeighbors(n_neighbors=N_NEIGHBORS + 1, metric="cosine").fit(z).kneighbors(z, return_distance=False)
    return float(np.mean(truth[near[:, 1:]] == truth[:, None]))


def _domains(adata: AnnData) -> float:
    found = adata.obs["spacex_domain"]
    there = found.notna().to_numpy()
    return float(adjusted_rand_score(adata.obs["domain"].astype(str)[there], found.astype(str)[there]))
