"""Counts in the HDF5 format of 10x Genomics, and which of their features are genes.

Read with h5py: `scanpy.read_10x_h5` takes the integer types that Cell Ranger writes alone, where R writes doubles.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices
from spacex.io._counts import assemble, unique_genes
from spacex.io._files import PACKED, REDOWNLOAD_HINT, join_names, reading, require_hdf5, unpacked

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("spacex")

_SYMBOLS, _IDS = ("name", "gene_names"), ("id", "genes")
"""Names of features and their identifiers, since version 3 of the format and before it."""

_NAME = re.compile(rf"\.h5{PACKED}$", re.IGNORECASE)
_GENES = "gene expression"
_NOT_GENES = re.compile(
    r"antibody.*|protein( expression| scaffold.*)?|crispr.*|multiplexing.*|peaks|negative.*|.*control.*|blank.*|"
    r".*codeword.*|.*unassigned.*|deprecated.*|intergenic.*"
)
"""Types of features, in lower case, that are no genes."""


def is_10x_h5(path: Path) -> bool:
    """Whether the name of a file is that of a 10x matrix, compressed or not."""
    return _NAME.search(path.name) is not None


def read_10x_h5(path: Path) -> AnnData:
    """Read a 10x matrix, its genes only, with unique names; ``var["gene_ids"]`` has their identifiers."""
    import h5py

    with unpacked(path) as plain:
        require_hdf5(path, plain)
        with reading(path, "10x matrix"), h5py.File(plain, "r") as file:
            group = _matrix_group(file, path)
            shape = _whole(group["shape"][:], "shape")
            data = group["data"][:].astype(np.float32)
            indices, indptr = (_whole(group[name][:], name) for name in ("indices", "indptr"))
            barcodes = _texts(group["barcodes"])
            features = group.get("features", group)
            ids, names = (_first_of(features, kinds) for kinds in (_IDS + _SYMBOLS, _SYMBOLS + _IDS))
            types = _texts(features["feature_type"]) if "feature_type" in features else None
    adata = assemble(_matrix([data, indices, indptr], shape, path), barcodes, names)
    adata.var["gene_ids"] = ids
    return unique_genes(genes_of(adata, types, path), path)


def _matrix_group(file: Any, path: Path) -> Any:
    """The group of the matrix: ``matrix`` since Cell Ranger 3, before it the only genome."""
    groups = [name for name in file if "barcodes" in getattr(file[name], "keys", list)()]
    if len(groups) != 1:
        raise InputError(
            f"path='{path}' must hold one 10x matrix of one genome, and holds "
            f"{join_names(groups) or 'none'}; pass another"
        )
    return file[groups[0]]


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    """Indices as 64-bit integers; R writes them as doubles."""
    whole = values.astype(np.int64)
    if (whole != values).any():
        raise ValueError(f"{name} holds numbers that are not whole")
    return whole


def _matrix(parts: list[np.ndarray], shape: np.ndarray, path: Path) -> Any:
    """Counts (spots, genes) from the parts of a matrix (genes, spots) by columns."""
    from scipy import sparse

    data, indices, indptr = parts
    n_genes, n_spots = (int(length) for length in shape)
    if len(indptr) != n_spots + 1 or len(indices) != len(data):
        raise InputError(
            f"path='{path}' is damaged: its parts do not fit a matrix {n_genes} x {n_spots}; {REDOWNLOAD_HINT}"
        )
    with reading(path, "10x matrix"):
        matrix = sparse.csr_matrix((data, indices, indptr), shape=(n_spots, n_genes))
    return check_sparse_indices(matrix, what=f"path='{path}' is damaged")


def _first_of(group: Any, names: tuple[str, ...]) -> list[str]:
    """The first of some arrays that is there: version 2 of the format has other names, and R leaves some out."""
    present = next((name for name in names if name in group), None)
    if present is None:
        raise ValueError("it holds no names of features")
    return _texts(group[present])


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values[:]]


def genes_of(adata: AnnData, types: Sequence[str] | None, path: Path) -> AnnData:
    """Return the genes among features of these types (G,): "Gene Expression", or all that are no controls.

    A biotype, such as "protein_coding", is the type of a gene. Where all features are of other types, such as
    antibodies, they are kept.
    """
    if types is None:
        return adata
    folded = [str(kind).strip().casefold() for kind in types]
    is_gene = np.array([kind == _GENES for kind in folded], dtype=bool)
    if not is_gene.any():
        is_gene = np.array([_NOT_GENES.fullmatch(kind) is None for kind in folded], dtype=bool)
    if not is_gene.any():
        logger.info("%s: no feature is a gene; all are kept (%s)", path.name, join_names(sorted(set(types))[:5]))
        return adata
    if is_gene.all():
        return adata
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return adata[:, is_gene].copy()
