"""Counts in the HDF5 format of 10x Genomics, and the selection of genes among its features.

Read with h5py: ``scanpy.read_10x_h5`` accepts only the integer types that Cell Ranger writes, but R writes doubles.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from scipy import sparse

from spacex._infra.errors import InputError
from spacex._infra.validation import check_sparse_indices
from spacex.io._counts import make_gene_names_unique, select_genes, to_anndata
from spacex.io._file_checks import check_hdf5
from spacex.io._files import REDOWNLOAD_HINT, decompressed, has_suffix, join_names, translate_errors

logger = logging.getLogger("spacex")

_NAMES, _IDS = ("name", "gene_names"), ("id", "genes")
"""Datasets of the names and identifiers of features, since version 3 of the format and before it."""

_GENES = "gene expression"
_NOT_GENES = re.compile(
    r"antibody.*|protein( expression| scaffold.*)?|crispr.*|multiplexing.*|peaks|negative.*|.*control.*|blank.*|"
    r".*codeword.*|.*unassigned.*|deprecated.*|intergenic.*"
)
"""Types of features, in lower case, that are not genes."""


def is_10x_h5(path: Path) -> bool:
    """Whether a file has the suffix of a 10x HDF5 matrix, compressed or not."""
    return has_suffix(path, ".h5")


def read_10x_h5(path: Path) -> AnnData:
    """Read the genes of a 10x matrix, with unique names; ``var["gene_ids"]`` holds their identifiers."""
    with decompressed(path) as plain:
        check_hdf5(path, plain)
        with translate_errors(path, "10x matrix"), h5py.File(plain, "r") as file:
            group = _matrix_group(file, path)
            n_genes, n_spots = map(int, _to_int64(group["shape"][:], "shape"))
            data = group["data"][:].astype(np.float32)
            indices, indptr = (_to_int64(group[name][:], name) for name in ("indices", "indptr"))
            barcodes = _decode(group["barcodes"])
            features = group.get("features", group)
            ids, names = (_first_dataset(features, fields) for fields in (_IDS + _NAMES, _NAMES + _IDS))
            types = _decode(features["feature_type"]) if "feature_type" in features else None
            if len(indptr) != n_spots + 1 or len(indices) != len(data):
                raise InputError(
                    f"path='{path}' is damaged: its arrays do not fit a matrix {n_genes} x {n_spots}; {REDOWNLOAD_HINT}"
                )
            matrix = sparse.csr_matrix((data, indices, indptr), shape=(n_spots, n_genes))  # genes x spots by columns
    adata = to_anndata(check_sparse_indices(matrix, what=f"path='{path}' is damaged"), barcodes, names)
    adata.var["gene_ids"] = ids
    return make_gene_names_unique(drop_other_features(adata, types, path), path)


def _matrix_group(file: h5py.File, path: Path) -> Any:
    """Return the group of the matrix: ``matrix`` since Cell Ranger 3, the only genome before it."""
    groups = [name for name in file if "barcodes" in getattr(file[name], "keys", list)()]
    if len(groups) != 1:
        raise InputError(
            f"path='{path}' must hold one 10x matrix of one genome, and holds "
            f"{join_names(groups) or 'none'}; pass another file"
        )
    return file[groups[0]]


def _to_int64(values: np.ndarray, name: str) -> np.ndarray:
    """Convert indices, which R writes as doubles."""
    integers = values.astype(np.int64)
    if (integers != values).any():
        raise ValueError(f"{name} holds numbers that are not integers")
    return integers


def _first_dataset(group: Any, names: tuple[str, ...]) -> list[str]:
    """Read the first dataset that exists: names differ between versions, and R omits some."""
    name = next((name for name in names if name in group), None)
    if name is None:
        raise ValueError("it holds no feature names")
    return _decode(group[name])


def _decode(dataset: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in dataset[:]]


def drop_other_features(adata: AnnData, types: Sequence[str] | None, path: Path) -> AnnData:
    """Return the genes among the features, by their types (G,); None: all features are genes.

    Genes are of the type "Gene Expression" if any feature is, else of any type that is not a control, an antibody and
    the like: biotypes such as "protein_coding" are types of genes. If no feature is a gene, all are kept.
    """
    if types is None:
        return adata
    lower = [str(kind).strip().casefold() for kind in types]
    is_gene = np.array([kind == _GENES for kind in lower], dtype=bool)
    if not is_gene.any():
        is_gene = np.array([_NOT_GENES.fullmatch(kind) is None for kind in lower], dtype=bool)
    if not is_gene.any():
        logger.info("%s: no feature is a gene; all are kept (%s)", path.name, join_names(sorted(set(types))[:5]))
        return adata
    return adata if is_gene.all() else select_genes(adata, is_gene)
