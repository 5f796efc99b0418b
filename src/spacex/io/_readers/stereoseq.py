"""BGI/STOmics Stereo-seq: molecules as text (``.gem``) or HDF5 (``.gef``), in squares or in cells.

Read directly: spatialdata-io wants the whole folder of a SAW run, with its registered images and clusters, and has no
reader of ``.gem``. The layout of the HDF5 files is the one that it (0.7) reads. Coordinates stay in the unit of the
chip, the distance of two DNBs (500 nm).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_int
from spacex.io._bins import CellBins, SquareBins
from spacex.io._counts import assemble, unique_genes
from spacex.io._delimited import Header, is_text_table, read_delimited, read_header
from spacex.io._files import PACKED, REDOWNLOAD_HINT, join_names, reading, require_hdf5, unpacked
from spacex.io._request import Request

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LAYOUT = "a Stereo-seq .gem, .gem.gz or .gef"
FILES: tuple[str, ...] = ("*.gem", "*.gem.gz", "*.gef")
DEFAULT_BIN = 50  # 25 µm
MAX_BIN = 1_000_000  # larger than any chip
BLOCK = 5_000_000  # molecules
CELLS = "cells"
_GEM, _GEF, _CELL_BINS = (re.compile(rf"{form}{PACKED}$", re.IGNORECASE) for form in (
    r"\.gem", r"\.gef", r"\.cellbin\.ge[fm]"))  # fmt: skip
_ROLES = {
    "gene": ("genename", "geneid", "gene"),
    "x": ("x",),
    "y": ("y",),
    "count": ("midcount", "midcounts", "umicount", "umicounts", "count"),
    "cell": ("cellid", "cell_id", "cell", "label"),
}
"""Names of the columns of a GEM, in lower case; those since SAW 8 first."""

_USUAL = {"gene": "geneID", "x": "x", "y": "y", "count": "MIDCount", "cell": "CellID"}


def sniff(request: Request) -> bool:
    """Whether a file is one of Stereo-seq, by its name or by the header of a GEM; or a folder holds such files."""
    return bool(_chips(request)) if request.is_folder else _is_chip(request.path)


def _is_chip(path: Path) -> bool:
    if _GEM.search(path.name) or _GEF.search(path.name):
        return True
    if not is_text_table(path):
        return False
    with suppress(InputError):
        return {"gene", "x", "y", "count"} <= set(_roles(read_header(path)))
    return False


def _roles(header: Header) -> dict[str, int]:
    """Numbers of the columns of a GEM by their role, as far as they are there."""
    names = [name.casefold() for name in header.names]
    numbers = {role: [names.index(name) for name in usual if name in names] for role, usual in _ROLES.items()}
    return {role: number[0] for role, number in numbers.items() if number}


def _chips(request: Request) -> list[Path]:
    return [path for path in request.folder.entries if path.is_file() and _is_chip(path)]


def read(request: Request) -> AnnData:
    """Read one file: molecules summed in squares of `bin` DNBs, or in cells."""
    path = request.path
    if request.is_folder:
        chips = _chips(request)
        if len(chips) > 1:
            raise InputError(
                f"path='{path}' holds several Stereo-seq files, {join_names(c.name for c in chips)}; pass one"
            )
        path = chips[0]
    if not _GEF.search(path.name):
        return unique_genes(_read_gem(path, request.bin), path)
    is_cells = _CELL_BINS.search(path.name) is not None
    is_cells = _CELL_BINS.search(path.name) is not None
    if request.bin is not None and is_cells != (request.bin == CELLS):
        held = "cells" if is_cells else "no cells"
        raise InputError(f"bin={request.bin!r} does not apply to '{path}', which has {held}; leave it out")
    size = DEFAULT_BIN if is_cells else _size(request.bin)
    with unpacked(path) as plain:
        require_hdf5(path, plain)
        with reading(path, "GEF file"):
            return unique_genes(_read_cells(plain) if is_cells else _read_squares(plain, size), path)


def _size(bin: str | int | None) -> int:
    """Side of the squares in DNBs, also from the text "bin50" or "50" of a command line."""
    number: Any = DEFAULT_BIN if bin is None else bin
    if isinstance(bin, str) and bin.removeprefix("bin").isdecimal():
        number = int(bin.removeprefix("bin"))
    return check_int(number, name="bin", low=1, high=MAX_BIN)


def _read_gem(path: Path, bin: str | int | None) -> AnnData:
    """Read molecules; comments come before the header, and names of columns vary.

    They are summed in cells where these have a column, and squares are not asked for.
    """
    header = read_header(path)
    roles = _roles(header)
    named_cells = bin is None and _CELL_BINS.search(path.name) is not None
    in_cells = bin == CELLS or named_cells or (bin is None and "cell" in roles)
    needed = [role for role in _ROLES if role != "cell" or in_cells]
    missing = [_USUAL[role] for role in needed if role not in roles]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {join_names(missing)} of a GEM file; {REDOWNLOAD_HINT}")
    bins: SquareBins | CellBins = CellBins() if in_cells else SquareBins(_size(bin))
    codes = dict[str, int]()
    with reading(path, "GEM file"):
        for block in _blocks(path, header, {role: roles[role] for role in needed}):
            if (block["count"] < 0).any():
                raise InputError(f"path='{path}' holds negative counts; {REDOWNLOAD_HINT}")
            gene_code = _coded(block["gene"], codes)
            x, y, counts = (block[name].to_numpy() for name in ("x", "y", "count"))
            if isinstance(bins, CellBins):
                bins.add(gene_code, block["cell"].to_numpy(), x, y, counts)
            else:
                bins.add(gene_code, x, y, counts)
        if not codes:
            raise InputError(f"path='{path}' has a header and no molecules; {REDOWNLOAD_HINT}")
        adata = bins.result(list(codes))
    if not adata.n_obs:
        raise InputError(f"path='{path}' has no molecule in a cell; pass the side of squares: bin={DEFAULT_BIN}")
    return adata


def _blocks(path: Path, header: Header, roles: Mapping[str, int]) -> Iterator[pd.DataFrame]:
    """Molecules block by block, columns by their role."""
    blocks = read_delimited(
        path,
        header,
        usecols=sorted(roles.values()),
        dtype={column: str if role == "gene" else np.int64 for role, column in roles.items()},
        keep_default_na=False,
        chunksize=BLOCK,
    )
    for block in blocks:
        yield block.rename(columns={column: role for role, column in roles.items()})


def _coded(genes: pd.Series, codes: dict[str, int]) -> np.ndarray:
    """Genes of molecules as numbers, new ones added to `codes`."""
    import pandas as pd

    number, names = pd.factorize(genes)
    known = np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)
    return known[number]


def _read_squares(path: Path, size: int) -> AnnData:
    """Sum the molecules of ``geneExp/bin1``, a block at a time; they are sorted by gene."""
    import h5py

    with h5py.File(path) as file:
        if "geneExp/bin1" not in file:
            found = join_names(file["geneExp"]) if "geneExp" in file else join_names(file)
            raise InputError(f"path='{path}' lacks geneExp/bin1 (it holds {found}); pass the .raw.gef or .tissue.gef")
        genes, molecules = file["geneExp/bin1/gene"][:], file["geneExp/bin1/expression"]
        ends = (genes["offset"].astype(np.int64) + genes["count"]).astype(np.int64)
        if len(ends) == 0 or ends[-1] != len(molecules):
            raise InputError(
                f"path='{path}' has genes that do not fit its {len(molecules)} molecules; {REDOWNLOAD_HINT}"
            )
        bins = SquareBins(size)
        for start in range(0, len(molecules), BLOCK):
            block = molecules[start : start + BLOCK]
            gene = np.searchsorted(ends, np.arange(start, start + len(block)), side="right")
            bins.add(gene, block["x"].astype(np.int64), block["y"].astype(np.int64), block["count"])
        return bins.result(_gene_names(genes))


def _read_cells(path: Path) -> AnnData:
    """Read the cells of a segmentation, with their centroids."""
    import h5py
    from scipy import sparse

    with h5py.File(path) as file:
        if "cellBin/cell" not in file:
            raise InputError(
                f"path='{path}' lacks cellBin/cell (it holds {join_names(file)}); pass the .cellbin.gef of a run"
            )
        cells, genes, counts = (file[f"cellBin/{name}"][:] for name in ("cell", "gene", "cellExp"))
    indptr = np.append(cells["offset"].astype(np.int64), len(counts))
    if (np.diff(indptr) != cells["geneCount"]).any():
        raise InputError(f"path='{path}' has cells that do not fit its {len(counts)} counts; {REDOWNLOAD_HINT}")
    matrix = sparse.csr_matrix((counts["count"], counts["geneID"].astype(np.int64), indptr), (len(cells), len(genes)))
    adata = assemble(matrix, cells["id"], _gene_names(genes))
    adata.obsm["spatial"] = np.column_stack([cells["x"], cells["y"]]).astype(float)
    for name in ("area", "dnbCount"):
        if name in (cells.dtype.names or ()):
            adata.obs[name] = cells[name].astype(float)
    return adata


def _gene_names(genes: np.ndarray) -> list[str]:
    """Return the names of the genes; their field was renamed over the releases."""
    field = next(name for name in ("geneName", "gene", "geneID") if name in (genes.dtype.names or ()))
    return [name.decode() if isinstance(name, bytes) else str(name) for name in genes[field]]
