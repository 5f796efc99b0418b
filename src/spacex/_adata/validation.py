"""Validation of an AnnData: its type, its size and its names."""

from __future__ import annotations

from typing import Any

from anndata import AnnData

from spacex._adata.tissue_mask import read_tissue_mask
from spacex._infra.errors import InputError

MIN_PIXELS = 10
"""Minimum number of spots of a section, and of pixels with counts."""


def prepare_adata(adata: Any, *, name: str = "adata", writes: bool = False) -> None:
    """Validate the type of an AnnData, and load or copy the parts that later steps need.

    Parameters
    ----------
    adata
        The argument of the caller. Lazy ``obs`` and ``var`` are loaded.
    name
        Name of the argument.
    writes
        Whether slots will be written. A view is then replaced by a copy, as on the first write to a view; a view of a
        backed file is loaded, since anndata cannot copy it.

    Raises
    ------
    InputError
        If `adata` is not an AnnData.
    """
    if isinstance(adata, AnnData):
        if writes and adata.is_view:
            adata._init_as_actual(adata.to_memory() if adata.isbacked else adata.copy())
        for part in ("obs", "var"):
            if hasattr(columns := getattr(adata, part), "to_memory"):  # from anndata.experimental.read_lazy
                setattr(adata, part, columns.to_memory())
        return
    kind = type(adata).__name__
    hint = "read it first: sx.read(path)" if kind in ("str", "PosixPath", "WindowsPath") else "pass one"
    raise InputError(f"{name} is a {kind}, not an AnnData; {hint}")


def check_genes_and_spots(adata: AnnData) -> None:
    """Raise `InputError` if there are too few genes or spots, or gene names are not unique."""
    if adata.n_vars < 2:
        raise InputError(f"adata has {adata.n_vars} gene(s); SpaCEX compares genes and needs at least 2")
    check_n_spots(adata)
    check_unique_gene_names(adata)


def check_n_spots(adata: AnnData) -> None:
    """Raise `InputError` if there are too few spots in the tissue."""
    n_spots = int(read_tissue_mask(adata).sum())
    if n_spots < MIN_PIXELS:
        of_all = f" in the tissue, of {adata.n_obs}" if n_spots < adata.n_obs else ""
        raise InputError(f"adata has {n_spots} spot(s){of_all}; SpaCEX needs at least {MIN_PIXELS}")


def check_unique_gene_names(adata: AnnData) -> None:
    """Raise `InputError` if gene names are not unique."""
    if not adata.var_names.is_unique:
        duplicates = adata.var_names[adata.var_names.duplicated()].unique()
        raise InputError(
            f"{len(duplicates)} gene name(s) occur more than once (first: {duplicates[0]!r}); "
            "call adata.var_names_make_unique()"
        )
