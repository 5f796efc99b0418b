"""What every reader needs: files opened with care, and one line that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError, check_extra, shortened

if TYPE_CHECKING:
    import pandas as pd

UNDERSTOOD = (
    "a .h5ad file, a .zarr store (AnnData or SpatialData), a Space Ranger outs/ folder, "
    "a Visium HD folder with binned_outputs/, a Xenium output folder, "
    "a MERSCOPE folder (cell_by_gene.csv, cell_metadata.csv), "
    "a CosMx folder (*_exprMat_file.csv, *_metadata_file.csv), a Stereo-seq .gem, .gem.gz or .gef, "
    "or counts (.csv, .tsv, .txt, .mtx, .h5) with a table of coordinates, in one folder or as coordinates="
)
COPY_AGAIN = "copy or download it again"


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a parser throws at a damaged file into one line that names the file and the mend."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"path='{path}' does not fit into memory ({shortened(str(error))[:100]}); read a part of it"
        ) from error
    except PermissionError as error:
        raise InputError(f"path='{path}' may not be read; ask its owner for permission (chmod +r)") from error
    except Exception as error:  # parsers of damaged files fail in every way there is
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"path='{path}' is not a readable {what}: {reason[:200]}; {COPY_AGAIN}") from error


def require_hdf5(path: Path) -> None:
    """Raise `InputError` for what HDF5 cannot open, saying which of the usual accidents it was."""
    import h5py

    if path.stat().st_size == 0:
        raise InputError(f"path='{path}' is empty (0 bytes); {COPY_AGAIN}")
    if not h5py.is_hdf5(path):
        raise InputError(f"path='{path}' is not an HDF5 file in spite of its name; pass {UNDERSTOOD}")
    from spacex.io._bounds import check_hdf5

    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        check_hdf5(file, path)


def read_table(file: Path, *, header_starts: str | None = None, columns: list[str] | None = None) -> pd.DataFrame:
    """Read parquet or CSV; a CSV that does not begin with `header_starts` has no header but `columns`."""
    import pandas as pd

    if file.suffix == ".parquet":
        check_extra("pyarrow", extra="io", purpose=f"path='{file}': reading parquet")
        with reading(file, "parquet file"):
            table = pd.read_parquet(file)
    else:
        with reading(file, "CSV file"):
            table = pd.read_csv(file)
            if header_starts is not None and table.columns[0] != header_starts:
                table = pd.read_csv(file, header=None, names=columns)
    first = table.columns[0]  # barcodes: older Xenium writes bytes or whole numbers, the matrix holds text
    table[first] = [value.decode() if isinstance(value, bytes) else str(value) for value in table[first]]
    return table


def listed(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(map(str, names))
