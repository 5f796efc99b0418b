"""BGI/STOmics Stereo-seq: molecules as text (``.gem``) or HDF5 (``.gef``), in squares or in cells.

Read directly: spatialdata-io wants the whole folder of a SAW run, with its registered images and clusters, and has no
reader of ``.gem``. The layout of the HDF5 files is the one that it (0.7) reads. Coordinates stay in the unit of the
chip, the distance of two DNBs (500 nm).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._check import InputError, check_int
from spacex.io._bins import CellBins, SquareBins
from spacex.io._counts import assemble, unique_genes
from spacex.io._delimited import Header, is_text_table, read_delimited, read_header
from spacex.io._files import COPY_AGAIN, listed, reading, require_hdf5
from spacex.io._request import Request

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

LAYOUT = "a Stereo-seq .gem, .gem.gz or .gef"
FILES: tuple[str, ...] = ("*.gem", "*.gem.gz", "*.gef")
DEFAULT_BIN = 50  # 25 µm
MAX_BIN = 1_000_000  # larger than any chip
BLOCK = 5_000_000  # molecules
_FORMS = (".gem", ".gem.gz", ".gef")
_CELL_FORMS = (".cellbin.gef", ".cellbin.gem", ".cellbin.gem.gz")
_COUNTS = ("MIDCount", "MIDCounts", "UMICount", "count")
_GENES = ("geneName", "geneID", "gene")
_CELLS = ("CellID", "cell_id", "cellID", "cell", "label")


def sniff(request: Request) -> bool:
    """Whether a file is one of Stereo-seq, by its name or by the header of a GEM; or a folder holds such files."""
    return bool(_chips(request)) if request.is_folder else _is_chip(request.path)


def _is_chip(path: Path) -> bool:
    if path.name.casefold().endswith(_FORMS):
        return True
    if not is_text_table(path):
        return False
    with suppress(InputError):
        return {"geneid", "x", "y", "midcount"} <= {_folded(name) for name in read_header(path).names}
    return False


def _folded(name: str) -> str:
    """A column of a GEM by the name that it has in the format's description."""
    if name in _COUNTS:
        return "midcount"
    return "geneid" if name in _GENES else name


def _chips(request: Request) -> list[Path]:
    return [path for path in request.folder.entries if path.is_file() and _is_chip(path)]


def read(request: Request) -> AnnData:
    """Read one file: molecules summed in squares of `bin` DNBs, or in cells."""
    path = request.path
    if request.is_folder:
        chips = _chips(request)
        if len(chips) > 1:
            raise InputError(f"path='{path}' holds several Stereo-seq files, {listed(c.name for c in chips)}; pass one")
        path = chips[0]
    name, bin = path.name.casefold(), request.bin
    is_gef = name.endswith(".gef")
    is_cells = name.endswith(_CELL_FORMS)
    if is_cells and bin is not None:
        raise InputError(f"bin={bin!r} does not apply to '{path}', which has cells; leave it out")
    size = check_int(_as_number(bin), name="bin", low=1, high=MAX_BIN)
    if not is_gef:
        return unique_genes(_read_gem(path, size, cells=is_cells), path)
    require_hdf5(path)
    with reading(path, "GEF file"):
        return unique_genes(_read_cells(path) if is_cells else _read_squares(path, size), path)


def _as_number(bin: str | int | None) -> Any:
    """Return `bin` as a number where it is one, also as the text "bin50" or "50" of a command line."""
    if isinstance(bin, str) and bin.removeprefix("bin").isdecimal():
        return int(bin.removeprefix("bin"))
    return DEFAULT_BIN if bin is None else bin


def _read_gem(path: Path, size: int, *, cells: bool) -> AnnData:
    """Read molecules; comments come before the header, and names of columns vary."""
    header = read_header(path)
    gene, count, cell = (
        next((name for name in names if name in header.names), None) for names in (_GENES, _COUNTS, _CELLS)
    )
    missing = [name for name in ("x", "y") if name not in header.names]
    missing += [] if gene else ["geneID"]
    missing += [] if count else ["MIDCount"]
    missing += ["CellID"] if cells and not cell else []
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {listed(missing)} of a GEM file; {COPY_AGAIN}")
    bins: SquareBins | CellBins = CellBins() if cells else SquareBins(size)
    codes = dict[str, int]()
    with reading(path, "GEM file"):
        for block in _blocks(path, header, str(gene), str(count), cell if cells else None):
            if (block["count"] < 0).any():
                raise InputError(f"path='{path}' holds negative counts; {COPY_AGAIN}")
            gene_code = _coded(block["gene"], codes)
            x, y, counts = (block[name].to_numpy() for name in ("x", "y", "count"))
            if isinstance(bins, CellBins):
                bins.add(gene_code, block["cell"].to_numpy(), x, y, counts)
            else:
                bins.add(gene_code, x, y, counts)
        if not codes:
            raise InputError(f"path='{path}' has a header and no molecules; {COPY_AGAIN}")
        return bins.result(list(codes))


def _blocks(path: Path, header: Header, gene: str, count: str, cell: str | None) -> Iterator[pd.DataFrame]:
    """Molecules block by block, columns by their role."""
    roles = {"gene": gene, "x": "x", "y": "y", "count": count} | ({"cell": cell} if cell else {})
    number = {role: header.names.index(str(name)) for role, name in roles.items()}
    blocks = read_delimited(
        path,
        header,
        usecols=sorted(number.values()),
        dtype={column: str if role == "gene" else np.int64 for role, column in number.items()},
        keep_default_na=False,
        chunksize=BLOCK,
    )
    for block in blocks:
        yield block.rename(columns={column: role for role, column in number.items()})


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
            found = listed(file["geneExp"]) if "geneExp" in file else listed(file)
            raise InputError(f"path='{path}' lacks geneExp/bin1 (it holds {found}); pass the .raw.gef or .tissue.gef")
        genes, molecules = file["geneExp/bin1/gene"][:], file["geneExp/bin1/expression"]
        ends = (genes["offset"].astype(np.int64) + genes["count"]).astype(np.int64)
        if len(ends) == 0 or ends[-1] != len(molecules):
            raise InputError(f"path='{path}' has genes that do not fit its {len(molecules)} molecules; {COPY_AGAIN}")
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
                f"path='{path}' lacks cellBin/cell (it holds {listed(file)}); pass the .cellbin.gef of a run"
            )
        cells, genes, counts = (file[f"cellBin/{name}"][:] for name in ("cell", "gene", "cellExp"))
    indptr = np.append(cells["offset"].astype(np.int64), len(counts))
    if (np.diff(indptr) != cells["geneCount"]).any():
        raise InputError(f"path='{path}' has cells that do not fit its {len(counts)} counts; {COPY_AGAIN}")
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
