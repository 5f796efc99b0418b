"""MatrixMarket counts of any name, with a file of the names of genes and one of those of spots beside them.

Read with scipy and pandas rather than with ``scanpy.read_10x_mtx``: that one needs the files named exactly as Cell
Ranger names them, where public deposits put a sample's name in front and gunzip at will.
"""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._infra.errors import InputError
from spacex.io._bounds import check_market
from spacex.io._counts import assemble, unique_genes
from spacex.io._delimited import TEXT_NAME, is_number, is_text_table, open_text, read_header, unique_names
from spacex.io._files import PACKED, REDOWNLOAD_HINT, join_names, reading, unpacked
from spacex.io._identifiers import OTHER, STRONG, is_identifier_name, is_row_number_name, name_class
from spacex.io._positions import is_positions
from spacex.io._ten_x import genes_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_MATRIX = re.compile(rf"\.mtx{PACKED}$", re.IGNORECASE)
_FEATURES, _BARCODES = "features.tsv", "barcodes.tsv"
_USUAL = {
    _FEATURES: re.compile(rf"(features|genes)\.tsv{PACKED}$", re.IGNORECASE),
    _BARCODES: re.compile(rf"barcodes\.tsv{PACKED}$", re.IGNORECASE),
}
"""The names of the two companions since Cell Ranger."""

_WORDS = {
    _FEATURES: "features?|genes?|symbols?|probes?|vars?|rows?",
    _BARCODES: "barcodes?|cells?|spots?|beads?|bins?|obs|col(?:umn)?s?",
}
"""Words in the names of other companions, also with "names" or "ids" at their ends."""

_SYMBOLS = ("gene_name", "gene_names", "gene_symbol", "symbol", "name", "gene", "features", "feature")
_TYPES = ("feature_type", "feature_types", "gene_biotype", "gene_type", "biotype", "type")


def is_matrix_market(path: Path) -> bool:
    """Whether the name of a file is that of a MatrixMarket matrix, compressed or not."""
    return _MATRIX.search(path.name) is not None


def is_companion(path: Path) -> bool:
    """Whether a file is named as a companion of a MatrixMarket file usually is."""
    return any(usual.search(path.name) for usual in _USUAL.values())


def read_matrix_market(path: Path) -> AnnData:
    """Read the counts (spots x genes) of a matrix and its companions; `path` is the matrix or the folder that holds it.

    Which side is genes is told by the lengths of the companions; a square matrix is genes x barcodes, as Cell Ranger
    writes it. Where features have a type, only genes are kept.
    """
    from scipy import sparse
    from scipy.io import mminfo, mmread

    matrix = _only_matrix(path) if path.is_dir() else path
    files = companions(matrix)
    with unpacked(matrix) as plain:
        with reading(matrix, "MatrixMarket matrix"):
            shape = mminfo(plain)[:2]
        features, barcodes = _sides(files, shape)
        sides = (len(features), len(barcodes))
        with reading(matrix, "MatrixMarket matrix"):
            check_market(matrix, plain, sides)
            counts = sparse.csr_matrix(mmread(plain))
    if counts.shape == sides:
        counts = counts.T
    ids, names, types = _feature_columns(features)
    adata = assemble(counts, barcodes[_identifier(barcodes)], names)
    adata.var["gene_ids"] = ids.to_numpy()
    return unique_genes(genes_of(adata, types, matrix), matrix)


def _only_matrix(folder: Path) -> Path:
    matrices = sorted(path for path in folder.iterdir() if is_matrix_market(path) and path.is_file())
    if len(matrices) != 1:
        held = f"several, {join_names(m.name for m in matrices)}; leave one" if matrices else f"none; {REDOWNLOAD_HINT}"
        raise InputError(f"path='{folder}' must hold one matrix.mtx or matrix.mtx.gz and holds {held}")
    return matrices[0]


def companions(matrix: Path) -> dict[str, Path]:
    """The files with the names of the genes and of the spots, by role.

    Of several, the one whose name shares most with that of the matrix: the name of the sample.
    """
    tables = [path for path in sorted(matrix.parent.iterdir()) if path.is_file() and is_text_table(path)]
    files = {}
    for role, usual in _USUAL.items():
        named = [path for path in tables if usual.search(path.name)]
        others = [path for path in tables if _role(path) == role and not is_companion(path) and not is_positions(path)]
        file = _nearest(named, matrix) or _nearest(others, matrix)
        if file is None:
            prefix = re.sub(rf"(matrix)?\.mtx{PACKED}$", "", matrix.name, flags=re.IGNORECASE)
            raise InputError(f"path='{matrix}' lacks its companion {prefix}{role}, the names of one side; copy it too")
        files[role] = file
    return files


def _role(path: Path) -> str | None:
    """The companion that a file is, by the last telling word of its name: cells_genes.csv has genes."""
    last = {role: [word.end() for word in re.finditer(rf"(?<![a-z])({words})(_?(name|id)s?)?(?![a-z])", _stem(path))]
            for role, words in _WORDS.items()}  # fmt: skip
    return max((role for role in last if last[role]), key=lambda role: last[role][-1], default=None)


def _stem(path: Path) -> str:
    """The name of a file without its endings, words divided by _, in lower case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", TEXT_NAME.sub("", path.name)).casefold()


def _nearest(paths: list[Path], matrix: Path) -> Path | None:
    """The only path whose name shares most words with that of the matrix, and has the fewest others."""
    words = set(re.split(r"[._ -]", matrix.name))
    ranks = [(len(words & own), -len(own)) for own in (set(re.split(r"[._ -]", path.name)) for path in paths)]
    nearest = [path for path, rank in zip(paths, ranks, strict=True) if rank == max(ranks)]
    return nearest[0] if len(nearest) == 1 else None


def _sides(files: dict[str, Path], shape: tuple[int, int]) -> list[pd.DataFrame]:
    """The tables of features and of barcodes; a first line that looks like a header is one where the matrix says so."""
    forms = []
    for file in files.values():
        table = _table_of_names(file)
        headed = table.iloc[1:].set_axis(unique_names(table.iloc[0].tolist()), axis=1).reset_index(drop=True)
        forms.append([headed, table] if _is_header(table) else [table])
    pairs = [list(pair) for pair in itertools.product(*forms)]
    return next((pair for pair in pairs if sorted(map(len, pair)) == sorted(shape)), pairs[-1])


def _table_of_names(path: Path) -> pd.DataFrame:
    """The columns of a file of names as text, its first line a row."""
    import pandas as pd

    delimiter = read_header(path).delimiter
    with reading(path, "table of names"), open_text(path) as file:
        lines = [line for line in file.read().splitlines() if line]
        is_quoted = lines[0].startswith('"')
        if ".tsv" in path.name.casefold() or delimiter not in ("\t", ",", ";", " " if is_quoted else ","):
            delimiter = "\t"  # names may contain all others
        is_quoted |= delimiter != "\t"
        rows = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE))
    if len(rows[0]) + 1 == len(rows[-1]):  # R names no column for the names of the rows
        rows[0].insert(0, "")
    return pd.DataFrame(rows, dtype=object).fillna("")


def _is_header(table: pd.DataFrame) -> bool:
    """Whether the first row names the columns, one of them as usual, or a word stands above numbers.

    R names a single column x.
    """
    if len(table) < 2:
        return False
    first = table.iloc[0]
    usual = (*_SYMBOLS, *_TYPES, "x", "v1", "v2")
    return (
        all(is_identifier_name(name) or name.casefold() in usual for name in first)
        or any(name_class(name) == STRONG for name in first)
        or any(not is_number(name) and all(map(is_number, table[i][1:6])) for i, name in first.items())
    )


def _identifier(table: pd.DataFrame) -> Any:
    """The column of a table that names its rows: by its name, else text before numbers, and these before row names."""

    def rank(name: Any) -> tuple[bool, int, bool, bool]:
        return (
            not table[name].is_unique,
            OTHER if isinstance(name, int) else name_class(name),
            all(map(is_number, table[name])),
            not isinstance(name, int) and is_row_number_name(name),
        )

    return min(table.columns, key=rank)


def _feature_columns(table: pd.DataFrame) -> tuple[pd.Series, pd.Series, Any]:
    """Identifiers, names and types of features: by the names of the columns, or in the order of Cell Ranger."""
    lower = {str(name).casefold(): name for name in table.columns}
    if table.shape[1] > 1 and all(map(is_number, table.iloc[:, 0])):  # numbers of the rows
        table = table.iloc[:, 1:]
    if isinstance(table.columns[0], str):
        symbol = next((lower[name] for name in _SYMBOLS if name in lower), None)
        types = next((lower[name] for name in _TYPES if name in lower), None)
        others = [name for name in table.columns if name not in (symbol, types)]
        first = others[0] if others else symbol
        symbol = first if symbol is None else symbol
    else:
        first, *extra_maps = table.columns
        names = [name for name in extra_maps if 2 * table[name].nunique() >= len(table)]  # a type repeats
        symbol = names[0] if names and not all(map(is_number, table[names[0]])) else first
        types = next((name for name in extra_maps if name != symbol), None)
    return table[first], table[symbol], None if types is None else table[types].tolist()
