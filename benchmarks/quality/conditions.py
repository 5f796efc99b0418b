"""Changes of context between conditions: power for simulated changes, and false discoveries without changes.

    python -m benchmarks.quality.conditions [--data DIR] [--seeds 3] [--csv FILE]

*simulated*: sections with different spots, domains and patterns, but the same groups of genes; in half of the sections
30 genes are exchanged in pairs between modules, so that only their partners change. *real* (with --data): sections are
cut into quarters, which count as sections; strong genes of similar expression and different patterns (cosine below 0.3,
all sections together) are exchanged in the quarters of one condition. Reported are power and false discoveries at
q < 0.05 of genes and of pairs (true: a pair of the same module before or after, with one exchanged gene; false: a pair
without one), and for *no change* the shares of genes and pairs with q < 0.05 and p < 0.05. *whole sections*: replicates
of her2st assigned to two conditions, nothing exchanged. *donors*: six donors with two sections each, whose genes are
exchanged by donor and not by condition; tested with sections and with donors as the units.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import spacex as sx

from .svg.drawn import plain

TISSUES = {
    "dlpfc": ("dlpfc_151674", "dlpfc_151676"),
    "mousebrain_st": ("mousebrain_st_1", "mousebrain_st_2"),
    "her2st": ("her2st_B1", "her2st_B2", "her2st_H1", "her2st_H2"),
}
N_CHANGED = 30
NEAR_RANKS = 8
MAX_ALIKE = 0.3
MIN_COUNTS = 50
N_MODULES = {"st": 9, "visium": 14}
N_SPOTS = {"st": 900, "visium": 1200}


def simulated(technology: str, n_sections: int, effect: float, seed: int) -> ad.AnnData:
    """Sections with the same groups of genes, in ``var["group"]``."""
    rng = np.random.default_rng([seed, 11])
    n_modules = N_MODULES[technology]
    sections = [
        sx.datasets.simulate_section(
            800, N_SPOTS[technology], n_modules, technology=technology, depth=0.5, effect=effect, seed=100 * seed + s
        )
        for s in range(n_sections)
    ]
    groups = range(-1, n_modules)
    sizes = [min(int((a.var["module"] == k).sum()) for a in sections) for k in groups]
    parts = {}
    for s, section in enumerate(sections):
        total = np.asarray(section.X.sum(axis=0)).ravel()
        chosen = []
        for k, size in zip(groups, sizes, strict=True):
            members = rng.permutation(np.flatnonzero(section.var["module"] == k))[:size]
            chosen.extend(members[np.argsort(-total[members])])  # similar expression of a gene in all sections
        parts[f"s{s}"] = plain(section.X[:, chosen], section.obsm["spatial"], [f"g{i}" for i in range(len(chosen))])
    joined = ad.concat(parts, label="section", index_unique="-")
    joined.var["group"] = np.repeat(np.array(groups), sizes)
    return joined


def quarters(data: Path, names: tuple[str, ...]) -> ad.AnnData:
    """All sections cut into quarters at the medians of their coordinates, with the genes common to all."""
    parts = {}
    for name in names:
        section = ad.read_h5ad(data / f"{name}.h5ad")
        xy = section.obsm["spatial"]
        quarter = (xy > np.median(xy, axis=0)) @ [1, 2]
        for q in range(4):
            in_quarter = quarter == q
            parts[f"{name}_{q}"] = plain(section.X[in_quarter], xy[in_quarter], section.var_names)
    return joined_sections(parts)


def whole(data: Path, names: tuple[str, ...]) -> ad.AnnData:
    """Whole sections."""
    parts = {}
    for name in names:
        section = ad.read_h5ad(data / f"{name}.h5ad")
        parts[name] = plain(section.X, section.obsm["spatial"], section.var_names)
    return joined_sections(parts)


def joined_sections(parts: dict[str, ad.AnnData]) -> ad.AnnData:
    joined = ad.concat(parts, label="section", index_unique="-")
    total = np.asarray(joined.X.sum(axis=0)).ravel()
    return joined[:, total >= MIN_COUNTS].copy()


def with_groups(adata: ad.AnnData, seed: int) -> ad.AnnData:
    """Real sections with ``var["group"]``: the module by all sections together, -1 for genes that are not strong."""
    sx.tl.embed(adata, library_key="section", progress=False, seed=seed)
    strength = np.linalg.norm(np.nan_to_num(adata.varm["X_spacex"]), axis=1)
    module = adata.var["spacex_module"].astype(str).to_numpy()
    strong = (strength >= np.quantile(strength, 0.9)) & (module != "unassigned")
    adata.var["group"] = np.where(strong, module, "-1").astype(int)
    return adata


def cosine(adata: ad.AnnData, a: int, b: int) -> float:
    """Cosine of two genes in the embedding of all sections; -1 without an embedding."""
    if "X_spacex" not in adata.varm:
        return -1.0
    z = adata.varm["X_spacex"][[a, b]]
    return float(z[0] @ z[1] / np.prod(np.linalg.norm(z, axis=1)))


def exchanged(adata: ad.AnnData, rng: np.random.Generator) -> tuple[ad.AnnData, np.ndarray, np.ndarray]:
    """Counts in which pairs of genes are exchanged in condition b; partner (G,) of each gene, itself if unchanged.

    Pairs have different groups, similar expression and, if there is an embedding, different patterns.
    """
    total, group = np.asarray(adata.X.sum(axis=0)).ravel(), adata.var["group"].to_numpy()
    candidates = np.flatnonzero(group >= 0)
    ranked = candidates[np.argsort(total[candidates])]
    partner = np.arange(adata.n_vars)
    for i in rng.permutation(len(ranked) - 1):
        for a, b in ((ranked[i], other) for other in ranked[i + 1 : i + 1 + NEAR_RANKS]):
            free = partner[a] == a and partner[b] == b
            enough = (partner != np.arange(adata.n_vars)).sum() >= N_CHANGED
            if free and not enough and group[a] != group[b] and cosine(adata, a, b) < MAX_ALIKE:
                partner[a], partner[b] = b, a
    changed = partner != np.arange(adata.n_vars)
    second = (adata.obs["condition"] == "b").to_numpy()
    matrix = adata.X.tolil()
    swapped = adata.X[:, partner].tolil()
    matrix[np.flatnonzero(second)] = swapped[np.flatnonzero(second)]
    result = ad.AnnData(
        sp.csr_matrix(matrix, dtype=np.float32), obs=adata.obs.copy(), obsm={"spatial": adata.obsm["spatial"]}
    )
    result.var_names = adata.var_names
    return result, changed, partner


def labeled(adata: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Assign a random half of the sections to condition b."""
    names = np.array(sorted(adata.obs["section"].unique()))
    second = rng.permutation(names)[: len(names) // 2]
    adata.obs["condition"] = np.where(adata.obs["section"].isin(second), "b", "a")
    return adata


def with_donors(technology: str, rng: np.random.Generator, seed: int) -> ad.AnnData:
    """Six donors with two sections each; genes are exchanged in the sections of each donor, not by condition."""
    adata = simulated(technology, 12, 1.45, seed)
    group, donor = adata.var["group"], adata.obs["section"].astype(str).str[1:].astype(int) // 2
    for d in range(6):
        adata.obs["condition"] = np.where(donor == d, "b", "a")
        adata, _, _ = exchanged(adata, rng)
        adata.var["group"] = group
    adata.obs["donor"] = donor.astype(str).to_numpy()
    adata.obs["condition"] = np.where(donor < 3, "a", "b")
    return adata


def compared(adata: ad.AnnData, seed: int, donor_key: str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results of `sx.tl.compare` for genes and for pairs."""
    sx.tl.embed(adata, library_key="section", progress=False, seed=seed)
    table = sx.tl.compare(adata, condition_key="condition", library_key="section", donor_key=donor_key)
    gene = table["partner"] == ""
    return table[gene], table[~gene]


def figures(
    adata: ad.AnnData, group: np.ndarray, changed: np.ndarray, partner: np.ndarray, seed: int
) -> dict[str, float]:
    """Power and false discoveries."""
    genes, pairs = compared(adata, seed)
    index = {name: i for i, name in enumerate(adata.var_names)}
    is_changed, hit = changed[genes["gene"].map(index)], (genes["qvalue"] < 0.05).to_numpy()
    a, b = (pairs[column].map(index).to_numpy() for column in ("gene", "partner"))
    has_one_changed = changed[a] ^ changed[b]
    same_group = ((group[a] == group[b]) | (group[partner[a]] == group[partner[b]])) & (group[a] >= 0) & (group[b] >= 0)
    neither, hit_pairs = ~(changed[a] | changed[b]), (pairs["qvalue"] < 0.05).to_numpy()
    return {
        "power": hit[is_changed].mean(),
        "false": (~is_changed)[hit].mean() if hit.any() else 0.0,
        "power, pairs": hit_pairs[has_one_changed & same_group].mean(),
        "false, pairs": neither[hit_pairs].mean() if hit_pairs.any() else 0.0,
    }


def null_figures(adata: ad.AnnData, seed: int, donor_key: str | None = None) -> dict[str, float]:
    """Shares of significant genes and pairs without changes."""
    genes, pairs = compared(adata, seed, donor_key)
    return {
        "genes q<0.05": (genes["qvalue"] < 0.05).mean(), "genes p<0.05": (genes["pvalue"] < 0.05).mean(),
        "pairs q<0.05": (pairs["qvalue"] < 0.05).mean(), "pairs p<0.05": (pairs["pvalue"] < 0.05).mean(),
    }  # fmt: skip


def runs(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for technology in N_SPOTS:
            for n_sections, effect in ((6, 1.45), (8, 1.45), (6, 1.0), (6, 0.7)):
                rng = np.random.default_rng([seed, 12])
                adata = labeled(simulated(technology, n_sections, effect, seed), rng)
                name = f"simulated {technology}, {n_sections} sections, effect {effect}"
                yield from both(adata, name, seed, rng)
            adata = with_donors(technology, np.random.default_rng([seed, 14]), seed)
            for donor_key, units in ((None, "sections"), ("donor", "donors")):
                yield from rows(
                    "no change", f"donors {technology}, {units}", seed, null_figures(adata, seed, donor_key)
                )
        for tissue, names in TISSUES.items():
            if options.data is None or not all((options.data / f"{name}.h5ad").is_file() for name in names):
                continue
            rng = np.random.default_rng([seed, 13])
            adata = labeled(with_groups(quarters(options.data, names), seed), rng)
            yield from both(adata, f"{tissue}, {4 * len(names)} quarters", seed, rng)
            if len(names) == 4:
                adata = whole(options.data, names)
                adata.obs["condition"] = np.where(adata.obs["section"].astype(str).str.endswith("1"), "a", "b")
                yield from rows("no change", f"{tissue}, whole sections", seed, null_figures(adata, seed))


def both(adata: ad.AnnData, name: str, seed: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Rows of a run with changes and of one without."""
    with_changes, changed, partner = exchanged(adata, rng)
    yield from rows(
        "exchanged", name, seed, figures(with_changes, adata.var["group"].to_numpy(), changed, partner, seed)
    )
    yield from rows("no change", name, seed, null_figures(adata, seed))


def rows(task: str, name: str, seed: int, values: dict[str, float]) -> Iterator[dict[str, object]]:
    print(f"{task} {name} seed {seed} {values}", file=sys.stderr, flush=True)
    for metric, value in values.items():
        yield {"task": task, "sections": name, "seed": seed, "metric": metric, "value": float(value)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.conditions", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder of .h5ad sections")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="write all figures")
    options = parser.parse_args(argv)
    table = pd.DataFrame(list(runs(options)))
    if options.csv:
        table.to_csv(options.csv, index=False)
    for task, part in table.groupby("task", sort=False):
        groups = part.groupby(["sections", "metric"], sort=False)["value"].agg(["mean", "std"]).fillna(0.0)
        text = groups.apply(lambda g: f"{g['mean']:.3f} ± {g['std']:.3f}", axis=1)
        print(f"\n{task}\n{text.unstack('metric')[list(dict.fromkeys(part['metric']))].to_string()}")


if __name__ == "__main__":
    main()
