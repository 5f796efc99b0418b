"""Seconds and memory of the embedding of genes and of tissue domains, up to half a million cells.

    python -m benchmarks.speed.cells [--cells 20000 100000 500000] [--genes 300] [--domains 7] [--data DIR]

Sections are simulated (`sx.datasets.simulate_section`, technology "cells"); with --data also dlpfc_151676 and
xenium_mousebrain_subset (36,602 cells). Each section is processed in a separate process; "peak MB" is the peak of that
process, including the simulation or reading of the section. "ARI" compares the domains with the simulated or annotated
ones. "chosen s" is the time of `sx.tl.domains` if it selects the number of domains.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
from sklearn.metrics import adjusted_rand_score

import spacex as sx

from .stages import peak_memory

REAL = {"dlpfc_151676": "layer", "xenium_mousebrain_subset": ""}
"""Sections with --data, and the column of ``obs`` that their domains are compared with."""


def timed(source: Path | int, n_genes: int, n_domains: int) -> dict[str, float]:
    """Measurements on one section, after a warm-up on a small one."""
    small = sx.datasets.simulate_section(100, 300, 4, 3)
    sx.tl.embed(small, progress=False)
    sx.tl.domains(small, n_domains=3)
    if isinstance(source, Path):
        adata, column = ad.read_h5ad(source), REAL[source.stem]
    else:
        adata = sx.datasets.simulate_section(n_genes, source, n_domains=n_domains, technology="cells")
        column = "domain"
    start = time.perf_counter()
    sx.tl.embed(adata, progress=False)
    embedded = time.perf_counter()
    sx.tl.domains(adata)
    after_selection = time.perf_counter()
    sx.tl.domains(adata, n_domains=n_domains)
    end = time.perf_counter()
    ari = np.nan
    if column:
        is_labeled = adata.obs[column].notna() & adata.obs["spacex_domain"].notna() & (adata.obs[column] != "NA")
        ari = adjusted_rand_score(adata.obs.loc[is_labeled, column], adata.obs.loc[is_labeled, "spacex_domain"])
    return {
        "spots": adata.n_obs, "genes": adata.n_vars, "embed s": embedded - start,
        "chosen s": after_selection - embedded, "domains s": end - after_selection, "peak MB": peak_memory(),
        "ARI": ari,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.cells", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--cells", type=int, nargs="*", default=[20_000, 100_000, 500_000])
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--domains", type=int, default=7)
    parser.add_argument("--data", type=Path, help="folder of .h5ad files")
    options = parser.parse_args()
    sources: list[Path | int] = list(options.cells)
    if options.data:
        sources = [p for name in REAL if (p := options.data / f"{name}.h5ad").is_file()] + sources
    print(
        f"{'section':26}{'spots':>9}{'genes':>7}{'embed s':>9}{'domains s':>11}{'chosen s':>10}{'peak MB':>9}{'ARI':>7}"
    )
    for source in sources:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            r = pool.submit(timed, source, options.genes, options.domains).result()
        name = source.stem if isinstance(source, Path) else "simulated"
        print(
            f"{name:26}{r['spots']:9}{r['genes']:7}{r['embed s']:9.1f}{r['domains s']:11.1f}{r['chosen s']:10.1f}"
            f"{r['peak MB']:9.0f}{r['ARI']:7.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
