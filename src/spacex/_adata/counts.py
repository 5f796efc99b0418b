"""The choice of the matrix that is worked on: made and told once for each call of a user."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from anndata import AnnData

from spacex._adata.matrix import holds_counts
from spacex._adata.sources import RAW, X, first_of_counts
from spacex._adata.tissue_mask import read_tissue_mask
from spacex._adata.uns import read_embedded_layer, read_uns

logger = logging.getLogger("spacex")


def choose_matrix(adata: AnnData, layer: str | None, *, fresh: bool = False) -> str:
    """The matrix to work on, as ``layer=`` names it: `layer`; else that of the embedding; else the first with counts.

    Where no matrix holds counts, ``X`` is taken as intensities. One line says so, or which matrix takes the place of
    ``X``, but not where the embedding was made of the same. `fresh` is for a new embedding. An error for a matrix that
    cannot be used; one on disk is judged by a few blocks, and checked as it is read.
    """
    wanted = layer if layer is not None or fresh else read_embedded_layer(adata)
    in_tissue = read_tissue_mask(adata)
    source, _, is_count = first_of_counts(adata, wanted, lambda source: (None, holds_counts(source, in_tissue)))
    noted = {} if fresh else read_uns(adata).get("embed", {})
    if (
        noted
        and isinstance(noted, Mapping)
        and (noted.get("layer") or X, noted.get("is_count")) == (source.layer, is_count)
    ):
        return source.layer
    if not is_count:
        logger.warning(
            "%s does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
            "pass layer= with raw counts where there are any",
            source.name,
        )
    elif wanted is None and source.layer != X:
        logger.warning("X does not hold counts; %s is used", ".raw" if source.name == RAW else source.name)
    return source.layer
