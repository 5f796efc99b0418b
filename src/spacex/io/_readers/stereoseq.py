"""BGI/STOmics Stereo-seq.

Files: molecules as text (``.gem``, or any text table with its header) or HDF5 (``.gef``); cell bins
(``.cellbin.gem``, ``.cellbin.gef``).
Read: molecules summed over square bins or over cells, in the unit of the chip, the distance of two DNBs (500 nm).
Ignored: exon counts, molecules outside of cells if cells are read, and all other files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from spacex._infra.errors import InputError
from spacex._infra.validation import check_int
from spacex.io._bins import CellBins, SquareBins
from spacex.io._counts import make_gene_names_unique, to_anndata
from spacex.io._file_checks import check_hdf5
from spacex.io._files import REDOWNLOAD_HINT, decompressed, has_suffix, join_names, translate_errors
from spacex.io._request import Request
from spacex.io._text_tables import Header, is_text_table, read_delimited, read_header, require_columns

LAYOUT = "a Stereo-seq .gem, .gem.gz or .gef"
FILES: tuple[str, ...] = ("*.gem", "*.gem.gz", "*.gef")
DEFAULT_BIN = 50  # 25 µm
MAX_BIN = 1_000_000  # larger than any chip
BLOCK_SIZE = 5_000_000  # molecules
CELLS = "cells"
_CELL_BINS = (".cellbin.gem", ".cellbin.gef")
_COLUMNS = {
    "gene": ("genename", "geneid", "gene"),
    "x": ("x",),
    "y": ("y",),
    "count": ("midcount", "midcounts", "umicount", "umicounts", "count"),
    "cell": ("cellid", "cell_id", "cell", "label"),
}
"""Column names of a GEM in lower case, those since SAW 8 first."""

_USUAL_COLUMNS = {"gene": "geneID", "x": "x", "y": "y", "count": "MIDCount", "cell": "CellID"}


def sniff(request: Request) -> bool:
    """Whether a file is of Stereo-seq by its name or the header of a GEM, or a folder holds such files."""
    return bool(_find_files(request)) if request.is_folder else _is_stereoseq(request.path)


def _is_stereoseq(path: Path) -> bool:
    if has_suffix(path, ".gem", ".gef"):
        return True
    if is_text_table(path):
        with suppress(InputError):
            return {"gene", "x", "y", "count"} <= set(_find_columns(read_header(path)))
    return False


def _find_columns(header: Header) -> dict[str, int]:
    """Return the indices of the columns of a GEM that exist, by role."""
    names = [name.casefold() for name in header.names]
    indices = {role: [names.index(name) for name in usual if name in names] for role, usual in _COLUMNS.items()}
    return {role: index[0] for role, index in indices.items() if index}


def _find_files(request: Request) -> list[Path]:
    return [path for path in request.folder.paths if path.is_file() and _is_stereoseq(path)]


def read(request: Request) -> AnnData:
    """Read the molecules of one file, summed over squares of `bin` DNBs or over cells."""
    path = request.path
    if request.is_folder:
        paths = _find_files(request)
        if len(paths) > 1:
            raise InputError(
                f"path='{path}' holds several Stereo-seq files, {join_names(p.name for p in paths)}; pass one"
            )
        path = paths[0]
    if not has_suffix(path, ".gef"):
        return make_gene_names_unique(_read_gem(path, request.bin), path)
    has_cells = has_suffix(path, *_CELL_BINS)
    if request.bin is not None and has_cells != (request.bin == CELLS):
        content = "cells" if has_cells else "no cells"
        raise InputError(f"bin={request.bin!r} does not apply to '{path}', which has {content}; omit it")
    size = DEFAULT_BIN if has_cells else _bin_size(request.bin)
    with decompressed(path) as plain:
        check_hdf5(path, plain)
        with translate_errors(path, "GEF file"), h5py.File(plain) as file:
            adata = _read_cells(file, path) if has_cells else _read_squares(file, path, size)
    return make_gene_names_unique(adata, path)


def _bin_size(bin: str | int | None) -> int:
    """Return the side of the squares in DNBs; the command line passes text, "bin50" or "50"."""
    number: Any = DEFAULT_BIN if bin is None else bin
    if isinstance(bin, str) and bin.removeprefix("bin").isdecimal():
        number = int(bin.removeprefix("bin"))
    return check_int(number, name="bin", low=1, high=MAX_BIN)


def _read_gem(path: Path, bin: str | int | None) -> AnnData:
    """Read molecules as text, summed over cells if there is a column of cells and no size of squares was passed."""
    header = read_header(path)
    columns = _find_columns(header)
    by_cell = bin == CELLS or (bin is None and ("cell" in columns or has_suffix(path, *_CELL_BINS)))
    roles = [role for role in _COLUMNS if role != "cell" or by_cell]
    require_columns([_USUAL_COLUMNS[role] for role in columns], [_USUAL_COLUMNS[role] for role in roles], path)
    bins: SquareBins | CellBins = CellBins() if by_cell else SquareBins(_bin_size(bin))
    codes = dict[str, int]()
    with translate_errors(path, "GEM file"):
        for block in _read_blocks(path, header, {role: columns[role] for role in roles}):
            if (block["count"] < 0).any():
                raise InputError(f"path='{path}' holds negative counts; {REDOWNLOAD_HINT}")
            gene = _encode_genes(block["gene"], codes)
            bins.add(gene, *(block[role].to_numpy() for role in ("cell", "x", "y", "count") if role in roles))
        if not codes:
            raise InputError(f"path='{path}' has a header and no molecules; {REDOWNLOAD_HINT}")
        adata = bins.result(list(codes))
    if not adata.n_obs:
        raise InputError(f"path='{path}' has no molecule in a cell; pass the side of squares: bin={DEFAULT_BIN}")
    return adata


def _read_blocks(path: Path, header: Header, columns: Mapping[str, int]) -> Iterator[pd.DataFrame]:
    """Yield blocks of molecules, with columns named by role."""
    blocks = read_delimited(
        path,
        header,
        usecols=sorted(columns.values()),
        dtype={column: str if role == "gene" else np.int64 for role, column in columns.items()},
        keep_default_na=False,
        chunksize=BLOCK_SIZE,
    )
    for block in blocks:
        yield block.rename(columns={column: role for role, column in columns.items()})


def _encode_genes(genes: pd.Series, codes: dict[str, int]) -> np.ndarray:
    """Return the genes of molecules as integers, and add new genes to `codes`."""
    code_in_block, names = pd.factorize(genes)
    code = np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)
    return code[code_in_block]


def _read_squares(file: h5py.File, path: Path, size: int) -> AnnData:
    """Sum the molecules of ``geneExp/bin1``, which are sorted by gene, in blocks."""
    if "geneExp/bin1" not in file:
        content = join_names(file["geneExp"]) if "geneExp" in file else join_names(file)
        raise InputError(f"path='{path}' lacks geneExp/bin1 (it holds {content}); pass the .raw.gef or .tissue.gef")
    genes, molecules = file["geneExp/bin1/gene"][:], file["geneExp/bin1/expression"]
    ends = (genes["offset"].astype(np.int64) + genes["count"]).astype(np.int64)
    if len(ends) == 0 or ends[-1] != len(molecules):
        raise InputError(f"path='{path}' has genes that do not fit its {len(molecules)} molecules; {REDOWNLOAD_HINT}")
    bins = SquareBins(size)
    for start in range(0, len(molecules), BLOCK_SIZE):
        block = molecules[start : start + BLOCK_SIZE]
        gene = np.searchsorted(ends, np.arange(start, start + len(block)), side="right")
        bins.add(gene, block["x"].astype(np.int64), block["y"].astype(np.int64), block["count"])
    return bins.result(_gene_names(genes))


def _read_cells(file: h5py.File, path: Path) -> AnnData:
    """Read the cells of a segmentation, with their centroids."""
    if "cellBin/cell" not in file:
        raise InputError(f"path='{path}' lacks cellBin/cell (it holds {join_names(file)}); pass a .cellbin.gef")
    cells, genes, counts = (file[f"cellBin/{name}"][:] for name in ("cell", "gene", "cellExp"))
    indptr = np.append(cells["offset"].astype(np.int64), len(counts))
    if (np.diff(indptr) != cells["geneCount"]).any():
        raise InputError(f"path='{path}' has cells that do not fit its {len(counts)} counts; {REDOWNLOAD_HINT}")
    matrix = sparse.csr_matrix((counts["count"], counts["geneID"].astype(np.int64), indptr), (len(cells), len(genes)))
    adata = to_anndata(matrix, cells["id"], _gene_names(genes))
    adata.obsm["spatial"] = np.column_stack([cells["x"], cells["y"]]).astype(float)
    for name in ("area", "dnbCount"):
        if name in (cells.dtype.names or ()):
            adata.obs[name] = cells[name].astype(float)
    return adata


def _gene_names(genes: np.ndarray) -> list[str]:
    """Return the gene names, whose field differs between releases."""
    field = next(name for name in ("geneName", "gene", "geneID") if name in (genes.dtype.names or ()))
    return [name.decode() if isinstance(name, bytes) else str(name) for name in genes[field]]
