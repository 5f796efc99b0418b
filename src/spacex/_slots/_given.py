"""That what is given is an AnnData at all: everything else assumes it."""

from __future__ import annotations

from typing import Any

from anndata import AnnData

from .._check import InputError


def check_adata(adata: Any, *, name: str = "adata") -> None:
    """Raise `InputError` for what is not an AnnData. Names and columns that were left on disk are read."""
    if isinstance(adata, AnnData):
        for part in ("obs", "var"):
            if hasattr(columns := getattr(adata, part), "to_memory"):  # of anndata.experimental.read_lazy
                setattr(adata, part, columns.to_memory())
        return
    kind = type(adata).__name__
    mend = "read it first: sx.read(path)" if kind in ("str", "PosixPath", "WindowsPath") else "pass one"
    raise InputError(f"{name} is a {kind}, not an AnnData; {mend}")
