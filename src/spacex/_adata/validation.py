"""That what is given is an AnnData at all, and one that slots can be written to: everything else assumes it."""

from __future__ import annotations

from typing import Any

from anndata import AnnData

from spacex._adata.tissue_mask import read_tissue_mask
from spacex._infra.errors import InputError

MIN_PIXELS = 10
"""Minimum number of spots of a section, and of pixels with counts."""


def check_adata(adata: Any, *, name: str = "adata", writes: bool = False) -> None:
    """Raise `InputError` for what is not an AnnData. Names and columns that were left on disk are read.

    `writes`: slots are going to be written. A view then gets arrays of its own, as anndata does on the first change
    of one; those of a view of a backed file are read from it, which anndata leaves to the caller.
    """
    if isinstance(adata, AnnData):
        if writes and adata.is_view:
            adata._init_as_actual(adata.to_memory() if adata.isbacked else adata.copy())
        for part in ("obs", "var"):
            if hasattr(columns := getattr(adata, part), "to_memory"):  # of anndata.experimental.read_lazy
                setattr(adata, part, columns.to_memory())
        return
    kind = type(adata).__name__
    hint = "read it first: sx.read(path)" if kind in ("str", "PosixPath", "WindowsPath") else "pass one"
    raise InputError(f"{name} is a {kind}, not an AnnData; {hint}")


def check_genes_and_spots(adata: AnnData) -> None:
    """Raise `InputError` for too few genes or spots, or gene names that are not unique."""
    if adata.n_vars < 2:
        raise InputError(f"adata has {adata.n_vars} gene(s); SpaCEX compares genes and needs at least 2")
    check_n_spots(adata)
    check_unique_gene_names(adata)


def check_n_spots(adata: AnnData) -> None:
    """Raise `InputError` for too few spots in the tissue."""
    n_spots = int(read_tissue_mask(adata).sum())
    if n_spots < MIN_PIXELS:
        where = f" in the tissue, of {adata.n_obs}" if n_spots < adata.n_obs else ""
        raise InputError(f"adata has {n_spots} spot(s){where}; SpaCEX needs at least {MIN_PIXELS}")


def check_unique_gene_names(adata: AnnData) -> None:
    """Raise `InputError` for gene names that are not unique."""
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        raise InputError(
            f"{len(twice)} gene name(s) occur more than once (first: {twice[0]!r}); call adata.var_names_make_unique()"
        )
