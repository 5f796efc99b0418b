"""Agreement of a result with the truth of a simulated section."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from spacex import _adata
from spacex.get import gene_table, spot_categories
from spacex.stats import calibration_error, match_labels

N_NEIGHBORS = 10


def recovery_report(adata: AnnData) -> list[str]:
    """Return lines of text: each score, followed by what it means."""
    planted, genes = adata.var["module"].to_numpy(), gene_table(adata)
    is_spatial = planted >= 0
    module, probability = genes["module"].to_numpy(), genes["probability"].to_numpy()
    labels = np.where(module == _adata.keys.UNASSIGNED, -1, pd.factorize(module)[0])
    pvalue, is_tested = genes["svg_pvalue"].to_numpy(), genes["svg_pvalue"].notna().to_numpy()
    purity = _purity(_adata.read_embedding(adata)[is_spatial], planted[is_spatial])
    n_planted, n_found = len(set(planted[is_spatial])), len(set(labels[labels >= 0]))
    scores = [
        (np.mean(labels[~is_spatial] >= 0), "of the genes without a pattern are in a module (ideal: 0)"),
        (np.mean(labels[is_spatial] < 0), "of the spatial genes are in none: no module has a probability above 0.5"),
        (adjusted_rand_score(planted, labels), "adjusted Rand index of the modules over all genes (ideal: 1)"),
        (adjusted_rand_score(planted[is_spatial], labels[is_spatial]),
         "adjusted Rand index of the modules over the spatial genes"),
        (calibration_error(probability, match_labels(labels, planted) == planted),
         "mean error of the module probabilities (expected calibration error; ideal: 0)"),
        (purity, f"of the {N_NEIGHBORS} genes nearest to a spatial gene are of its module"),
        (roc_auc_score(is_spatial[is_tested], -pvalue[is_tested]), "AUROC of the test for spatially variable genes"),
        (np.mean(pvalue[is_tested & ~is_spatial] < 0.05), "of the genes without a pattern have p < 0.05 in this test"),
        (_domain_agreement(adata), "adjusted Rand index of the domains"),
    ]  # fmt: skip
    return [
        f"Simulated section of {adata.n_obs} spots: {is_spatial.sum()} of {adata.n_vars} genes are spatial and belong "
        f"to {n_planted} modules; the others have no pattern. Modules found: {n_found}.",
        *(f"  {score:.3f}  {meaning}" for score, meaning in scores),
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
