"""The matrices of an AnnData that may hold the counts: ``X``, layers of usual names and ``.raw``, in this order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from anndata import AnnData

from spacex._infra.errors import InputError
from spacex._infra.validation import check_name

X, RAW = "X", "raw"
LAYERS = (
    "counts", "raw_counts", "counts_raw", "rawcounts", "raw", "count", "umi", "umis", "umi_counts", "umi_count",
    "unnormalized", "original_counts",
)  # fmt: skip
"""Usual names of layers with counts, in lower case, in the order in which they are tried."""


T = TypeVar("T")


class Source(NamedTuple):
    """A matrix that may hold the counts.

    Attributes
    ----------
    layer
        What `layer` is to be to get it again.
    name
        The matrix in messages.
    matrix
        (S, N) in memory or on disk.
    genes
        (G,) number of its column for every gene of the AnnData; None: they are the columns.
    """

    layer: str
    name: str
    matrix: Any
    genes: np.ndarray | None = None

    def of_genes(self, values: np.ndarray) -> np.ndarray:
        """Values (G, ...) of the genes of the AnnData, from those of the matrix (N, ...)."""
        return values if self.genes is None else values[self.genes]


def sources(adata: AnnData, layer: str | None) -> list[Source]:
    """The matrix that `layer` names, or all that are tried where it is None, in their order.

    ``"X"`` and ``"raw"`` name ``X`` and ``.raw`` where no layer has that name.
    """
    check_name(layer, name="layer")
    if layer is None:
        usual = {str(name).casefold(): name for name in list(adata.layers)[::-1] if name is not None}
        layers = [_layer(adata, usual[name]) for name in LAYERS if name in usual]
        found = [source for source in (_x(adata), *layers, _raw(adata)) if source is not None]
    else:
        found = [_named(adata, layer)]
    if not found:
        raise InputError("adata.X is empty; put raw counts there")
    return found


def _named(adata: AnnData, layer: str) -> Source:
    if layer in adata.layers:
        source, what = _layer(adata, layer), f"layers[{layer!r}] is empty; put raw counts there"
    elif layer == X:
        source, what = _x(adata), "X is empty; put raw counts there"
    elif layer == RAW and adata.raw is not None:
        source, what = _raw(adata), "raw lacks genes of adata.var_names, or has some twice; pass another layer"
    else:
        # From 0.13 on AnnData keeps X among the layers, under None.
        known = ", ".join(repr(name) for name in adata.layers if name is not None) or "none"
        raise InputError(f"layer={layer!r} is not in adata.layers (there: {known}); pass one of them or layer=None")
    if source is None:
        raise InputError(f"adata.{what}")
    return source


def _x(adata: AnnData) -> Source | None:
    return None if adata.X is None else Source(X, "X", adata.X)


def _layer(adata: AnnData, name: str) -> Source | None:
    matrix = adata.layers[name]
    return None if matrix is None else Source(name, f"layers[{name!r}]", matrix)


def _raw(adata: AnnData) -> Source | None:
    """``.raw`` where it has every gene of the AnnData, by name; it may have more."""
    if adata.raw is None or not adata.raw.var_names.is_unique:
        return None
    genes = adata.raw.var_names.get_indexer(adata.var_names)
    same = len(genes) == adata.raw.n_vars and bool((genes == np.arange(len(genes))).all())
    return None if (genes < 0).any() else Source(RAW, "raw", adata.raw.X, None if same else genes)


def first_of_counts(
    adata: AnnData, layer: str | None, look: Callable[[Source], tuple[T, bool]]
) -> tuple[Source, T, bool]:
    """The source to work on, what `look` makes of it, and whether it holds counts, which `look` says too.

    The first that holds counts; else the first of all. One that cannot be used holds none.
    """
    first, *others = sources(adata, layer)
    refusal: InputError | None = None
    try:
        found, is_count = look(first)
    except InputError as error:
        refusal, is_count = error, False
    if is_count:
        return first, found, True
    for source in others:
        with suppress(InputError):
            other, is_count = look(source)
            if is_count:
                return source, other, True
    if refusal is not None:
        raise refusal
    return first, found, False
