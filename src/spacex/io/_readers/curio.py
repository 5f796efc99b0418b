"""Curio Seeker.

Files: ``*_MoleculesPerMatchedBead.mtx`` with genes and barcodes, ``*_MatchedBeadLocation.csv``; or
``*_anndata.h5ad`` if the matrix is missing.
Read: counts and bead positions.
Ignored: clusters, metrics and all other files.
"""

from __future__ import annotations

from anndata import AnnData

from spacex.io._anndata import read_h5ad_file
from spacex.io._matrix_market import read_matrix_market
from spacex.io._position_join import join_positions
from spacex.io._positions import read_positions
from spacex.io._request import Request

LAYOUT = "a Curio Seeker folder"
FILES: tuple[str, ...] = ("*MoleculesPerMatchedBead.mtx*", "*MatchedBeadLocation.csv*", "*_anndata.h5ad")
_COUNTS, _BEADS, _ANNDATA = "MoleculesPerMatchedBead.mtx", "MatchedBeadLocation.csv", "anndata.h5ad"
_HINT = "copy the whole Curio Seeker folder"


def sniff(request: Request) -> bool:
    """Whether a folder holds counts or positions of beads."""
    return request.is_folder and bool(request.folder.find(_COUNTS, _BEADS))


def read(request: Request) -> AnnData:
    """Read the section."""
    request.reject_bin()
    folder = request.folder
    if folder.find_one(_COUNTS) is None and (entry := folder.find_one(_ANNDATA)) is not None:
        return read_h5ad_file(entry.path)
    counts = folder.require(_COUNTS, hint=_HINT)
    beads = folder.require_sibling(counts, _BEADS, hint=_HINT)
    return join_positions(read_matrix_market(counts.path), read_positions(beads))
