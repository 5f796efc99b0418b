"""Embeddings of genes in each section, and fingerprints of the spots of the sections."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.grid import rasterize_arguments, read_grid
from spacex._adata.labels import read_sections
from spacex._adata.results import read_array
from spacex._adata.uns import read_uns_entry, write_uns
from spacex._infra.errors import InputError


def write_section_embeddings(adata: AnnData, embedded: np.ndarray, embedding: np.ndarray | None) -> None:
    """Write ``varm["X_spacex_sections"]`` (G, n_sections, D) from (n_sections, n_embedded, D), or remove it for None.

    Sections are in the order of the grid. ``uns["spacex"]["sections"]`` stores their names and fingerprints.
    """
    if embedding is None:
        adata.varm.pop(keys.SECTION_EMBEDDINGS, None)
        if read_uns_entry(adata, "sections"):
            write_uns(adata, sections={})
        return
    n_sections, _, n_dims = embedding.shape
    full = np.full((adata.n_vars, n_sections, n_dims), np.nan, dtype=np.float32)
    full[embedded] = embedding.transpose(1, 0, 2)
    adata.varm[keys.SECTION_EMBEDDINGS] = full
    library_key, section = rasterize_arguments(adata)["library_key"], read_grid(adata)[2]
    first = [int(np.flatnonzero(section == s)[0]) for s in range(n_sections)]
    n_spots, mark = _spot_fingerprint(adata, section, n_sections)
    names = adata.obs[library_key].iloc[first].astype(str).to_numpy(dtype=object)
    write_uns(adata, sections={"library_key": library_key, "name": names, "n_spots": n_spots, "mark": mark})


def read_section_embeddings(adata: AnnData, library_key: str) -> np.ndarray:
    """``varm["X_spacex_sections"]`` (G, n_sections, D) of the sections of `library_key`, ordered as `read_sections`.

    Raises
    ------
    InputError
        If a section was not embedded, or its spots have changed since.
    """
    section, names = read_sections(adata, library_key)
    call = f"call sx.tl.embed(adata, library_key={library_key!r})"
    stored = read_uns_entry(adata, "sections")
    if stored:
        stored = read_uns_entry(adata, "sections", "library_key", "name", "n_spots", "mark")
    else:  # written by an earlier version
        stored = {"library_key": read_uns_entry(adata, "grid").get("library_key", ""), "name": names}
    if keys.SECTION_EMBEDDINGS not in adata.varm or stored["library_key"] != library_key:
        reason = (
            f"they were computed with {stored['library_key']!r}"
            if keys.SECTION_EMBEDDINGS in adata.varm
            else "they are missing"
        )
        raise InputError(f'varm["{keys.SECTION_EMBEDDINGS}"] has no embeddings by {library_key!r}: {reason}; {call}')
    z = read_array(adata.varm[keys.SECTION_EMBEDDINGS], f'varm["{keys.SECTION_EMBEDDINGS}"]', n_dims=3, call=call)
    embedded = [str(name) for name in np.atleast_1d(stored["name"])]
    if z.shape[1] != len(embedded):
        raise InputError(
            f'varm["{keys.SECTION_EMBEDDINGS}"] holds {z.shape[1]} section(s), and {len(embedded)} are named by '
            f"{library_key!r}; {call}"
        )
    unknown = [name for name in names if name not in embedded]
    if unknown:
        raise InputError(
            f"section(s) {', '.join(unknown[:5])} of obs[{library_key!r}] were not embedded (available: "
            f"{', '.join(embedded[:5])}{', ...' if len(embedded) > 5 else ''}); {call}"
        )
    order = [embedded.index(name) for name in names]
    if "mark" in stored:
        _check_same_spots(adata, section, names, stored, order, call)
    return z[:, order]


def _check_same_spots(
    adata: AnnData, section: np.ndarray, names: list[str], stored: dict[str, Any], order: list[int], call: str
) -> None:
    """Raise `InputError` for a section with more spots than were embedded, or equally many but different ones.

    A section from which spots were removed passes.
    """
    before = [np.atleast_1d(stored[name])[order] for name in ("n_spots", "mark")]
    n_spots, mark = _spot_fingerprint(adata, section, len(names))
    changed = (n_spots > before[0]) | ((n_spots == before[0]) & (mark != before[1]) & (keys.COMPONENTS in adata.obsm))
    if changed.any():
        raise InputError(f"section {names[int(changed.argmax())]!r} has other spots than when it was embedded; {call}")


def _spot_fingerprint(adata: AnnData, section: np.ndarray, n_sections: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of spots of each section, and a fingerprint of them that is independent of their order.

    The fingerprint is the sum of the bits of their components. Spots off the tissue (section -1) do not count.
    """
    fingerprint, in_tissue = np.zeros(n_sections, dtype=np.int64), section >= 0
    if keys.COMPONENTS in adata.obsm:
        components = read_array(adata.obsm[keys.COMPONENTS], f'obsm["{keys.COMPONENTS}"]', n_dims=2)[in_tissue]
        bits = np.ascontiguousarray(components).view(np.uint32).sum(axis=1, dtype=np.int64)
        np.add.at(fingerprint, section[in_tissue], bits)
    return np.bincount(section[in_tissue], minlength=n_sections), fingerprint
