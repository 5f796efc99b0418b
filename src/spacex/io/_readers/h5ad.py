"""AnnData in HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spacex.io._anndata import read_h5ad_file
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a .h5ad file"
FILES: tuple[str, ...] = ("*.h5ad",)


def sniff(request: Request) -> bool:
    """Whether a file is named as one of AnnData."""
    return not request.is_folder and request.path.suffix.casefold() == ".h5ad"


def read(request: Request) -> AnnData:
    """Read a section."""
    request.refuse_bin()
    return read_h5ad_file(request.path)
