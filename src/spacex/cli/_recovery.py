"""Agreement of a result with the truth of a simulated section."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from spacex import _adata
from spacex.get import gene_table, spot_categories

N_NEIGHBORS = 10


def recovery_report(adata: AnnData) -> list[str]:
    """Return lines of text with agreement scores; modules and neighbors are scored on the spatial genes only."""
    is_spatial = adata.var["spatially_variable"].to_numpy(dtype=bool)
    true_module = adata.var["module"].to_numpy()
    genes = gene_table(adata)
    module, pvalue = genes["module"].to_numpy(), genes["svg_pvalue"].to_numpy()
    is_assigned = module != _adata.keys.UNASSIGNED
    embedding = _adata.read_embedding(adata)
    is_tested = np.isfinite(pvalue)
    scores = [
        ("modules, adjusted Rand index", adjusted_rand_score(true_module[is_spatial], module[is_spatial])),
        ("10 nearest genes of the same module", _purity(embedding[is_spatial], true_module[is_spatial])),
        ("spatial genes without a module", float(np.mean(~is_assigned[is_spatial]))),
        ("other genes in a module", float(np.mean(is_assigned[~is_spatial]))),
        ("spatially variable genes, AUROC", roc_auc_score(is_spatial[is_tested], -pvalue[is_tested])),
        ("other genes with p < 0.05", float(np.mean(pvalue[is_tested & ~is_spatial] < 0.05))),
        ("domains, adjusted Rand index", _domain_agreement(adata)),
    ]
    n_modules = len(set(true_module[is_spatial]))
    return [
        f"Recovered from {adata.n_vars} genes ({is_spatial.sum()} spatial, in {n_modules} modules) on "
        f"{adata.n_obs} spots:",
        *(f"  {name:<38} {value:.3f}" for name, value in scores),
        f"  {'modules found':<38} {len(set(module[is_assigned]))}",
    ]


def _purity(embedding: np.ndarray, true_module: np.ndarray) -> float:
    """Return the mean share of the nearest genes that belong to the same module."""
    is_embedded = np.isfinite(embedding).all(axis=1)
    embedding, true_module = embedding[is_embedded], true_module[is_embedded]
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS + 1, metric="cosine").fit(embedding)
    nearest = search.kneighbors(embedding, return_distance=False)
    return float(np.mean(true_module[nearest[:, 1:]] == true_module[:, None]))


def _domain_agreement(adata: AnnData) -> float:
    domain = spot_categories(adata)
    has_domain = domain.codes >= 0
    return float(adjusted_rand_score(adata.obs["domain"].astype(str)[has_domain], domain.codes[has_domain]))
