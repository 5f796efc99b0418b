"""Enriched terms of modules and neighborhoods on a real section, and for permuted modules.

    python -m benchmarks.quality.terms --data DIR --resources DIR [--section NAME] [--around GENE ...] [--seeds 3]

Prints the best terms with q < 0.05 of every module and of the neighborhoods of some genes, by Hallmark and Reactome,
and the number of pairs of module and term with q < 0.05, also after random permutation of the modules of the genes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import spacex as sx

PERMUTATIONS = 20


def short(term: str) -> str:
    return term.removeprefix("HALLMARK_").split("_Homo sapiens")[0][:70]


def permuted_hits(adata: ad.AnnData, path: Path, rng: np.random.Generator) -> list[int]:
    """Numbers of pairs of module and term with q < 0.05 after permutation of the modules of embedded genes."""
    embedded = np.flatnonzero(np.isfinite(adata.varm["X_spacex"]).all(axis=1))
    module, n_hits = adata.var["spacex_module"].copy(), []
    for _ in range(PERMUTATIONS):
        permuted = module.to_numpy(copy=True)
        permuted[embedded] = rng.permutation(permuted[embedded])
        adata.var["spacex_module"] = pd.Categorical(permuted, categories=module.cat.categories)
        n_hits.append(int((sx.tl.enrich(adata, path, min_size=5)["qvalue"] < 0.05).sum()))
    adata.var["spacex_module"] = module
    return n_hits


def best(table: pd.DataFrame, n: int = 2) -> None:
    """Print the best terms of each group."""
    for group, rows in table[table["qvalue"] < 0.05].groupby("module", sort=False):
        terms = "; ".join(
            f"{short(term)} ({q:.1g})" for term, q in zip(rows["term"][:n], rows["qvalue"][:n], strict=True)
        )
        print(f"  {group:>8}: {terms}")


def counted(adata: ad.AnnData, path: Path) -> tuple[int, int]:
    """Number of terms of modules with q < 0.05, and number of modules with such a term."""
    table = sx.tl.enrich(adata, path, min_size=5)
    table = table[table["qvalue"] < 0.05]
    return len(table), table["module"].nunique()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.terms", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of .h5ad sections")
    parser.add_argument("--resources", type=Path, required=True, help="folder of GMT files")
    parser.add_argument("--section", default="dlpfc_151676")
    parser.add_argument("--around", nargs="+", default=["MBP", "SNAP25", "COX6C"])
    parser.add_argument("--seeds", type=int, default=3, help="terms are listed for the first, counted for all")
    options = parser.parse_args(argv)
    adata = ad.read_h5ad(options.data / f"{options.section}.h5ad")
    paths = {
        word: next(p for p in sorted(options.resources.glob("*.gmt")) if word in p.name and "human" in p.name)
        for word in ("hallmark", "Reactome")
    }
    for seed in range(options.seeds):
        sx.tl.embed(adata, progress=False, seed=seed)
        n_modules = adata.uns["spacex"]["embed"]["n_modules"]
        for word, path in paths.items():
            n_terms, n_named = counted(adata, path)
            hits = permuted_hits(adata, path, np.random.default_rng(seed))
            print(
                f"seed {seed}, {word}: {n_terms} terms of {n_named} of {n_modules} modules with q < 0.05; permuted "
                f"modules: {np.mean(hits):.2f} on average, at most {max(hits)} ({PERMUTATIONS} times)"
            )
            if seed == 0:
                best(sx.tl.enrich(adata, path, min_size=5))
                around = [name for name in options.around if name in adata.var_names]
                best(sx.tl.enrich(adata, path, around=around, min_size=5), n=4)


if __name__ == "__main__":
    main()
