"""Count tables: CSV or TSV, plain or gzipped, read in chunks of rows so that only the sparse counts stay in memory."""

from __future__ import annotations

import csv
import gzip
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from spacex._check import InputError
from spacex.io._files import COPY_AGAIN, reading

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("spacex")

CHUNK_ENTRIES = 20_000_000  # of float32: 80 MB of a dense chunk
_DELIMITERS = "\t,; "


class Header(NamedTuple):
    """The first line of a delimited text file."""

    delimiter: str
    names: list[str]


def read_header(path: Path) -> Header:
    """Return the delimiter of a table and the names of its columns.

    R's ``write.table`` names no column for the names of the rows; the header then gets an empty first name.
    """
    with reading(path, "table"), open_text(path) as file:
        # Not whole lines: a binary file may have none for gigabytes.
        lines = [file.readline(50_000_000) for _ in range(2)]
    if not lines[0].strip():
        raise InputError(f"path='{path}' is empty; {COPY_AGAIN}")
    delimiter = _delimiter(lines)
    names, row = (_fields(line, delimiter) for line in lines)
    header = [name.strip() for name in names]
    return Header(delimiter, ["", *header] if len(row) == len(header) + 1 else header)


def _delimiter(lines: list[str]) -> str:
    """Return what divides both lines alike; counting would be misled by names, which may hold any of them."""
    for delimiter in _DELIMITERS:
        names, row = (len(_fields(line, delimiter)) for line in lines)
        if row > 1 and row - names in (0, 1):
            return delimiter
    return max(_DELIMITERS, key=lines[0].count)


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])


def open_text(path: Path) -> IO[str]:
    """Open a text file, gzipped or not."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def read_count_table(path: Path, *, labels: Sequence[str] | None = None) -> AnnData:
    """Read a table of counts as it lies: rows become observations, columns variables, counts CSR float32.

    `labels` are the columns that name the rows (default: the first); they come back as text in ``obs``, and the first
    of them names the observations.
    """
    import pandas as pd
    from scipy import sparse

    header = read_header(path)
    named = [header.names.index(label) for label in labels] if labels else [0]
    valued = [i for i in range(len(header.names)) if i not in named]
    if not valued:
        raise InputError(f"path='{path}' has one column; a table of counts is divided by tab, comma or ;")
    blocks, texts = [], []
    with reading(path, "count table"):
        for chunk in _chunks(path, header, named, valued):
            texts.append(chunk[named])
            blocks.append(sparse.csr_matrix(_values(chunk[valued], chunk[named[0]], header, path)))
    if not sum(block.shape[0] for block in blocks):
        raise InputError(f"path='{path}' has a header and no rows; {COPY_AGAIN}")
    obs = pd.concat(texts, ignore_index=True)
    obs.columns = [header.names[i] for i in named]
    counts = assemble(sparse.vstack(blocks, format="csr"), obs.iloc[:, 0], [header.names[i] for i in valued])
    for label in labels or ():
        counts.obs[label] = obs[label].to_numpy()
    return counts


def _chunks(path: Path, header: Header, named: list[int], valued: list[int]) -> Any:
    """Yield frames of rows, columns by number; names as text, "NA" included, and values as float32."""
    import numpy as np
    import pandas as pd

    return pd.read_csv(
        path,
        sep=header.delimiter,
        header=None,
        skiprows=1,
        names=range(len(header.names)),
        index_col=False,
        dtype={**dict.fromkeys(named, str), **dict.fromkeys(valued, np.float32)},
        keep_default_na=False,
        na_values={i: ["", "NA", "nan", "NaN"] for i in valued},
        chunksize=max(1, CHUNK_ENTRIES // len(header.names)),
        encoding="utf-8-sig",
        on_bad_lines="error",
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


def unique_genes(adata: AnnData, path: Path) -> AnnData:
    """Make repeated names of genes unique by a suffix, and say so."""
    repeated = int(adata.var_names.duplicated().sum())
    if repeated:
        adata.var_names_make_unique()
        logger.info("%s: %d repeated gene name(s) made unique by a suffix", path.name, repeated)
    return adata
