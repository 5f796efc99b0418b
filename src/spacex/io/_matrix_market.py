"""MatrixMarket counts of any name, with a file of the names of genes and one of those of spots beside them.

Read with scipy and pandas rather than with ``scanpy.read_10x_mtx``: that one needs the files named exactly as Cell
Ranger names them, where public deposits put a sample's name in front and gunzip at will.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._check import InputError
from spacex.io._bounds import check_market
from spacex.io._counts import assemble, unique_genes
from spacex.io._delimited import is_text_table, open_text, read_header, read_text_table
from spacex.io._files import COPY_AGAIN, listed, reading
from spacex.io._identifiers import is_identifier_name
from spacex.io._positions import is_positions
from spacex.io._spellings import common_start
from spacex.io._ten_x import genes_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_MATRIX = re.compile(r"\.mtx(\.gz)?$", re.IGNORECASE)
_PACKED = r"(\.(gz|bz2|xz))?$"
_ROLES = {
    "features.tsv": (
        re.compile(rf"(features|genes)\.tsv{_PACKED}", re.IGNORECASE),
        re.compile(r"features?|genes?|symbols?|probes?|var(_?names)?(?![a-z])", re.IGNORECASE),
    ),
    "barcodes.tsv": (
        re.compile(rf"barcodes\.tsv{_PACKED}", re.IGNORECASE),
        re.compile(r"barcodes?|cells?|spots?|beads?|bins?|obs(_?names)?(?![a-z])", re.IGNORECASE),
    ),
}
"""The two companions: their usual names, and words in the names of others."""

_SYMBOLS = ("gene_name", "gene_names", "gene_symbol", "symbol", "name", "gene", "features", "feature")


def market_matrices(folder: Path) -> list[Path]:
    """Return the MatrixMarket files of a folder."""
    return sorted(path for path in folder.iterdir() if _MATRIX.search(path.name) and path.is_file())


def is_companion(path: Path) -> bool:
    """Whether a file is named as a companion of a MatrixMarket file usually is."""
    return any(usual.search(path.name) for usual, _ in _ROLES.values())


def read_matrix_market(path: Path) -> AnnData:
    """Read the counts (spots x genes) of a matrix and its companions; `path` is the matrix or the folder that holds it.

    Which side is genes is told by the lengths of the companions; a square matrix is genes x barcodes, as Cell Ranger
    writes it. Where features have a type, only genes are kept.
    """
    from scipy import sparse
    from scipy.io import mminfo, mmread

    matrix = _only_matrix(path) if path.is_dir() else path
    with reading(matrix, "MatrixMarket matrix"):
        shape = mminfo(matrix)[:2]
    files = companions(matrix)
    features, barcodes = (_names(files[role], shape) for role in _ROLES)
    sides = (len(features), len(barcodes))
    with reading(matrix, "MatrixMarket matrix"):
        check_market(matrix, sides)
        counts = sparse.csr_matrix(mmread(matrix))
    if counts.shape == sides:
        counts = counts.T
    ids, names, types = _feature_columns(features)
    adata = assemble(counts, _barcode_column(barcodes), names)
    adata.var["gene_ids"] = ids.to_numpy()
    return unique_genes(genes_of(adata, types, matrix), matrix)


def _only_matrix(folder: Path) -> Path:
    matrices = market_matrices(folder)
    if len(matrices) != 1:
        held = f"several, {listed(m.name for m in matrices)}; leave one" if matrices else f"none; {COPY_AGAIN}"
        raise InputError(f"path='{folder}' must hold one matrix.mtx or matrix.mtx.gz and holds {held}")
    return matrices[0]


def companions(matrix: Path) -> dict[str, Path]:
    """The files with the names of the genes and of the spots, by role.

    Of several, the one whose name has most of its beginning in common with that of the matrix: the name of the sample.
    """
    tables = [path for path in sorted(matrix.parent.iterdir()) if path.is_file() and is_text_table(path)]
    files = {}
    for role, (usual, words) in _ROLES.items():
        named = [path for path in tables if usual.search(path.name)]
        files[role] = _nearest(named, matrix) or _nearest(
            [path for path in tables if words.search(path.name) and not is_companion(path) and not is_positions(path)],
            matrix,
        )
        if files[role] is None:
            prefix = re.sub(r"(matrix)?\.mtx(\.gz)?$", "", matrix.name, flags=re.IGNORECASE)
            raise InputError(f"path='{matrix}' lacks its companion {prefix}{role}, the names of one side; copy it too")
    return {role: path for role, path in files.items() if path is not None}


def _nearest(paths: list[Path], matrix: Path) -> Path | None:
    """The only path whose name has most of its beginning in common with that of the matrix."""
    n_shared = [len(common_start([path.name, matrix.name])) for path in paths]
    nearest = [path for path, n in zip(paths, n_shared, strict=True) if n == max(n_shared)]
    return nearest[0] if len(nearest) == 1 else None


def _names(path: Path, shape: tuple[int, int]) -> pd.DataFrame:
    """Return the columns of a file of names as text, without a header, whose line is one too many for the matrix."""
    import pandas as pd

    with reading(path, "table of names"):
        if ".tsv" in path.name.casefold():  # as Cell Ranger writes it, whatever else names contain
            with open_text(path) as file:
                table = pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
        else:
            table = _table_of_names(path)
    if len(table) not in shape and len(table) - 1 in shape and all(map(_is_column_name, table.iloc[0])):
        table = table.iloc[1:].set_axis(table.iloc[0].tolist(), axis=1).reset_index(drop=True)
    return table


def _is_column_name(field: str) -> bool:
    """Whether a field of a first line is the name of a column, such as x, which R gives to a single one."""
    return is_identifier_name(field) or field.casefold() in (*_SYMBOLS, "x", "v1", "v2", "feature_type", "biotype")


def _table_of_names(path: Path) -> pd.DataFrame:
    header = read_header(path)
    if header.delimiter not in ("\t", ",", ";"):  # names may contain spaces
        header = header._replace(delimiter="\t", names=[" ".join(header.names)])
    return read_text_table(path, header.without_header([str(i) for i in range(len(header.names))]), "table of names")


def _without_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out a first column that numbers the rows."""
    numbers = [[str(i + start) for i in range(len(table))] for start in (0, 1)]
    return table.iloc[:, 1:] if table.shape[1] > 1 and table.iloc[:, 0].tolist() in numbers else table


def _feature_columns(table: pd.DataFrame) -> tuple[pd.Series, pd.Series, Any]:
    """Identifiers, names and types of features: in the order of Cell Ranger, or by the names of the columns."""
    table = _without_row_numbers(table)
    named = {str(name).casefold(): name for name in table.columns}
    symbol = next((named[name] for name in _SYMBOLS if name in named), table.columns[min(1, table.shape[1] - 1)])
    types = table.iloc[:, 2].tolist() if table.shape[1] > 2 else None
    return table.iloc[:, 0], table[symbol], types


def _barcode_column(table: pd.DataFrame) -> pd.Series:
    return _without_row_numbers(table).iloc[:, 0]
