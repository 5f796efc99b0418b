"""BGI/STOmics Stereo-seq: molecules as text (``.gem``) or HDF5 (``.gef``), and cells (``.cellbin.gef``).

Read directly: spatialdata-io wants the whole folder of a SAW run, with its registered images and clusters, and has no
reader of ``.gem``. The layout of the HDF5 files is the one that it (0.7) reads. Coordinates stay in the unit of the
chip, the distance of two DNBs (500 nm).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._check import InputError, check_int
from spacex.io._bins import SquareBins
from spacex.io._counts import assemble, open_text, unique_genes
from spacex.io._files import COPY_AGAIN, listed, reading, require_hdf5

if TYPE_CHECKING:
    from anndata import AnnData

FORMS = (".gem", ".gem.gz", ".gef")
DEFAULT_BIN = 50  # 25 µm
LARGEST_BIN = 1_000_000  # larger than any chip
BLOCK = 5_000_000  # molecules
_COUNTS = ("MIDCount", "MIDCounts", "UMICount", "count")


def read_stereoseq(path: Path, bin: str | int | None) -> AnnData:
    """Read one file: molecules summed in squares of `bin` DNBs, or cells."""
    is_cells = path.name.casefold().endswith(".cellbin.gef")
    if is_cells and bin is not None:
        raise InputError(f"bin={bin!r} does not apply to '{path}', which has cells; leave it out")
    size = check_int(_as_number(bin), name="bin", low=1, high=LARGEST_BIN) if not is_cells else 0
    if path.suffix.casefold() != ".gef":
        return unique_genes(_read_gem(path, size), path)
    require_hdf5(path)
    with reading(path, "GEF file"):
        return unique_genes(_read_cells(path) if is_cells else _read_squares(path, size), path)


def _as_number(bin: str | int | None) -> Any:
    """Return `bin` as a number where it is one, also as the text "bin50" or "50" of a command line."""
    if isinstance(bin, str) and bin.removeprefix("bin").isdecimal():
        return int(bin.removeprefix("bin"))
    return DEFAULT_BIN if bin is None else bin


def _read_gem(path: Path, size: int) -> AnnData:
    """Read molecules; lines of notes that begin with # come before the header, and names of columns vary."""
    import pandas as pd

    with reading(path, "GEM file"):
        notes, columns = _gem_header(path)
    count = next((name for name in _COUNTS if name in columns), None)
    gene = next((name for name in ("geneName", "geneID", "gene") if name in columns), None)
    missing = [name for name in ("x", "y") if name not in columns]
    missing += [] if gene else ["geneID"]
    missing += [] if count else ["MIDCount"]
    if missing:
        raise InputError(f"path='{path}' lacks the column(s) {listed(missing)} of a GEM file; {COPY_AGAIN}")
    bins, codes = SquareBins(size), dict[str, int]()
    with reading(path, "GEM file"):
        blocks = pd.read_csv(
            path,
            sep="\t",
            skiprows=notes,
            usecols=[gene, "x", "y", count],
            dtype={gene: str, "x": np.int64, "y": np.int64, count: np.int64},
            keep_default_na=False,
            chunksize=BLOCK,
        )
        for block in blocks:
            if (block[count] < 0).any():
                raise InputError(f"path='{path}' holds negative counts; {COPY_AGAIN}")
            number, names = pd.factorize(block[gene])
            known = np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)
            bins.add(known[number], block["x"].to_numpy(), block["y"].to_numpy(), block[count].to_numpy())
    if not codes:
        raise InputError(f"path='{path}' has a header and no molecules; {COPY_AGAIN}")
    return bins.result(list(codes))


def _gem_header(path: Path) -> tuple[int, list[str]]:
    """Return how many lines of notes there are, and the names of the columns."""
    with open_text(path) as file:
        for number, line in enumerate(file):
            if not line.startswith("#"):
                return number, line.split()
    return 0, []


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
