"""How the cost of the test for spatially variable genes grows with genes and spots.

    python -m benchmarks.speed.growth [--spots 900 1800 3600] [--genes 4000 8000 16000] [--data DIR]

Sections are simulated: negative-binomial counts with mean 0.3, a gradient in 10 % of the genes. "s / 10⁷ entries" is
constant if the cost is linear in genes × spots, and decreases if fixed costs dominate; up to 4,000 genes the shared
patterns are cross-fitted in five folds instead of two, which costs twice as much. With --data, also
xenium_mousebrain_subset (36,602 cells). Each section is processed in a separate process; the time is that of
`sx.tl.svg` on counts with coordinates, including rasterization, and the memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp

import spacex as sx

from .stages import peak_memory

CELLS = "xenium_mousebrain_subset"
MEAN = 0.3
CHUNK = 500


def section(n_genes: int, n_spots: int) -> ad.AnnData:
    """Simulate a square array of spots in chunks of genes, so that the simulation needs less memory than the test."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_spots)))
    xy = np.stack(np.divmod(np.arange(n_spots), side), axis=1).astype(float)
    library = rng.gamma(4.0, 0.25, n_spots)
    parts = []
    for start in range(0, n_genes, CHUNK):
        n = min(CHUNK, n_genes - start)
        fold = np.exp(np.outer(xy[:, 0] / side, (rng.random(n) < 0.1) * 1.0))
        mean = library[:, None] * fold * MEAN * rng.lognormal(-0.5, 1.0, n)
        parts.append(sp.csr_matrix(rng.poisson(mean * rng.gamma(5.0, 0.2, mean.shape)).astype(np.float32)))
    adata = ad.AnnData(sp.hstack(parts, format="csr"), obsm={"spatial": xy})
    adata.var_names = [f"gene{i}" for i in range(n_genes)]
    return adata


def timed(source: tuple[int, int] | Path) -> tuple[int, int, float, float]:
    """Genes, spots, seconds and peak memory in MB of one test, after a warm-up on a small section."""
    sx.tl.svg(section(200, 200))
    adata = ad.read_h5ad(source) if isinstance(source, Path) else section(*source)
    start = time.perf_counter()
    sx.tl.svg(adata)
    return adata.n_vars, adata.n_obs, time.perf_counter() - start, peak_memory()


def runs(options: argparse.Namespace) -> Iterator[tuple[str, tuple[int, int, float, float]]]:
    sources: list[tuple[str, tuple[int, int] | Path]] = [
        ("simulated", (genes, spots)) for spots in options.spots for genes in options.genes
    ]
    path = options.data / f"{CELLS}.h5ad" if options.data else None
    if path is not None and path.is_file():
        sources.append((CELLS, path))
    for name, source in sources:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield name, pool.submit(timed, source).result()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.growth", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--spots", type=int, nargs="+", default=[900, 1800, 3600])
    parser.add_argument("--genes", type=int, nargs="+", default=[4000, 8000, 16_000])
    parser.add_argument("--data", type=Path, help="folder of .h5ad files")
    options = parser.parse_args()
    if min(*options.spots, *options.genes) < 100:
        parser.error("--spots and --genes must be at least 100")
    print(f"{'section':26}{'genes':>8}{'spots':>8}{'seconds':>9}{'s / 10⁷ entries':>17}{'peak MB':>9}")
    for name, (genes, spots, seconds, peak) in runs(options):
        print(
            f"{name:26}{genes:8}{spots:8}{seconds:9.2f}{seconds / (genes * spots / 1e7):17.2f}{peak:9.0f}", flush=True
        )


if __name__ == "__main__":
    main()
