"""Matrices of an AnnData that may hold counts: ``X``, layers with common names and ``.raw``, in this order."""

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
"""Common names of layers with counts, in lower case, in the order in which they are tried."""

T = TypeVar("T")


class Source(NamedTuple):
    """A matrix that may hold counts.

    Attributes
    ----------
    layer
        Value of ``layer=`` that selects it.
    name
        Its name in messages.
    matrix
        (S, N), in memory or on disk.
    genes
        (G,) column of each gene of the AnnData; None if the columns are the genes.
    """

    layer: str
    name: str
    matrix: Any
    genes: np.ndarray | None = None


def sources(adata: AnnData, layer: str | None) -> list[Source]:
    """Return the matrix that `layer` names, or, if it is None, all matrices that may hold counts, in order.

    ``"X"`` and ``"raw"`` name ``X`` and ``.raw``, unless a layer has that name.
    """
    check_name(layer, name="layer")
    if layer is None:
        by_folded_name = {str(name).casefold(): name for name in list(adata.layers)[::-1] if name is not None}
        layers = [_layer(adata, by_folded_name[name]) for name in LAYERS if name in by_folded_name]
        candidates = [source for source in (_x(adata), *layers, _raw(adata)) if source is not None]
    else:
        candidates = [_named(adata, layer)]
    if not candidates:
        raise InputError("adata.X is empty; put raw counts there")
    return candidates


def _named(adata: AnnData, layer: str) -> Source:
    if layer in adata.layers:
        source, problem = _layer(adata, layer), f"layers[{layer!r}] is empty; put raw counts there"
    elif layer == X:
        source, problem = _x(adata), "X is empty; put raw counts there"
    elif layer == RAW and adata.raw is not None:
        source, problem = _raw(adata), "raw lacks genes of adata.var_names, or has duplicate names; pass another layer"
    else:
        # AnnData >= 0.13 keeps X among the layers, under None.
        layers = ", ".join(repr(name) for name in adata.layers if name is not None) or "none"
        raise InputError(
            f"layer={layer!r} is not in adata.layers (available: {layers}); pass one of them or layer=None"
        )
    if source is None:
        raise InputError(f"adata.{problem}")
    return source


def _x(adata: AnnData) -> Source | None:
    return None if adata.X is None else Source(X, "X", adata.X)


def _layer(adata: AnnData, name: str) -> Source | None:
    matrix = adata.layers[name]
    return None if matrix is None else Source(name, f"layers[{name!r}]", matrix)


def _raw(adata: AnnData) -> Source | None:
    """``.raw`` if it has every gene of the AnnData, by name; it may have more genes."""
    if adata.raw is None or not adata.raw.var_names.is_unique:
        return None
    genes = adata.raw.var_names.get_indexer(adata.var_names)
    same_genes = len(genes) == adata.raw.n_vars and bool((genes == np.arange(len(genes))).all())
    return None if (genes < 0).any() else Source(RAW, "raw", adata.raw.X, None if same_genes else genes)


class NotCounts(Exception):
    """A matrix holds values other than counts, although another one may hold counts."""


def read_first_with_counts(
    adata: AnnData, layer: str | None, read: Callable[[Source, bool], tuple[T, bool]]
) -> tuple[Source, T, bool]:
    """Read the matrix that `layer` names, or else the first with counts.

    Parameters
    ----------
    adata, layer
        As for `sources`.
    read
        Called as ``read(source, counts_only)``; returns the result and whether the matrix holds counts. If
        `counts_only` is set it may raise `NotCounts` as soon as it meets another value.

    Returns
    -------
    The matrix, the result of `read`, and whether the matrix holds counts. If none of several matrices can be used and
    holds counts, the first one is read again and returned.
    """
    candidates = sources(adata, layer)
    for source in candidates if len(candidates) > 1 else []:
        with suppress(InputError, NotCounts):
            value, is_count = read(source, True)
            if is_count:
                return source, value, True
    value, is_count = read(candidates[0], False)
    return candidates[0], value, is_count
