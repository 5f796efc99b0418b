"""AnnData in HDF5."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from spacex.io._anndata import read_h5ad_file
from spacex.io._files import PACKED
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a .h5ad file"
FILES: tuple[str, ...] = ("*.h5ad",)
_NAME = re.compile(rf"\.h5ad{PACKED}$", re.IGNORECASE)


def sniff(request: Request) -> bool:
    """Whether a file is named as one of AnnData."""
    return not request.is_folder and is_h5ad(request.path)


def is_h5ad(path: Path) -> bool:
    """Whether the name of a file is that of an AnnData in HDF5, compressed or not."""
    return _NAME.search(path.name) is not None


def read(request: Request) -> AnnData:
    """Read a section."""
    request.refuse_bin()
    return read_h5ad_file(request.path)
