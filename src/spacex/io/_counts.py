"""Count tables in delimited text, read in chunks of rows so that only the sparse counts stay in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from spacex._infra.errors import InputError
from spacex.io._files import REDOWNLOAD_HINT, translate_errors
from spacex.io._identifier_columns import STRONG, is_identifier_name, is_row_name_column, name_class
from spacex.io._text_tables import Header, is_number, read_delimited, read_header, unique_names

logger = logging.getLogger("spacex")

CHUNK_ENTRIES = 20_000_000  # of float32: 80 MB of a dense chunk


def read_count_table(path: Path, *, labels: Sequence[str] = (), position_columns: Sequence[str] = ()) -> AnnData:
    """Read a table of counts as it is: rows become observations and columns variables, CSR float32.

    Parameters
    ----------
    path
        Delimited text.
    labels
        Names of the label columns, all of which become columns of ``obs``. Empty: they are recognized; the first one
        names the observations (and the index), the others become columns of ``obs``.
    position_columns
        Names of the columns of the coordinate table; a column of the counts with such a name is a label, not a gene.
    """
    header = read_header(path)
    label_columns = [header.names.index(name) for name in labels] or _find_label_columns(header, position_columns)
    gene_columns = [i for i in range(len(header.names)) if i not in label_columns]
    if not gene_columns:
        raise InputError(f"path='{path}' has one column; a table of counts is delimited by tab, comma or semicolon")
    blocks, label_blocks = [], []
    with translate_errors(path, "count table"):
        chunks = read_delimited(
            path, header, keep_default_na=False, na_values={i: ["", "NA", "nan", "NaN"] for i in gene_columns},
            dtype={**dict.fromkeys(label_columns, str), **dict.fromkeys(gene_columns, np.float32)},
            chunksize=max(1, CHUNK_ENTRIES // len(header.names)),
        )  # fmt: skip
        for chunk in chunks:
            label_blocks.append(chunk[label_columns])
            blocks.append(sparse.csr_matrix(_finite_counts(chunk, label_columns[0], gene_columns, header, path)))
    if not sum(block.shape[0] for block in blocks):
        raise InputError(f"path='{path}' has a header and no rows; {REDOWNLOAD_HINT}")
    obs = pd.concat(label_blocks, ignore_index=True)
    obs.columns = unique_names([header.names[i] for i in label_columns])
    genes = [header.names[i] for i in gene_columns]
    adata = to_anndata(sparse.vstack(blocks, format="csr"), obs.iloc[:, 0], genes)
    adata.obs_names.name = obs.columns[0]
    for name in obs.columns[0 if labels else 1 :]:
        adata.obs[name] = obs[name].to_numpy()
    return adata


def _find_label_columns(header: Header, position_columns: Sequence[str]) -> list[int]:
    """Return the columns that name or describe the rows.

    These are the first column and the columns next to it that hold text or have the name of an identifier, and any
    other column with a usual identifier name, no name, a name among `position_columns`, or both text and a possible
    identifier name. A first column of numbers under another name is a gene if another column names the rows.
    """
    names = header.names
    fields = [[row[i] for row in header.rows if i < len(row)] for i in range(len(names))]
    is_text = [bool(column) and not any(map(is_number, column)) for column in fields]
    is_named = [name_class(name) == STRONG or is_row_name_column(name) or name in position_columns for name in names]
    n_left = 0
    while n_left < len(names) - 1 and (is_text[n_left] or is_named[n_left] or is_identifier_name(names[n_left])):
        n_left += 1
    is_label = [is_named[i] or (is_text[i] and is_identifier_name(names[i])) for i in range(len(names))]
    return [i for i in range(len(names)) if i < n_left or is_label[i]] or [0]


def _finite_counts(
    chunk: pd.DataFrame, label_column: int, gene_columns: list[int], header: Header, path: Path
) -> np.ndarray:
    """Return the counts of a chunk; a truncated file ends in a row with empty fields."""
    counts = chunk[gene_columns].to_numpy()
    is_finite = np.isfinite(counts)
    if not is_finite.all():
        row, column = np.argwhere(~is_finite)[0]
        raise InputError(
            f"path='{path}' has no count in row {chunk[label_column].iloc[row]!r}, column "
            f"{header.names[gene_columns[column]]!r}; write 0 for no count, or copy or download it again if truncated"
        )
    return counts


def to_anndata(counts: Any, obs_names: Iterable[Any], var_names: Iterable[Any]) -> AnnData:
    """Return an AnnData of sparse counts, CSR float32; names may repeat."""
    counts = counts.tocsr().astype(np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    obs, var = (
        pd.DataFrame(index=pd.Index([str(name) for name in names], dtype=object)) for names in (obs_names, var_names)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return AnnData(counts, obs=obs, var=var)


def transpose(adata: AnnData) -> AnnData:
    """Return the transposed counts as CSR."""
    adata = adata.T.copy()
    adata.X = adata.X.tocsr()
    return adata


def select_genes(adata: AnnData, is_gene: Sequence[bool] | np.ndarray) -> AnnData:
    """Return a copy with a subset of the variables, whose names may repeat."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return adata[:, is_gene].copy()


def clear_index_names(adata: AnnData) -> AnnData:
    """Remove the names of both indices: HDF5 cannot store empty ones."""
    adata.obs_names.name = adata.var_names.name = None
    return adata


def make_gene_names_unique(adata: AnnData, path: Path) -> AnnData:
    """Append a suffix to repeated gene names, and log how many there are."""
    n_repeated = int(adata.var_names.duplicated().sum())
    if n_repeated:
        adata.var_names_make_unique()
        logger.info("%s: %d repeated gene name(s) made unique by a suffix", path.name, n_repeated)
    return adata
