"""Digests of all results of fixed runs, to check that a change of the code leaves the results unchanged.

    python -m benchmarks.digests --data DIR > before.txt        # on the commit before the change
    python -m benchmarks.digests --data DIR --compare before.txt  # after it

Runs: a simulated section, two real ones, two sections together, and an imputation. Each line has the run, the
slot or table, its shape, its type and the SHA-256 of its values. Results depend on the processor and on the number of
threads, so compare runs of one machine with ``OMP_NUM_THREADS=1``. With ``--compare`` the exit code is 1 if a line
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

import spacex as sx

SINGLE = ("dlpfc_151674", "her2st_B1")
TOGETHER = ("her2st_B1", "her2st_B2")
TARGET, REFERENCE = "bdtnp_drosophila_fish", "drosophila_dissociated"
N_HELD_OUT = 20
OURS = ("spacex", "X_spacex")

Line = tuple[str, str, str, str]  # name, shape, type, digest


def digest_of(values: Any) -> Line:
    """Shape, type and digest of an array, a sparse matrix, a column or a table; the name is left empty."""
    if sp.issparse(values):
        matrix = values.tocsr().copy()
        matrix.sum_duplicates()
        content = b"".join(part.tobytes() for part in (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)))
        return "", str(matrix.shape), str(matrix.dtype), hashlib.sha256(content + matrix.data.tobytes()).hexdigest()
    if isinstance(values, pd.DataFrame):
        columns = [digest_of(values[name])[3] for name in values.columns]
        content = "".join([*map(str, values.columns), *columns]).encode()
        return "", str(values.shape), "table", hashlib.sha256(content).hexdigest()
    array = np.asarray(
        values.astype(str) if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype) else values
    )
    content = "\0".join(map(str, array.ravel())).encode() if array.dtype.kind in "OU" else array.tobytes()
    return "", str(array.shape), str(array.dtype), hashlib.sha256(content).hexdigest()


def slots_of(adata: ad.AnnData) -> Iterator[Line]:
    """Digests of every slot that SpaCEX wrote."""
    for part in ("obs", "var", "obsm", "varm", "varp"):
        mapping = getattr(adata, part)
        for name in sorted(mapping.keys()):
            if name.startswith(OURS):
                yield f"{part}[{name}]", *digest_of(mapping[name])[1:]


def analysis(adata: ad.AnnData, library_key: str | None = None) -> Iterator[Line]:
    """Digests of the embedding of one or several sections, and of the results computed from it."""
    model = sx.tl.embed(adata, library_key=library_key, seed=0, progress=False)
    sx.tl.svg(adata, seed=0)
    sx.tl.interactions(adata, seed=0)
    sx.tl.domains(adata, n_domains=4, seed=0)
    gene, *others = adata.var_names[np.argsort(-np.linalg.norm(adata.varm["X_spacex"], axis=1))][:30].tolist()
    sets = {f"set{i}": adata.var_names[i::7].tolist() for i in range(7)}
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "similar_genes": lambda: sx.tl.similar_genes(adata, gene),
        "score_pairs": lambda: sx.tl.score_pairs(adata, [(gene, other) for other in others]),
        "enrich": lambda: sx.tl.enrich(adata, sets),
        "pattern": lambda: sx.tl.pattern(adata, {"spacex_domain": ["0"]}),
        "markers": lambda: sx.tl.markers(adata),
    }
    for name, table in tables.items():
        yield f"tl.{name}", *digest_of(table())[1:]
    yield from slots_of(adata)
    images = sx.pp.gene_images(adata)
    first = images.take(np.flatnonzero(np.isfinite(adata.varm["X_spacex"]).all(axis=1))[:200])
    yield "model.transform", *digest_of(model.transform(first))[1:]
    yield "model.predict_proba", *digest_of(model.predict_proba(first))[1:]


def imputation(data: Path) -> Iterator[Line]:
    """Digests of genes that were held out of the target and imputed."""
    target, reference = (ad.read_h5ad(data / f"{name}.h5ad") for name in (TARGET, REFERENCE))
    held_out = [name for name in target.var_names if name in reference.var_names][:N_HELD_OUT]
    panel = target[:, [name for name in target.var_names if name not in held_out]].copy()
    imputed = sx.tl.impute(panel, reference, genes=held_out, seed=0, progress=False)
    yield "X", *digest_of(imputed.X)[1:]
    yield "var", *digest_of(imputed.var)[1:]


def runs(data: Path) -> Iterator[tuple[str, Iterator[Line]]]:
    """Names of the fixed runs, and their digests."""
    yield (
        "simulated",
        analysis(sx.datasets.simulate_section(n_genes=400, n_spots=900, n_modules=6, n_domains=4, seed=0)),
    )
    for name in SINGLE:
        yield name, analysis(ad.read_h5ad(data / f"{name}.h5ad"))
    parts = {name: ad.read_h5ad(data / f"{name}.h5ad") for name in TOGETHER}
    yield "together", analysis(ad.concat(parts, label="section", index_unique="-"), library_key="section")
    yield "imputation", imputation(data)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.digests", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of .h5ad files")
    parser.add_argument("--compare", type=Path, help="earlier output of this command")
    options = parser.parse_args()
    before = set(options.compare.read_text().splitlines()) if options.compare else None
    lines = []
    for run, digests in runs(options.data):
        for line in digests:
            lines.append("\t".join([run, *line]))
            if before is None:
                print(lines[-1], flush=True)
    if before is None:
        return 0
    new, gone = sorted(set(lines) - before), sorted(before - set(lines))
    for mark, differing in (("-", gone), ("+", new)):
        for text in differing:
            print(mark, text)
    print(f"{len(lines) - len(new)} of {len(before)} lines agree")
    return int(bool(new or gone))


if __name__ == "__main__":
    sys.exit(main())
