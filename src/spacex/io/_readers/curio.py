"""Curio Seeker: beads, as the pipeline writes them, with the name of the sample in front of every file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spacex._check import InputError
from spacex.io._anndata import read_h5ad_file
from spacex.io._folder import one_of
from spacex.io._joining import place
from spacex.io._matrix_market import read_matrix_market
from spacex.io._positions import read_positions
from spacex.io._request import Request

if TYPE_CHECKING:
    from anndata import AnnData

LAYOUT = "a Curio Seeker folder"
FILES: tuple[str, ...] = ("*MoleculesPerMatchedBead.mtx*", "*MatchedBeadLocation.csv*", "*_anndata.h5ad")
_COUNTS, _BEADS, _ANNDATA = "MoleculesPerMatchedBead.mtx", "MatchedBeadLocation.csv", "anndata.h5ad"


def sniff(request: Request) -> bool:
    """Whether a folder holds counts or positions of beads."""
    return request.is_folder and bool(request.folder.glob(f"{_COUNTS}*", f"{_BEADS}*"))


def read(request: Request) -> AnnData:
    """Read counts and positions; the AnnData of the pipeline where the counts are missing."""
    request.refuse_bin()
    folder = request.folder
    counts, beads = folder.glob(f"{_COUNTS}*"), folder.glob(f"{_BEADS}*")
    if not counts and (files := folder.glob(_ANNDATA)):
        return read_h5ad_file(one_of(files, "AnnData files", folder, [_ANNDATA]))
    for name, paths in ((_COUNTS, counts), (_BEADS, beads)):
        if not paths:
            raise InputError(f"path='{folder.path}' lacks *_{name}; copy the whole Curio Seeker folder")
    matrix = one_of(counts, "count matrices", folder, [_COUNTS])
    sample = matrix.name[: matrix.name.index(_COUNTS)]
    own: list[Path] = [path for path in beads if path.name.startswith(sample)] or beads
    return place(read_matrix_market(matrix), read_positions(own[0]))
