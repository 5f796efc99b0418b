"""What every reader needs: files opened with care, and one line that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spacex._check import InputError, shortened

READABLE = "a file or folder of a layout that sx.read describes"
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
        raise InputError(f"path='{path}' is not an HDF5 file in spite of its name; pass {READABLE}")
    from spacex.io._bounds import check_hdf5

    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        check_hdf5(file, path)


def listed(names: Iterable[str]) -> str:
    """Join names for a message."""
    return ", ".join(map(str, names))
