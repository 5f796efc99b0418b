"""Imputed genes, compared with held-out measurements, on five pairs of a target and a reference.

    python -m benchmarks.quality.coverage [--data DIR] [--seeds 3] [--pairs NAME ...] [--methods NAME ...]
    python -m benchmarks.quality.coverage --downstream [--data DIR] [--seeds 3]

The shared genes are split into five random folds; each fold is removed from the target and predicted. Entries are means
over genes, and over seeds (which split) ± the standard deviation between them: correlation (PCC), structural similarity
(SSIM) with the measured values, log-normalized by the whole target's library (intensities unchanged); root mean squared
error (RMSE) of standardized values and Jensen-Shannon divergence (JS), for which lower is better; "reliability" is the
rank correlation of reliability with PCC. Targets are reduced to --cells random cells, the same for all methods. Genes
of a spatial reference are embedded once per pair, which is not timed; seconds are those of one fold. Each split is a
separate process, whose peak memory includes the sections.

Peers require separate environments:

    python -m venv env-tangram && env-tangram/bin/pip install -c constraints.txt -e . tangram-sc==1.0.4
    python -m venv env-scvi    && env-scvi/bin/pip install -c constraints.txt -e . scvi-tools==1.4.2
    env-tangram/bin/python -m benchmarks.quality.coverage --methods Tangram

--downstream: Leiden clusters of cells (20 principal components, the resolution found by bisection that gives as many
clusters as there are labels) on a panel alone, and on the panel with the 2,000 imputed genes with the largest
reliability.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, product
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
import scipy.sparse as sp
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import spacex as sx
from spacex.gene_names import GeneNames
from spacex.imputation import shared_genes

from ..costs import alone
from ..domains.peers import leiden
from ..trials import Figure, Trials
from .folds import predictions
from .methods import METHODS
from .peers import PEERS, values

PAIRS = {
    "drosophila": ("bdtnp_drosophila_fish", "drosophila_dissociated"),
    "hippocampus": ("xenium_mousebrain_subset", "visium_mouse_hippocampus_crop"),
    "brain, Xenium": ("xenium_mousebrain_subset", "mousebrain_st_1"),
    "brain, STARmap": ("starmap_visualcortex_BY3", "mousebrain_st_1"),
    "brain, MolCart": ("molcart_mousecortex_A1", "mousebrain_st_1"),
}
LABELS = {"brain, STARmap": "cluster_name"}
PANELS, ADDED = (100, None), 2000


def read(data: Path, name: str, cells: int) -> tuple[ad.AnnData, ad.AnnData] | None:
    """Target, with at most `cells` cells, and reference; None if a file is missing."""
    paths = [data / f"{file}.h5ad" for file in PAIRS[name]]
    for path in paths:
        if not path.exists():
            print(f"{name}: skipped: {path} does not exist (pass --data DIR)")
            return None
    target, reference = map(ad.read_h5ad, paths)
    if target.n_obs > cells:
        target = target[np.sort(np.random.default_rng(0).choice(target.n_obs, cells, replace=False))].copy()
    for adata in (target, reference):
        adata.X = sp.csr_matrix(adata.X)
    return target, reference


def split(target: ad.AnnData, reference: ad.AnnData, method: str, seed: int) -> Iterator[Figure]:
    """Scores of one split of the shared genes."""
    (scores, reliability, seconds), costs = alone(predictions, target, reference, method, seed)
    yield from ((seed, str(metric), value) for metric, value in scores.mean().items())
    is_scored = scores["PCC"].notna() & np.isfinite(reliability)
    if is_scored.any():
        yield seed, "reliability", float(spearmanr(scores["PCC"][is_scored], reliability[is_scored])[0])
    yield seed, "seconds", float(np.mean(seconds))
    yield seed, "peak MB", costs["peak MB"]


def clusters(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Leiden labels (N,) of values (N, G), k clusters or as close as possible."""
    cells = ad.AnnData(np.asarray(matrix, dtype=np.float32))
    sc.pp.pca(cells, n_comps=min(20, cells.n_vars - 1), random_state=seed)
    sc.pp.neighbors(cells, use_rep="X_pca", random_state=seed)
    return leiden(cells, k, seed)


def downstream(
    target: ad.AnnData, reference: ad.AnnData, truth: np.ndarray, size: int | None, added: int, seed: int
) -> Iterator[Figure]:
    """Agreement of clusters with labels (N,) on a panel of `size` genes, with `added` imputed genes."""
    t, _ = shared_genes(*(GeneNames.from_table(one.var) for one in (target, reference)))
    panel = target[:, np.sort(np.random.default_rng(seed).permutation(t)[:size])].copy()
    matrix = values(panel).toarray()
    if added:
        imputed = sx.tl.impute(panel, reference, seed=seed, progress=False)
        best = imputed.var["reliability"].nlargest(added).index
        matrix = np.hstack([matrix, np.asarray(imputed[:, best].X)])
    label = clusters(matrix, len(np.unique(truth)), seed)
    yield seed, "ARI", adjusted_rand_score(truth, label)
    yield seed, "NMI", normalized_mutual_info_score(truth, label)


def try_downstream(trials: Trials, name: str, target: ad.AnnData, reference: ad.AnnData, seeds: int) -> None:
    truth = target.obs[LABELS[name]].astype(str).to_numpy()
    for size, (method, added) in product(PANELS, (("panel alone", 0), ("with imputed", ADDED))):
        section = f"{name}, panel of {size or 'all'}"
        trials.add(section, method, chain.from_iterable(
            downstream(target, reference, truth, size, added, seed) for seed in range(seeds)
        ))  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.coverage", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of .h5ad sections")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--methods", nargs="+", default=[m for m in METHODS if m not in PEERS], choices=list(METHODS))
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--downstream", action="store_true", help="clusters of cells with imputed genes")
    parser.add_argument("--csv", type=Path, help="write all figures")
    options = parser.parse_args(argv)
    trials = Trials("ARI" if options.downstream else "PCC")
    for name in [n for n in options.pairs if n in LABELS or not options.downstream]:
        pair = read(options.data, name, options.cells)
        if pair is None:
            continue
        if "spatial" in pair[1].obsm and set(options.methods) - set(PEERS):
            sx.tl.embed(pair[1], n_modules=2, progress=False)
        if options.downstream:
            try_downstream(trials, name, *pair, options.seeds)
            continue
        for method in options.methods:
            trials.add(name, method, chain.from_iterable(split(*pair, method, seed) for seed in range(options.seeds)))
    trials.show(options.csv)


if __name__ == "__main__":
    main()
