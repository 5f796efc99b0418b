"""Where the spots of a target and a reference lie, and which of them are in the tissue."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData

from spacex import _adata
from spacex._infra.validation import check_name

logger = logging.getLogger("spacex")


def spots_in_tissue(adata: AnnData, name: str) -> AnnData:
    """The spots in the tissue; one line says how many are left out."""
    _adata.log_off_tissue(_adata.read_tissue_mask(adata), of=name)
    return _adata.subset_to_tissue(adata)


def target_places(target: AnnData, spatial_key: str, library_key: str | None) -> tuple[np.ndarray | None, np.ndarray]:
    """Coordinates (S, 2) of the target, None where it has none, and the section (S,) of every cell."""
    check_name(spatial_key, name="spatial_key")
    section, _ = _adata.read_sections(target, library_key)
    if spatial_key == "spatial" and not _adata.has_positions(target):
        keys = " or ".join(f"spatial_key={key!r}" for key in _adata.common_spatial_keys(target))
        hint = f"; to use them pass {keys}" if keys else ""
        logger.warning('target.obsm["spatial"] is missing: cells are predicted without their neighbourhoods%s', hint)
        return None, section
    _, xy = _adata.choose_positions(target, spatial_key)
    _adata.check_overlapping_sections(target, xy, section, _adata.read_array_positions(target), library_key=library_key)
    return xy, section


def reference_places(reference: AnnData) -> np.ndarray | None:
    """Coordinates (S, 2) of the reference to embed its genes by; None where they are embedded, or there are none."""
    if _adata.keys.EMBEDDING in reference.varm or not _adata.has_positions(reference):
        return None
    _, xy = _adata.choose_positions(reference, "spatial")
    section, array = np.zeros(reference.n_obs, dtype=np.int64), _adata.read_array_positions(reference)
    hint = "embed its sections first: sx.tl.embed(reference, library_key={0!r}) (spacex run: --library-key {0})".format
    _adata.check_overlapping_sections(reference, xy, section, array, library_key=None, hint=hint)
    return xy
