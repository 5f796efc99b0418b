"""MatrixMarket counts under any name, with the tables of genes and of spots beside them.

``scanpy.read_10x_mtx`` needs the file names of Cell Ranger, but public deposits add sample names and change the
compression.
"""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData
from scipy import sparse
from scipy.io import mminfo, mmread

from spacex._infra.errors import InputError
from spacex.io._counts import make_gene_names_unique, to_anndata
from spacex.io._file_checks import check_matrix_market
from spacex.io._files import COMPRESSION_SUFFIX, REDOWNLOAD_HINT, decompressed, has_suffix, join_names, translate_errors
from spacex.io._identifier_columns import OTHER, STRONG, is_identifier_name, is_row_name_column, name_class
from spacex.io._positions import is_position_table
from spacex.io._ten_x import drop_other_features
from spacex.io._text_tables import is_number, is_text_table, open_text, read_header, unique_names

_TEXT_SUFFIX = re.compile(rf"\.(csv|tsv|txt|tab){COMPRESSION_SUFFIX}$", re.IGNORECASE)
_FEATURES, _BARCODES = "features.tsv", "barcodes.tsv"
_USUAL = {_FEATURES: ("features.tsv", "genes.tsv"), _BARCODES: ("barcodes.tsv",)}
"""File names of the two companions, as Cell Ranger writes them."""

_WORDS = {
    _FEATURES: "features?|genes?|symbols?|probes?|vars?|rows?",
    _BARCODES: "barcodes?|cells?|spots?|beads?|bins?|obs|col(?:umn)?s?",
}
"""Words in the file names of other companions, optionally followed by "names" or "ids"."""

_SYMBOLS = ("gene_name", "gene_names", "gene_symbol", "symbol", "name", "gene", "features", "feature")
_TYPES = ("feature_type", "feature_types", "gene_biotype", "gene_type", "biotype", "type")


def is_matrix_market(path: Path) -> bool:
    """Whether a file has the suffix of a MatrixMarket matrix, compressed or not."""
    return has_suffix(path, ".mtx")


def is_companion(path: Path) -> bool:
    """Whether a file has the usual name of a companion of a MatrixMarket file."""
    return any(has_suffix(path, *names) for names in _USUAL.values())


def read_matrix_market(path: Path) -> AnnData:
    """Read the counts (spots x genes) of a matrix and its companions.

    The lengths of the companions determine which side holds the genes; a square matrix is genes x barcodes, as Cell
    Ranger writes it. Features of other types than genes are dropped. `path` is the matrix, or a folder with a
    single matrix.
    """
    matrix = _only_matrix(path) if path.is_dir() else path
    files = find_companions(matrix)
    with decompressed(matrix) as plain, translate_errors(matrix, "MatrixMarket matrix"):
        features, barcodes = _read_companions(files, mminfo(plain)[:2])
        shape = (len(features), len(barcodes))
        check_matrix_market(matrix, plain, shape)
        counts = sparse.csr_matrix(mmread(plain))
    if counts.shape == shape:
        counts = counts.T
    ids, names, types = _feature_columns(features)
    adata = to_anndata(counts, barcodes[_barcode_column(barcodes)], names)
    adata.var["gene_ids"] = ids.to_numpy()
    return make_gene_names_unique(drop_other_features(adata, types, matrix), matrix)


def _only_matrix(folder: Path) -> Path:
    matrices = sorted(path for path in folder.iterdir() if is_matrix_market(path) and path.is_file())
    if len(matrices) != 1:
        content = (
            f"several, {join_names(m.name for m in matrices)}; keep one" if matrices else f"none; {REDOWNLOAD_HINT}"
        )
        raise InputError(f"path='{folder}' must hold one matrix.mtx or matrix.mtx.gz and holds {content}")
    return matrices[0]


def find_companions(matrix: Path) -> dict[str, Path]:
    """Return the files with the names of the genes and of the spots, by role.

    Of several candidates, the one whose name shares most with that of the matrix is chosen: the name of the sample.
    """
    tables = [path for path in sorted(matrix.parent.iterdir()) if path.is_file() and is_text_table(path)]
    files = {}
    for role, usual_names in _USUAL.items():
        named = [path for path in tables if has_suffix(path, *usual_names)]
        others = [
            path for path in tables if _role(path) == role and not is_companion(path) and not is_position_table(path)
        ]
        file = _most_similar(named, matrix) or _most_similar(others, matrix)
        if file is None:
            prefix = re.sub(rf"(matrix)?\.mtx{COMPRESSION_SUFFIX}$", "", matrix.name, flags=re.IGNORECASE)
            raise InputError(f"path='{matrix}' lacks its companion {prefix}{role}, the names of one side; copy it too")
        files[role] = file
    return files


def _role(path: Path) -> str | None:
    """Return the companion that a file is, by the last of its `_WORDS`: cells_genes.csv holds genes."""
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _TEXT_SUFFIX.sub("", path.name)).casefold()
    ends = {role: [word.end() for word in re.finditer(rf"(?<![a-z])({words})(_?(name|id)s?)?(?![a-z])", stem)]
            for role, words in _WORDS.items()}  # fmt: skip
    return max((role for role in ends if ends[role]), key=lambda role: ends[role][-1], default=None)


def _most_similar(paths: list[Path], matrix: Path) -> Path | None:
    """Return the path whose name shares most words with that of the matrix and has fewest others; None if tied."""
    matrix_words = set(re.split(r"[._ -]", matrix.name))
    word_sets = [set(re.split(r"[._ -]", path.name)) for path in paths]
    ranks = [(len(matrix_words & words), -len(words)) for words in word_sets]
    best = [path for path, rank in zip(paths, ranks, strict=True) if rank == max(ranks)]
    return best[0] if len(best) == 1 else None


def _read_companions(files: dict[str, Path], shape: tuple[int, int]) -> list[pd.DataFrame]:
    """Read features and barcodes; a first line that looks like a header is one if the shape of the matrix agrees."""
    variants = []
    for file in files.values():
        table = _read_names(file)
        headed = table.iloc[1:].set_axis(unique_names(table.iloc[0].tolist()), axis=1).reset_index(drop=True)
        variants.append([headed, table] if _has_header(table) else [table])
    pairs = [list(pair) for pair in itertools.product(*variants)]
    return next((pair for pair in pairs if sorted(map(len, pair)) == sorted(shape)), pairs[-1])


def _read_names(path: Path) -> pd.DataFrame:
    """Read a companion as text; its first line becomes a row."""
    delimiter = read_header(path).delimiter
    with translate_errors(path, "table of names"), open_text(path) as file:
        lines = [line for line in file.read().splitlines() if line]
        is_quoted = lines[0].startswith('"')
        if ".tsv" in path.name.casefold() or delimiter not in ("\t", ",", ";", " " if is_quoted else ","):
            delimiter = "\t"  # names may contain all others
        is_quoted |= delimiter != "\t"
        rows = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE))
    if len(rows[0]) + 1 == len(rows[-1]):  # R writes no name for the column of row names
        rows[0].insert(0, "")
    return pd.DataFrame(rows, dtype=object).fillna("")


def _has_header(table: pd.DataFrame) -> bool:
    """Whether the first row has usual column names, or a word above numbers; R names a single column x."""
    if len(table) < 2:
        return False
    first = table.iloc[0]
    usual = (*_SYMBOLS, *_TYPES, "x", "v1", "v2")
    return (
        all(is_identifier_name(name) or name.casefold() in usual for name in first)
        or any(name_class(name) == STRONG for name in first)
        or any(not is_number(name) and all(map(is_number, table[i][1:6])) for i, name in first.items())
    )


def _barcode_column(table: pd.DataFrame) -> Any:
    """Return the column of barcodes: a usual name precedes others, text precedes numbers, row names come last."""

    def rank(name: Any) -> tuple[bool, int, bool, bool]:
        return (
            not table[name].is_unique,
            OTHER if isinstance(name, int) else name_class(name),
            all(map(is_number, table[name])),
            not isinstance(name, int) and is_row_name_column(name),
        )

    return min(table.columns, key=rank)


def _feature_columns(table: pd.DataFrame) -> tuple[pd.Series, pd.Series, list[str] | None]:
    """Return identifiers, names and types of features, by column name or in the order of Cell Ranger."""
    column_of = {str(name).casefold(): name for name in table.columns}
    if table.shape[1] > 1 and all(map(is_number, table.iloc[:, 0])):  # row numbers
        table = table.iloc[:, 1:]
    if isinstance(table.columns[0], str):
        symbol = next((column_of[name] for name in _SYMBOLS if name in column_of), None)
        types = next((column_of[name] for name in _TYPES if name in column_of), None)
        others = [name for name in table.columns if name not in (symbol, types)]
        first = others[0] if others else symbol
        symbol = first if symbol is None else symbol
    else:
        first, *others = table.columns
        names = [name for name in others if 2 * table[name].nunique() >= len(table)]  # types repeat
        symbol = names[0] if names and not all(map(is_number, table[names[0]])) else first
        types = next((name for name in others if name != symbol), None)
    return table[first], table[symbol], None if types is None else table[types].tolist()
