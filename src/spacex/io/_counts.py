"""Count tables in delimited text, read in chunks of rows so that only the sparse counts stay in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacex._infra.errors import InputError
from spacex.io._delimited import Header, is_number, read_delimited, read_header, unique_names
from spacex.io._files import REDOWNLOAD_HINT, reading
from spacex.io._identifiers import STRONG, is_identifier_name, is_row_number_name, name_class

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("spacex")

CHUNK_ENTRIES = 20_000_000  # of float32: 80 MB of a dense chunk


def read_count_table(path: Path, *, labels: Sequence[str] | None = None, known: Sequence[str] = ()) -> AnnData:
    """Read a table of counts as it is: rows become observations, columns variables, counts CSR float32.

    The first label names the observations, and its name becomes that of the index. Other labels become columns of
    ``obs``, and so do all of `labels`, where the columns that name the rows are known. `known` are the columns of the
    table of coordinates: one of their names is no gene.
    """
    import pandas as pd
    from scipy import sparse

    header = read_header(path)
    named = [header.names.index(label) for label in labels] if labels else _label_columns(header, known)
    valued = [i for i in range(len(header.names)) if i not in named]
    if not valued:
        raise InputError(f"path='{path}' has one column; a table of counts is divided by tab, comma or ;")
    blocks, texts = [], []
    with reading(path, "count table"):
        for chunk in _chunks(path, header, named, valued):
            texts.append(chunk[named])
            blocks.append(sparse.csr_matrix(_values(chunk[valued], chunk[named[0]], header, path)))
    if not sum(block.shape[0] for block in blocks):
        raise InputError(f"path='{path}' has a header and no rows; {REDOWNLOAD_HINT}")
    obs = pd.concat(texts, ignore_index=True)
    obs.columns = unique_names([header.names[i] for i in named])
    counts = assemble(sparse.vstack(blocks, format="csr"), obs.iloc[:, 0], [header.names[i] for i in valued])
    counts.obs_names.name = obs.columns[0]
    for label in obs.columns[0 if labels else 1 :]:
        counts.obs[label] = obs[label].to_numpy()
    return counts


def _label_columns(header: Header, known: Sequence[str]) -> list[int]:
    """The columns that name the rows, or tell something about them.

    These are the first one and its neighbors that hold text or have the name of an identifier, and all others with
    a usual name of identifiers, no name, one that is `known`, or both text and a name that may be that of identifiers.
    A first column of numbers and of no such name is a gene, where another column names the rows.
    """
    names = header.names
    fields = [[row[i] for row in header.rows if i < len(row)] for i in range(len(names))]
    is_text = [bool(column) and not any(map(is_number, column)) for column in fields]
    is_named = [name_class(name) == STRONG or is_row_number_name(name) or name in known for name in names]
    n_left = 0
    while n_left < len(names) - 1 and (is_text[n_left] or is_named[n_left] or is_identifier_name(names[n_left])):
        n_left += 1
    is_label = [is_named[i] or (is_text[i] and is_identifier_name(names[i])) for i in range(len(names))]
    labels = [i for i in range(len(names)) if i < n_left or is_label[i]]
    return labels or [0]


def _chunks(path: Path, header: Header, named: list[int], valued: list[int]) -> Any:
    """Yield frames of rows, columns by number; names as text, "NA" included, and values as float32."""
    import numpy as np

    return read_delimited(
        path,
        header,
        dtype={**dict.fromkeys(named, str), **dict.fromkeys(valued, np.float32)},
        keep_default_na=False,
        na_values={i: ["", "NA", "nan", "NaN"] for i in valued},
        chunksize=max(1, CHUNK_ENTRIES // len(header.names)),
    )


def _values(frame: Any, names: Any, header: Header, path: Path) -> Any:
    """Return the counts of a chunk; a file that was cut off ends in a row with empty fields."""
    import numpy as np

    values = frame.to_numpy()
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"path='{path}' has no count in row {names.iloc[row]!r}, column {header.names[frame.columns[column]]!r}; "
            "write 0 where nothing was counted, or copy or download it again if it was cut off"
        )
    return values


def assemble(counts: Any, rows: Any, columns: Any) -> AnnData:
    """Put sparse counts and the names of their sides together; names may still repeat."""
    import numpy as np
    import pandas as pd
    from anndata import AnnData

    counts = counts.tocsr().astype(np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    obs, var = (pd.DataFrame(index=pd.Index([str(name) for name in names], dtype=object)) for names in (rows, columns))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return AnnData(counts, obs=obs, var=var)


def transposed(counts: AnnData) -> AnnData:
    """Return counts with their sides exchanged, by rows."""
    turned = counts.T.copy()
    turned.X = turned.X.tocsr()
    return turned


def without_index_names(adata: AnnData) -> AnnData:
    """Leave out the names of the columns that the names of spots and genes came from: HDF5 has no empty ones."""
    adata.obs_names.name = adata.var_names.name = None
    return adata


def unique_genes(adata: AnnData, path: Path) -> AnnData:
    """Make repeated names of genes unique by a suffix, and say so."""
    n_repeated = int(adata.var_names.duplicated().sum())
    if n_repeated:
        adata.var_names_make_unique()
        logger.info("%s: %d repeated gene name(s) made unique by a suffix", path.name, n_repeated)
    return adata
