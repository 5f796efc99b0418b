"""The two spaces of gene vectors: spatial patterns in this section, and function."""

from __future__ import annotations

from typing import Literal

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.validation import check_choice

Space = Literal["section", "cofunction"]
SpaceArgument = Literal["auto", "section", "cofunction"]


def resolve_space(adata: AnnData, space: SpaceArgument) -> Space:
    """Return the space that an argument means: ``"auto"`` is that of function if the embedding has a reference."""
    check_choice(space, name="space", allowed=("auto", "section", "cofunction"))
    if space == "auto":
        return "cofunction" if _adata.has_reference(adata) else "section"
    return space


def read_vectors(adata: AnnData, space: Space) -> np.ndarray:
    """Vectors (G, D) of the genes in a space, NaN where there are none; raises `InputError` if they are missing."""
    return _adata.read_embedding(adata) if space == "section" else _adata.read_cofunction(adata)
