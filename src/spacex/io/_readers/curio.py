"""Curio Seeker: beads, as the pipeline writes them, with the name of the sample in front of every file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spacex._infra.errors import InputError
from spacex.io._anndata import read_h5ad_file
from spacex.io._joining import join_positions
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
    return request.is_folder and bool(request.folder.parts(_COUNTS, _BEADS))


def read(request: Request) -> AnnData:
    """Read counts and positions; the AnnData of the pipeline where the counts are missing."""
    request.refuse_bin()
    folder = request.folder
    copy_all = "copy the whole Curio Seeker folder"
    if folder.only(_COUNTS) is None and (file := folder.only(_ANNDATA)) is not None:
        return read_h5ad_file(file.path)
    counts = folder.one(_COUNTS, lacks=copy_all)
    beads = folder.beside(counts, _BEADS)
    if not beads:
        raise InputError(f"path='{folder.path}' lacks {_BEADS} for {counts.path.name}; {copy_all}")
    return join_positions(read_matrix_market(counts.path), read_positions(beads[0]))
