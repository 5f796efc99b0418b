"""MatrixMarket counts: ``matrix.mtx`` beside ``features.tsv`` (or ``genes.tsv``) and ``barcodes.tsv``, gzipped or not.

Read with scipy and pandas rather than with ``scanpy.read_10x_mtx``: that one needs the files named exactly as Cell
Ranger names them, where public deposits put a sample's name in front and gunzip at will.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError
from spacex.io._bounds import check_market
from spacex.io._counts import assemble, unique_genes
from spacex.io._files import COPY_AGAIN, listed, reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_MATRIX = ("matrix.mtx", "matrix.mtx.gz")
_FEATURES = ("features.tsv", "features.tsv.gz", "genes.tsv", "genes.tsv.gz")
_BARCODES = ("barcodes.tsv", "barcodes.tsv.gz")


def market_matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder, whatever name of a sample stands before theirs."""
    return sorted(path for name in _MATRIX for path in folder.glob(f"*{name}"))


def read_matrix_market(path: Path) -> AnnData:
    """Read the counts (spots x genes) of a matrix and its companions; `path` is the matrix or the folder that holds it.

    Which side is genes is told by the lengths of the companions; a square matrix is genes x barcodes, as Cell Ranger
    writes it. Where features have a type, only "Gene Expression" is kept.
    """
    from scipy import sparse
    from scipy.io import mmread

    matrix = _only_matrix(path) if path.is_dir() else path
    features, barcodes = (_names(_companion(matrix, names)) for names in (_FEATURES, _BARCODES))
    sides = (len(features), len(barcodes))
    with reading(matrix, "MatrixMarket matrix"):
        check_market(matrix, sides)
        counts = sparse.csr_matrix(mmread(matrix))
    if counts.shape == sides:
        counts = counts.T
    adata = assemble(counts, barcodes[0], features[min(1, features.shape[1] - 1)])
    adata.var["gene_ids"] = features[0].to_numpy()
    if features.shape[1] > 2:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*names are not unique")
            adata = adata[:, (features[2] == "Gene Expression").to_numpy()].copy()
    return unique_genes(adata, matrix)


def _only_matrix(folder: Path) -> Path:
    matrices = market_matrices(folder)
    if len(matrices) != 1:
        found = f"several, {listed(m.name for m in matrices)}; leave one" if matrices else f"none; {COPY_AGAIN}"
        raise InputError(f"path='{folder}' must hold one matrix.mtx or matrix.mtx.gz and holds {found}")
    return matrices[0]


def _companion(matrix: Path, names: tuple[str, ...]) -> Path:
    prefix = matrix.name.removesuffix(".gz").removesuffix("matrix.mtx")
    for name in names:
        if (matrix.parent / f"{prefix}{name}").is_file():
            return matrix.parent / f"{prefix}{name}"
    raise InputError(f"path='{matrix}' lacks its companion {prefix}{names[0]} (or {listed(names[1:])}); copy it too")


def _names(path: Path) -> pd.DataFrame:
    """Return the columns of a file of names as text; it has no header."""
    import pandas as pd

    with reading(path, "table of names"):
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
