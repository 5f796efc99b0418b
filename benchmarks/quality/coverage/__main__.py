"""Genes that a panel lacks, against what was measured of them, on five pairs of a target and a reference.

    python -m benchmarks.quality.coverage [--data DIR] [--seeds 3] [--pairs NAME ...] [--methods NAME ...]
    python -m benchmarks.quality.coverage --downstream [--data DIR] [--seeds 3]

The genes that both have are split into five at random, by gene; each fifth is taken out of the target before any method
sees it, and predicted. Entries are means over genes, and over seeds (which split) ± the standard deviation between
them: correlation (PCC), structural similarity (SSIM) with the measured values, log-normalised by the whole target's
library (intensities as they are); root mean squared error (RMSE) of standardised values and Jensen-Shannon divergence
(JS), which are better small; "reliability" is the rank correlation of reliability with the correlation reached. A
target with more cells than --cells is a random part of it, the same for all methods. Genes of a spatial reference are
embedded once for a pair, and counted in no time; seconds are those of a fifth.

Peers want environments of their own:

    python -m venv env-tangram && env-tangram/bin/pip install -c constraints.txt -e . tangram-sc==1.0.4
    python -m venv env-scvi    && env-scvi/bin/pip install -c constraints.txt -e . scvi-tools==1.4.2
    env-tangram/bin/python -m benchmarks.quality.coverage --methods Tangram

--downstream: Leiden clusters of cells (20 principal components, the resolution found by bisection that gives as many
clusters as there are labels) on a panel alone, and on the panel with the 2,000 imputed genes of largest reliability.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import spacex as sx
from spacex.coverage import shared

from ..domains.__main__ import table
from ..domains.peers import leiden
from .measure import quality
from .methods import METHODS, values
from .peers import PEERS

PAIRS = {
    "drosophila": ("bdtnp_drosophila_fish", "drosophila_dissociated"),
    "hippocampus": ("xenium_mousebrain_subset", "visium_mouse_hippocampus_crop"),
    "brain, Xenium": ("xenium_mousebrain_subset", "mousebrain_st_1"),
    "brain, STARmap": ("starmap_visualcortex_BY3", "mousebrain_st_1"),
    "brain, MolCart": ("molcart_mousecortex_A1", "mousebrain_st_1"),
}
FOLDS = 5
LABELS = {"brain, STARmap": "cluster_name"}
PANELS, ADDED = (100, None), 2000


def read(data: Path, name: str, cells: int) -> tuple[ad.AnnData, ad.AnnData] | None:
    """Target, of at most so many cells, and reference, embedded if it has coordinates."""
    paths = [data / f"{file}.h5ad" for file in PAIRS[name]]
    for path in paths:
        if not path.exists():
            print(f"{name}: left out, there is no {path} (pass --data DIR)")
            return None
    target, reference = map(ad.read_h5ad, paths)
    if target.n_obs > cells:
        target = target[np.sort(np.random.default_rng(0).choice(target.n_obs, cells, replace=False))].copy()
    for adata in (target, reference):
        adata.X = sp.csr_matrix(adata.X)
    return target, reference


def runs(target: ad.AnnData, reference: ad.AnnData, method: str, seed: int) -> Iterator[tuple[str, float]]:
    """Figures of one split of the shared genes."""
    t, r = shared(list(target.var_names), list(reference.var_names))
    truth = values(target)
    parts, told, seconds = [], [], []
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(t)), FOLDS):
        panel = target[:, np.setdiff1d(np.arange(target.n_vars), t[fold])].copy()
        start = time.perf_counter()
        made, reliability = METHODS[method](panel, reference, list(reference.var_names[r[fold]]), seed)
        seconds.append(time.perf_counter() - start)
        parts.append(pd.DataFrame(quality(truth[:, t[fold]].toarray(), made)))
        told.append(np.full(len(fold), np.nan) if reliability is None else reliability)
    found = pd.concat(parts, ignore_index=True)
    yield from found.mean().items()
    known = found["PCC"].notna() & np.isfinite(np.concatenate(told))
    if known.any():
        yield "reliability", float(spearmanr(found["PCC"][known], np.concatenate(told)[known])[0])
    yield "seconds", float(np.mean(seconds))


def clusters(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Leiden labels (N,) of values (N, G), k of them or nearly."""
    cells = ad.AnnData(np.asarray(matrix, dtype=np.float32))
    sc.pp.pca(cells, n_comps=min(20, cells.n_vars - 1), random_state=seed)
    sc.pp.neighbors(cells, use_rep="X_pca", random_state=seed)
    return leiden(cells, k, seed)


def downstream(target: ad.AnnData, reference: ad.AnnData, label: str, seeds: int) -> Iterator[tuple]:
    """Agreement of clusters with labels on a panel, and with imputed genes beside it."""
    truth = target.obs[label].astype(str).to_numpy()
    t, _ = shared(list(target.var_names), list(reference.var_names))
    for size in PANELS:
        for seed in range(seeds):
            kept = np.random.default_rng(seed).permutation(t)[:size]
            panel = target[:, np.sort(kept)].copy()
            found = sx.tl.impute(panel, reference, seed=seed, progress=False)
            best = found.var["reliability"].nlargest(ADDED).index
            alone = values(panel).toarray()
            with_imputed = np.hstack([alone, np.asarray(found[:, best].X)])
            for name, matrix in (("panel alone", alone), ("with imputed", with_imputed)):
                made = clusters(matrix, len(np.unique(truth)), seed)
                for metric, measure in (("ARI", adjusted_rand_score), ("NMI", normalized_mutual_info_score)):
                    yield f"panel of {len(kept)}", name, seed, metric, measure(truth, made)


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
    rows, failures = [], {}
    for name in [n for n in options.pairs if n in LABELS or not options.downstream]:
        pair = read(options.data, name, options.cells)
        if pair is None:
            continue
        target, reference = pair
        if "spatial" in reference.obsm:
            sx.tl.embed(reference, n_modules=2, progress=False)
        if options.downstream:
            rows += downstream(target, reference, LABELS[name], options.seeds)
            continue
        for method in options.methods:
            try:
                for seed in range(options.seeds):
                    rows += [(name, method, seed, *figure) for figure in runs(target, reference, method, seed)]
            except Exception as error:  # whatever a guest raises is a result
                failures[name, method] = f"{method} on {name}: {type(error).__name__}: {error}".splitlines()[0]
                continue
            pcc = np.mean([value for *key, metric, value in rows if key[:2] == [name, method] and metric == "PCC"])
            print(f"{name} {method}: PCC {pcc:.3f}", file=sys.stderr, flush=True)
    found = pd.DataFrame(rows, columns=["section", "method", "seed", "metric", "value"])
    if options.csv:
        found.to_csv(options.csv, index=False)
    print(table(found))
    if failures:
        print("\nfailed\n" + "\n".join(failures.values()))


if __name__ == "__main__":
    main()
