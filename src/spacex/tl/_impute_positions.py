"""Coordinates of the spots of a target and a reference, and the spots in the tissue."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.validation import check_name

logger = logging.getLogger("spacex")


def spots_in_tissue(adata: AnnData, name: str) -> AnnData:
    """Return the spots in the tissue and log how many are omitted."""
    _adata.log_off_tissue(_adata.read_tissue_mask(adata), of=name)
    return _adata.subset_to_tissue(adata)


def target_positions(
    target: AnnData, spatial_key: str, library_key: str | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Coordinates (S, 2) of the target cells, None if missing, and their sections (S,)."""
    check_name(spatial_key, name="spatial_key")
    section, _ = _adata.read_sections(target, library_key)
    if spatial_key == "spatial" and not _adata.has_positions(target):
        keys = " or ".join(f"spatial_key={key!r}" for key in _adata.common_spatial_keys(target))
        hint = f"; to use them pass {keys}" if keys else ""
        logger.warning('target.obsm["spatial"] is missing: cells are predicted without their neighborhoods%s', hint)
        return None, section
    _, xy = _adata.choose_positions(target, spatial_key)
    _adata.check_overlapping_sections(target, xy, section, _adata.read_array_positions(target), library_key=library_key)
    return xy, section


def reference_positions(reference: AnnData) -> np.ndarray | None:
    """Coordinates (S, 2) for the embedding of the reference; None if it is embedded already or has no coordinates."""
    if _adata.keys.EMBEDDING in reference.varm or not _adata.has_positions(reference):
        return None
    _, xy = _adata.choose_positions(reference, "spatial")
    section, array = np.zeros(reference.n_obs, dtype=np.int64), _adata.read_array_positions(reference)
    hint = "embed its sections first: sx.tl.embed(reference, library_key={0!r}) (spacex run: --library-key {0})".format
    _adata.check_overlapping_sections(reference, xy, section, array, library_key=None, hint=hint)
    return xy
