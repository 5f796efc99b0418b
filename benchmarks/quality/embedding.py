"""The gene embedding and its modules beside linear baselines, on simulated sections and on real ones.

    python -m benchmarks.quality.embedding [--seeds 3] [--first-seed 0] [--data DIR --resources DIR] [--sections ...]

Simulated sections have 2,000 genes, half of them without a pattern, and 24 modules. Columns, on spatial genes:
share of a gene's 10 nearest neighbours (cosine) in its module; adjusted Rand index of K-means(24) on the
directions; that of ``spacex_module``; that of ``spacex_module`` over all genes, those without a pattern being a
class of their own; share of the genes without a pattern that are left unassigned; correlation of a gene's log
mean with that of its 10 neighbours, over all genes. Entries are means over seeds ± the standard deviation.

On real sections: EGAD neighbour voting (mean leave-one-out AUROC over the Hallmark sets with 8 to 200 measured
genes) and the same correlation. CPU seconds are those of the embedding alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import spacex as sx
from spacex.raster import GeneImages
from spacex.spectral import Smoother

SECTIONS = ("dlpfc_151676", "dlpfc_151674", "mousebrain_st_1", "mob_st_rep11", "her2st_H1")
ABLATION = {
    "SpaCEX": sx.Config(),
    "SpaCEX, no boosting": sx.Config(boost_rounds=0),
    "SpaCEX, linear start": sx.Config(epochs=0, boost_rounds=0),
}


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of unit length; NaN rows become zero."""
    x = np.nan_to_num(x)
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def principal(maps: np.ndarray) -> np.ndarray:
    """Thirty-two principal components of centred maps of unit norm."""
    maps = unit(maps - maps.mean(axis=1, keepdims=True))
    return maps @ np.linalg.eigh(maps.T @ maps)[1][:, ::-1][:, :32]


def log_maps(images: GeneImages) -> np.ndarray:
    """Log-normalised maps."""
    counts = images.counts.toarray() / images.library[:, None] * np.median(images.library)
    return np.log1p(counts).T


BASELINES: dict[str, Callable[[GeneImages], np.ndarray]] = {
    "log PCA": lambda images: principal(log_maps(images)),
    "residual PCA": lambda images: principal(images.residuals()),
    "smoothed residual PCA": lambda images: principal(Smoother(images.canvas, 1.0).apply(images.residuals())),
}


def neighbours(z: np.ndarray, k: int = 10) -> np.ndarray:
    """The k nearest genes (G, k) by cosine."""
    similarity = unit(z) @ unit(z).T
    np.fill_diagonal(similarity, -np.inf)
    return np.argpartition(-similarity, k, axis=1)[:, :k]


def follows_expression(adata: ad.AnnData, z: np.ndarray) -> float:
    """Correlation of a gene's log mean with the mean of its neighbours'."""
    kept = np.isfinite(z).all(axis=1)
    level = np.log(np.asarray(adata.X.mean(axis=0)).ravel()[kept])
    return float(np.corrcoef(level, level[neighbours(z[kept])].mean(axis=1))[0, 1])


def recovery(adata: ad.AnnData, z: np.ndarray, seed: int) -> dict[str, float]:
    """How well planted modules are found."""
    truth = adata.var["module"].to_numpy()
    spatial = truth >= 0
    x, label = unit(z)[spatial], truth[spatial]
    means = KMeans(len(np.unique(label)), n_init=10, random_state=seed).fit_predict(x)
    found = {
        "purity": float((label[neighbours(x)] == label[:, None]).mean()),
        "K-means ARI": adjusted_rand_score(label, means),
        "r expression": follows_expression(adata, z),
    }
    if "spacex_module" in adata.var:
        module = adata.var["spacex_module"].astype(str).to_numpy()
        found["module ARI"] = adjusted_rand_score(label, module[spatial])
        found["all-gene ARI"] = adjusted_rand_score(truth, module)
        found["null unassigned"] = float((module[~spatial] == "unassigned").mean())
    return found


def egad(z: np.ndarray, names: list[str], gmt: Path) -> float:
    """Mean over gene sets of the leave-one-out AUROC of neighbour voting (Ballouz et al. 2017)."""
    index = {name.upper(): i for i, name in enumerate(names)}
    z = unit(z)
    similarity = (1 + z @ z.T) / 2
    np.fill_diagonal(similarity, 0)
    degree, scores = similarity.sum(axis=1), []
    for line in gmt.read_text().splitlines():
        members = np.array(sorted({index[g.upper()] for g in line.split("\t")[2:] if g.upper() in index}), dtype=int)
        if not 8 <= len(members) <= 200:
            continue
        outside = np.ones(len(z), dtype=bool)
        outside[members] = False
        votes = similarity[:, members].sum(axis=1)
        for gene in members:
            rivals = (votes[outside] - similarity[outside, gene]) / degree[outside]
            own = votes[gene] / degree[gene]
            scores.append((len(members), (rivals < own).mean() + (rivals == own).mean() / 2))
    sizes = np.array([size for size, _ in scores])
    return float(np.average([score for _, score in scores], weights=1 / sizes))


def entries(adata: ad.AnnData, n_modules: int | str, seed: int) -> list[tuple[str, ad.AnnData, np.ndarray, float]]:
    """Name, annotated copy, embedding and CPU seconds of every baseline and of SpaCEX with its ablations."""
    done = []
    sx.pp.rasterize(adata)
    for name, baseline in BASELINES.items():
        images, start = sx.pp.gene_images(adata), time.process_time()
        done.append((name, adata, baseline(images), time.process_time() - start))
    for name, config in ABLATION.items():
        copy, start = adata.copy(), time.process_time()
        sx.tl.embed(copy, n_modules=n_modules, config=config, seed=seed, progress=False)
        done.append((name, copy, copy.varm["X_spacex"], time.process_time() - start))
    return done


def table(title: str, rows: dict[str, list[dict[str, float]]]) -> None:
    """Print mean ± standard deviation of every figure."""
    columns = list(dict.fromkeys(key for runs in rows.values() for run in runs for key in run))
    print(f"\n{title}\n{'entry':24s}" + "".join(f"{column:>18s}" for column in columns))
    for name, runs in rows.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs if column in run]
            spread = f" ± {np.std(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}" if values else "-")
        print(f"{name:24s}" + "".join(f"{cell:>18s}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="seeds from 100 on were not looked at in development")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--resources", type=Path)
    parser.add_argument("--sections", nargs="*", default=list(SECTIONS))
    args = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        adata = sx.datasets.simulate_section(n_genes=2000, n_modules=24, seed=seed)
        for name, copy, z, seconds in entries(adata, 24, seed):
            rows.setdefault(name, []).append({**recovery(copy, z, seed), "CPU s": seconds})
    if rows:
        table(f"simulated sections, {args.seeds} seeds", rows)
    for section in args.sections if args.data else []:
        if not (args.data / f"{section}.h5ad").is_file() or args.resources is None:
            print(f"\n{section}: left out, no {section}.h5ad in --data or no --resources")
            continue
        adata = ad.read_h5ad(args.data / f"{section}.h5ad")
        human = sum(name.isupper() for name in adata.var_names[:200]) > 100
        gmt = args.resources / ("msigdb_hallmark_v7.0.human.gmt" if human else "msigdb_hallmark.mouse.gmt")
        rows = {}
        for name, copy, z, seconds in entries(adata, "auto", 0):
            score = egad(z, list(copy.var_names), gmt)
            rows[name] = [{"EGAD Hallmark": score, "r expression": follows_expression(copy, z), "CPU s": seconds}]
        table(section, rows)


if __name__ == "__main__":
    main()
