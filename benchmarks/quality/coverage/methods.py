"""Predictions of genes from a panel and a reference: SpaCEX, and linear and neighbor baselines.

A method receives the panel without the genes to predict, the reference and the names of these genes, and returns values
(N, G), and a reliability (G,) or None.
"""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

import spacex as sx
from spacex.gene_names import GeneNames
from spacex.imputation import shared_genes

from .peers import PEERS, values

Prediction = tuple[np.ndarray, np.ndarray | None]
Method = Callable[[ad.AnnData, ad.AnnData, list[str], int], Prediction]

NEAREST = 5
ALPHAS = (10.0, 100.0, 1000.0, 10_000.0)
CELLS = 50


def ours(
    panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int, learned: bool | str = "auto"
) -> Prediction:
    imputed = sx.tl.impute(panel, reference, genes=genes, seed=seed, learned=learned, progress=False)
    return np.asarray(imputed.X), imputed.var["reliability"].to_numpy()


def linear_alone(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Without the learned correction."""
    return ours(panel, reference, genes, seed, learned=False)


def no_embedding(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Without the positions, hence the embedding, of the reference."""
    return ours(panel, ad.AnnData(reference.X, var=reference.var[[]]), genes, seed)


def standard(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=float)
    return (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)


def common(panel: ad.AnnData, reference: ad.AnnData, genes: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardized shared genes of the target and of the reference, and genes to predict of the reference."""
    t, r = shared_genes(*(GeneNames.from_table(one.var) for one in (panel, reference)))
    reference_values = values(reference)
    predicted = reference.var_names.get_indexer(genes)
    return (
        standard(values(panel)[:, t].toarray()),
        standard(reference_values[:, r].toarray()),
        standard(reference_values[:, predicted].toarray()),
    )


def ridge_weights(x: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    return np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)


def ridge(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Ridge regression with alpha = 1000."""
    target, x, y = common(panel, reference, genes)
    return target @ ridge_weights(x, y, 1000.0), None


def ridge_tuned(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Ridge regression with alpha selected on held-out genes of the panel."""
    target, x, y = common(panel, reference, genes)
    folds = np.array_split(np.random.default_rng(seed).permutation(x.shape[1]), 5)

    def score(alpha: float) -> float:
        correlations = []
        for fold in folds:
            rest = np.setdiff1d(np.arange(x.shape[1]), fold)
            predicted = target[:, rest] @ ridge_weights(x[:, rest], x[:, fold], alpha)
            correlations.append((standard(predicted) * target[:, fold]).mean(axis=0))
        return float(np.mean(np.concatenate(correlations)))

    return target @ ridge_weights(x, y, max(ALPHAS, key=score)), None


def nearest_genes(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Mean of the five panel genes that are most correlated with a gene in the reference."""
    target, x, y = common(panel, reference, genes)
    near = np.argsort(-(x.T @ y), axis=0)[:NEAREST]
    return np.stack([target[:, rows].mean(axis=1) for rows in near.T], axis=1), None


def correlated_genes(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """Mean of all panel genes, weighted by their correlation with a gene in the reference."""
    target, x, y = common(panel, reference, genes)
    return target @ (x.T @ y) / len(x), None


def spage(panel: ad.AnnData, reference: ad.AnnData, genes: list[str], seed: int) -> Prediction:
    """SpaGE, implemented after the paper (Abdelaal et al. 2020, Nucleic Acids Research 48, e107).

    Principal vectors of the two panels that agree (cosine above 0.3), and the 50 nearest cells of the reference by
    cosine similarity, weighted by 1 - distance / sum of distances.
    """
    target, x, _ = common(panel, reference, genes)
    n = max(2, min(30, x.shape[1] // 2))
    bases = [np.linalg.svd(m, full_matrices=False)[2][:n] for m in (x, target)]
    left, cosine, _ = np.linalg.svd(bases[0] @ bases[1].T)
    n_vectors = max(2, int((cosine > 0.3).sum()))
    vectors = (left.T @ bases[0])[:n_vectors].T
    scores = [m @ vectors for m in (x, target)]
    near = NearestNeighbors(n_neighbors=min(CELLS, len(x)), metric="cosine").fit(scores[0])
    distance, index = near.kneighbors(scores[1])
    weight = np.where(distance < 1, 1 - distance / np.maximum(distance.sum(axis=1, keepdims=True), 1e-12), 0.0)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    rows = np.repeat(np.arange(len(target)), index.shape[1])
    mixing = sp.csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(len(target), len(x)))
    return np.asarray((mixing @ values(reference)[:, reference.var_names.get_indexer(genes)]).todense()), None


METHODS: dict[str, Method] = {
    "SpaCEX": ours,
    "linear alone": linear_alone,
    "no embedding": no_embedding,
    "ridge": ridge,
    "ridge tuned": ridge_tuned,
    "nearest genes": nearest_genes,
    "correlated genes": correlated_genes,
    "SpaGE": spage,
    **PEERS,
}
