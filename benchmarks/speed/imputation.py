"""Seconds and memory of imputation, in memory and streamed to a file.

    python -m benchmarks.speed.imputation --data DIR [--genes 2000]

Genes of mousebrain_st_1 are imputed in xenium_mousebrain_subset (36,602 cells): --genes of them in memory, then all
missing genes to a file, each in a separate process. The time includes the embedding of the reference, but not reading;
"peak MB" is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import anndata as ad

import spacex as sx

from .stages import peak_memory

TARGET, REFERENCE = "xenium_mousebrain_subset", "mousebrain_st_1"


def timed(data: Path, n_genes: int | None) -> tuple[int, int, float, float]:
    """Cells, genes, seconds and peak memory in MB; all genes (`n_genes` None) are written to a file."""
    target, reference = (ad.read_h5ad(data / f"{name}.h5ad") for name in (TARGET, REFERENCE))
    target_genes = set(target.var_names)
    genes = [name for name in reference.var_names if name not in target_genes][:n_genes]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="spacex-speed-") as folder:
        path = Path(folder) / "result.h5ad" if n_genes is None else None
        imputed = sx.tl.impute(target, reference, genes=genes, path=path, progress=False)
    return imputed.n_obs, imputed.n_vars, time.perf_counter() - start, peak_memory()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.imputation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of .h5ad files")
    parser.add_argument("--genes", type=int, default=2000)
    options = parser.parse_args()
    for name in (TARGET, REFERENCE):
        if not (options.data / f"{name}.h5ad").is_file():
            parser.error(f"{options.data / name}.h5ad does not exist")
    print(f"{'result':12}{'cells':>8}{'genes':>8}{'seconds':>9}{'peak MB':>9}")
    for name, n_genes in (("in memory", options.genes), ("in a file", None)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            cells, genes, seconds, peak = pool.submit(timed, options.data, n_genes).result()
        print(f"{name:12}{cells:8}{genes:8}{seconds:9.1f}{peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
