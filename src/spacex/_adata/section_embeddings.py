"""Embeddings of genes in each section alone, and which spots the sections had when these were made."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.grid import rasterize_arguments, read_grid
from spacex._adata.labels import read_sections
from spacex._adata.results import numbers_of
from spacex._adata.uns import read_uns_entry, write_uns
from spacex._infra.errors import InputError


def write_section_embeddings(adata: AnnData, embedded: np.ndarray, embedding: np.ndarray | None) -> None:
    """Write ``varm["X_spacex_sections"]`` (G, n_sections, D) from (n_sections, G', D); drop it where that is None.

    In the order of the grid's sections; ``uns["spacex"]["sections"]`` has their names, and what tells their spots.
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
    """``varm["X_spacex_sections"]`` (G, S, D) of the sections of `library_key`, in the order of `read_sections`.

    An error that names the call where these were not embedded, or have other spots by now.
    """
    section, names = read_sections(adata, library_key)
    call = f"call sx.tl.embed(adata, library_key={library_key!r})"
    made = read_uns_entry(adata, "sections")
    if made:
        made = read_uns_entry(adata, "sections", "library_key", "name", "n_spots", "mark")
    else:  # of a version that did not note them
        made = {"library_key": read_uns_entry(adata, "grid").get("library_key", ""), "name": names}
    if keys.SECTION_EMBEDDINGS not in adata.varm or made["library_key"] != library_key:
        why = (
            f"they were made with {made['library_key']!r}"
            if keys.SECTION_EMBEDDINGS in adata.varm
            else "they are missing"
        )
        raise InputError(f'varm["{keys.SECTION_EMBEDDINGS}"] has no embeddings by {library_key!r}: {why}; {call}')
    z = numbers_of(adata.varm[keys.SECTION_EMBEDDINGS], f'varm["{keys.SECTION_EMBEDDINGS}"]', n_dims=3, call=call)
    known = [str(name) for name in np.atleast_1d(made["name"])]
    if z.shape[1] != len(known):
        raise InputError(
            f'varm["{keys.SECTION_EMBEDDINGS}"] holds {z.shape[1]} section(s), and {len(known)} are named by '
            f"{library_key!r}; {call}"
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"section(s) {', '.join(unknown[:5])} of obs[{library_key!r}] were not embedded (there are: "
            f"{', '.join(known[:5])}{', ...' if len(known) > 5 else ''}); {call}"
        )
    order = [known.index(name) for name in names]
    if "mark" in made:
        _check_same_spots(adata, section, names, made, order, call)
    return z[:, order]


def _check_same_spots(
    adata: AnnData, section: np.ndarray, names: list[str], made: dict[str, Any], order: list[int], call: str
) -> None:
    """Raise `InputError` for a section that has more spots than were embedded, or as many but others: it is relabelled.

    One of which spots were left out is taken as it is.
    """
    before = [np.atleast_1d(made[name])[order] for name in ("n_spots", "mark")]
    n_spots, mark = _spot_fingerprint(adata, section, len(names))
    other = (n_spots > before[0]) | ((n_spots == before[0]) & (mark != before[1]) & (keys.COMPONENTS in adata.obsm))
    if other.any():
        raise InputError(
            f"section {names[int(other.argmax())]!r} does not have the spots that it was embedded with; {call}"
        )


def _spot_fingerprint(adata: AnnData, section: np.ndarray, n_sections: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of spots of each section, and the sum of the bits of their components, which no order of spots changes.

    Spots off the tissue, whose section (S,) is -1, do not count.
    """
    mark, kept = np.zeros(n_sections, dtype=np.int64), section >= 0
    if keys.COMPONENTS in adata.obsm:
        components = numbers_of(adata.obsm[keys.COMPONENTS], f'obsm["{keys.COMPONENTS}"]', n_dims=2)[kept]
        np.add.at(mark, section[kept], np.ascontiguousarray(components).view(np.uint32).sum(axis=1, dtype=np.int64))
    return np.bincount(section[kept], minlength=n_sections), mark
