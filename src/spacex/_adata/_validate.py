"""That what is given is an AnnData at all, and one that slots can be written to: everything else assumes it."""

from __future__ import annotations

from typing import Any

from anndata import AnnData

from spacex._infra.errors import InputError


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
