"""What a reference adds: agreement with independent counts, and prediction of gene sets and pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anndata import AnnData
from sklearn.metrics import roc_auc_score

import spacex as sx
from benchmarks.quality.genesets import egad, gene_sets
from benchmarks.quality.halves import halves
from benchmarks.quality.linear import LINEAR
from benchmarks.quality.neighbors import unit
from benchmarks.quality.pairs.tables import KINDS, human_names, known_pairs, with_negatives
from spacex import _adata
from spacex.embedding.prior import section_prior
from spacex.pairs import CosineSimilarity

LEVELS = ("all pairs", "lowest third", "highest third")
N_PAIRS = 300_000
MIN_PAIRS = 20
PCA = {name: LINEAR[name] for name in ("log PCA", "residual PCA", "smoothed PCA")}


def embed(adata: AnnData, reference: sx.Reference | None) -> AnnData:
    """The section with its embedding; modules, which a reference does not change, are fixed at two."""
    sx.tl.embed(adata, n_modules=2, reference=reference, progress=False)
    return adata


def agreement(
    first: np.ndarray, second: np.ndarray, total: np.ndarray, reliability: np.ndarray | None = None
) -> np.ndarray:
    """Correlation of the cosines of gene pairs in one embedding with those in an embedding of independent counts.

    Parameters
    ----------
    first, second
        (G, D) and (G, D') embeddings.
    total
        (G,) total counts.
    reliability
        (G,) factors of the cosines in the first embedding; one by default.

    Returns
    -------
    (3,) for `LEVELS`: random pairs of all genes, of the third with the lowest and of the third with the highest total.
    """
    rng, order = np.random.default_rng(0), np.argsort(total, kind="stable")
    x, y, n = unit(first), unit(second), len(total)
    x = x if reliability is None else x * reliability[:, None]
    values = []
    for genes in (order, order[: n // 3], order[-(n // 3) :]):
        i, j = genes[rng.integers(len(genes), size=(2, N_PAIRS))]
        cosines = [np.einsum("nd,nd->n", z[i[i != j]], z[j[i != j]]) for z in (x, y)]
        values.append(np.corrcoef(*cosines)[0, 1])
    return np.array(values)


def half_agreements(adata: AnnData, references: dict[str, sx.Reference], seed: int) -> dict[str, np.ndarray]:
    """Agreement (3,) of a half of the counts with the other half, which has no reference, by reference.

    The half is embedded once, and each reference is applied to it as `spacex.tl.embed` does.
    """
    first, second = halves(adata, seed)
    z = embed(second, None).varm["X_spacex"]
    model = sx.tl.embed(first, n_modules=2, reference=None, progress=False)
    embedded = _adata.indices_sorted_by_name(first, np.isfinite(first.varm["X_spacex"]).all(axis=1))
    images = sx.get.embedded_images(first).take(embedded)
    symbols = _adata.read_gene_names(first).symbols[embedded]
    both = np.isfinite(z[embedded]).all(axis=1)
    total = np.asarray(first.X.sum(axis=0)).ravel()[embedded[both]]
    result = {"none": agreement(model.embedding_[both], z[embedded[both]], total)}
    for name, reference in references.items():
        prior = section_prior(model, images, reference.group_vectors(symbols), model.seed)
        result[name] = agreement(prior.apply(model.embedding_)[both], z[embedded[both]], total)
    return result


def function_scores(adata: AnnData, reference: sx.Reference | None, resources: Path) -> dict[str, dict[str, float]]:
    """EGAD and AUROC of known pairs, by embedding: the vectors for function with and without reference, and PCAs."""
    names = [str(name) for name in adata.var_names]
    embeddings = {name: method(adata.copy(), 0).z for name, method in PCA.items()}
    for label, value in (("no reference", None), ("reference", reference)):
        embeddings[label] = embed(adata.copy(), value).varm["X_spacex_cofunction"]
    # Of all embeddings the genes that every PCA has, so that no embedding gains by others.
    kept = np.all([np.isfinite(z).all(axis=1) for z in embeddings.values()], axis=0)
    genes = [name for name, keep in zip(names, kept, strict=True) if keep]
    sets, scores = gene_sets(genes, resources), {}
    for label, z in embeddings.items():
        scores[label] = {metric: egad(z[kept], members) for metric, members in sets.items()}
        scores[label] |= pair_scores(z[kept], genes, resources)
    return scores


def pair_scores(z: np.ndarray, genes: list[str], resources: Path) -> dict[str, float]:
    """AUROC by cosine of known pairs against random pairs of the same genes, mean of three draws."""
    names, similarity, scores = human_names(genes, resources), CosineSimilarity(z).pairwise, {}
    for kind in (kind for kind, file in KINDS.items() if (resources / file).is_file()):
        known = known_pairs(kind, names, resources)
        if len(known) >= MIN_PAIRS:
            draws = [with_negatives(known, len(genes), seed) for seed in range(3)]
            scores[kind] = float(np.mean([roc_auc_score(truth, similarity(pairs)) for pairs, truth in draws]))
    return scores
