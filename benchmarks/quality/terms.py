"""Enriched terms of modules and neighborhoods on real sections, and for permuted modules.

    python -m benchmarks.quality.terms --data DIR --resources DIR [--sections NAME ...] [--around GENE ...] [--seeds 1]

Prints the number of pairs of module and term with q < 0.05 by collection of gene sets (Hallmark of the species, and
Reactome, human, by symbol regardless of case), the number of modules with such a term, and the mean number of such
pairs after random permutation of the modules of the embedded genes: of all genes, within five groups of genes of
similar total counts, and within twenty. Terms of permuted modules are false. With ``--list``, also the best terms of
every module and of the neighborhoods of some genes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import spacex as sx

from .genesets import species_of

PERMUTATIONS = 10
GROUPS = (1, 5, 20)
"""Numbers of groups of genes of similar total counts within which modules are permuted."""
MIN_SIZE = 5


def short(term: str) -> str:
    return term.removeprefix("HALLMARK_").split("_Homo sapiens")[0][:70]


def collections(resources: Path, names: list[str]) -> dict[str, Path]:
    """GMT files by name of the collection."""
    words = {"Hallmark": f"hallmark*{species_of(names)}", "Reactome": "Reactome*human"}
    return {name: next(p for p in sorted(resources.glob(f"*{word}.gmt"))) for name, word in words.items()}


def permuted_modules(adata: ad.AnnData, n_groups: int, rng: np.random.Generator) -> pd.Categorical:
    """Modules permuted among the embedded genes of similar total counts, in `n_groups` groups of equal size."""
    embedded = np.flatnonzero(np.isfinite(adata.varm["X_spacex"]).all(axis=1))
    total = np.asarray(adata.X[:, embedded].sum(axis=0)).ravel()
    group = np.argsort(np.argsort(total, kind="stable"), kind="stable") * n_groups // len(total)
    module = adata.var["spacex_module"].astype("category")
    permuted = module.to_numpy(copy=True)
    for value in range(n_groups):
        genes = embedded[group == value]
        permuted[genes] = rng.permutation(permuted[genes])
    return pd.Categorical(permuted, categories=module.cat.categories)


def n_permuted_terms(adata: ad.AnnData, path: Path, n_groups: int, seed: int) -> float:
    """Mean number of pairs of module and term with q < 0.05 over permutations of the modules."""
    module, rng, n_terms = adata.var["spacex_module"], np.random.default_rng(seed), []
    for _ in range(PERMUTATIONS):
        adata.var["spacex_module"] = permuted_modules(adata, n_groups, rng)
        n_terms.append(len(significant(adata, path)))
        adata.var["spacex_module"] = module
    return float(np.mean(n_terms))


def significant(adata: ad.AnnData, path: Path, **arguments: list[str]) -> pd.DataFrame:
    """Pairs of module (or gene) and term with q < 0.05."""
    table = sx.tl.enrich(adata, path, min_size=MIN_SIZE, **arguments)
    return table[table["qvalue"] < 0.05]


def print_best(table: pd.DataFrame, n: int = 2) -> None:
    """Print the best terms of each group."""
    for group, rows in table.groupby("module", sort=False):
        terms = "; ".join(
            f"{short(term)} ({q:.1g})" for term, q in zip(rows["term"][:n], rows["qvalue"][:n], strict=True)
        )
        print(f"  {group:>8}: {terms}")


def measured(adata: ad.AnnData, path: Path, seed: int) -> dict[str, float]:
    table = significant(adata, path)
    permuted = {f"permuted, {n} group{'s' * (n > 1)}": n_permuted_terms(adata, path, n, seed) for n in GROUPS}
    module = adata.var["spacex_module"].astype(str)
    return {
        "modules": module[module != "unassigned"].nunique(), "genes": int((module != "unassigned").sum()),
        "terms": len(table), "modules with terms": table["module"].nunique(), **permuted,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.terms", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of .h5ad sections")
    parser.add_argument("--resources", type=Path, required=True, help="folder of GMT files")
    parser.add_argument("--sections", nargs="+", default=["dlpfc_151676", "her2st_H1", "mousebrain_st_1"])
    parser.add_argument("--around", nargs="+", default=["MBP", "SNAP25", "COX6C"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print the best terms of the first seed")
    options = parser.parse_args(argv)
    rows = []
    for section in options.sections:
        adata = ad.read_h5ad(options.data / f"{section}.h5ad")
        paths = collections(options.resources, list(adata.var_names))
        for seed in range(options.seeds):
            sx.tl.embed(adata, progress=False, seed=seed)
            for name, path in paths.items():
                rows.append({"section": section, "seed": seed, "sets": name, **measured(adata, path, seed)})
                if options.list and seed == 0:
                    print_best(significant(adata, path))
                    around = [gene for gene in options.around if gene in adata.var_names]
                    print_best(significant(adata, path, around=around), n=4)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
