"""The slots that results are written to, and read from by those who ask further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._check import InputError, check_key
from ._notes import noted

EMBEDDING = "X_spacex"
SECTIONS = "X_spacex_sections"
COMPONENTS = "spacex_components"
MODULE = "spacex_module"
MODULE_PROB = "spacex_module_prob"
SVG = "spacex_svg"
DOMAIN = "spacex_domain"
DOMAIN_PROB = "spacex_domain_prob"
SPOTS = "X_spacex_spots"
INTERACTIONS = "spacex_interactions"
PATTERN = "spacex_pattern"
UNASSIGNED = "unassigned"


def write_embedding(adata: AnnData, embedded: np.ndarray, embedding: np.ndarray) -> None:
    """Write ``varm["X_spacex"]`` (G, D) float32, NaN for all genes but those numbered `embedded`.

    The interactions of an embedding before go: with this one they would be mixed.
    """
    adata.varp.pop(INTERACTIONS, None)
    full = np.full((adata.n_vars, embedding.shape[1]), np.nan, dtype=np.float32)
    full[embedded] = embedding
    adata.varm[EMBEDDING] = full


def write_section_embeddings(adata: AnnData, embedded: np.ndarray, embedding: np.ndarray | None) -> None:
    """Write ``varm["X_spacex_sections"]`` (G, n_sections, D) from (n_sections, G', D); drop it where that is None."""
    if embedding is None:
        adata.varm.pop(SECTIONS, None)
        return
    n_sections, _, n_dims = embedding.shape
    full = np.full((adata.n_vars, n_sections, n_dims), np.nan, dtype=np.float32)
    full[embedded] = embedding.transpose(1, 0, 2)
    adata.varm[SECTIONS] = full


def read_embedding(adata: AnnData) -> np.ndarray:
    """``varm["X_spacex"]`` (G, D); an error that names the call where it is missing."""
    if EMBEDDING not in adata.varm:
        raise InputError('the genes have no embedding yet: varm["X_spacex"] is missing; call sx.tl.embed(adata)')
    return np.asarray(adata.varm[EMBEDDING], dtype=np.float32)


def read_section_embeddings(adata: AnnData, library_key: str) -> np.ndarray:
    """``varm["X_spacex_sections"]`` (G, n_sections, D), made with this `library_key`; an error that names the call."""
    made_with = noted(adata, "grid").get("library_key", "")
    if SECTIONS not in adata.varm or made_with != library_key:
        why = f"they were made with {made_with!r}" if SECTIONS in adata.varm else "they are missing"
        raise InputError(
            f'varm["{SECTIONS}"] has no embeddings by {library_key!r}: {why}; '
            f"call sx.tl.embed(adata, library_key={library_key!r})"
        )
    return np.asarray(adata.varm[SECTIONS], dtype=np.float32)


def write_components(adata: AnnData, components: np.ndarray, pixel: np.ndarray) -> None:
    """Write ``obsm["spacex_components"]`` (S, D) float32 from those of pixels (P, D) and each spot's pixel (S,)."""
    full = np.zeros((adata.n_obs, components.shape[1]), dtype=np.float32)
    full[pixel >= 0] = components[pixel[pixel >= 0]]
    adata.obsm[COMPONENTS] = full


def read_components(adata: AnnData, pixel: np.ndarray, n_pixels: int) -> np.ndarray:
    """Components (P, D) of the embedding at the tissue pixels; an error where they are missing."""
    if COMPONENTS not in adata.obsm:
        raise InputError(f'obsm["{COMPONENTS}"] is missing; call sx.tl.embed(adata)')
    components = np.zeros((n_pixels, adata.obsm[COMPONENTS].shape[1]), dtype=np.float64)
    components[pixel[pixel >= 0]] = np.asarray(adata.obsm[COMPONENTS])[pixel >= 0]
    return components


def write_modules(adata: AnnData, embedded: np.ndarray, module: np.ndarray, probability: np.ndarray) -> None:
    """Write ``var["spacex_module"]`` and its probability, from numbers (-1: background) of the embedded genes."""
    names = np.array([str(k) for k in range(int(module.max(initial=-1)) + 1)] + [UNASSIGNED], dtype=object)
    full = np.full(adata.n_vars, len(names) - 1)
    full[embedded] = np.where(module >= 0, module, len(names) - 1)
    adata.var[MODULE] = pd.Categorical.from_codes(full, categories=names)
    full_probability = np.full(adata.n_vars, np.nan)
    full_probability[embedded] = probability
    adata.var[MODULE_PROB] = full_probability


def read_modules(adata: AnnData) -> pd.Series:
    """``var["spacex_module"]``."""
    if MODULE not in adata.var:
        raise InputError('the genes have no modules yet: var["spacex_module"] is missing; call sx.tl.embed(adata)')
    return adata.var[MODULE]


def embedded_genes(adata: AnnData, names: list[str], *, name: str) -> np.ndarray:
    """Numbers of genes, in their order; an error where one is unknown or was not embedded."""
    index = np.array([gene_index(adata, gene) for gene in names])
    lost = [gene for gene, z in zip(names, read_embedding(adata)[index], strict=True) if not np.isfinite(z).all()]
    if lost:
        raise InputError(f"{name}: {', '.join(lost[:5])} have too few counts and were not embedded; leave them out")
    return index


def write_svg(adata: AnnData, **columns: np.ndarray) -> None:
    """Write ``var["spacex_svg_<name>"]`` for every column (G,)."""
    for name, values in columns.items():
        adata.var[f"{SVG}_{name}"] = np.asarray(values, dtype=np.float64)


def write_svg_sections(adata: AnnData, score: np.ndarray | None) -> None:
    """Write ``varm["spacex_svg_sections"]`` (G, n_sections); drop it where there is one section."""
    if score is None:
        adata.varm.pop(f"{SVG}_sections", None)
    else:
        adata.varm[f"{SVG}_sections"] = score


def write_interactions(adata: AnnData, pairs: np.ndarray, probability: np.ndarray) -> None:
    """Write ``varp["spacex_interactions"]``, sparse and symmetric (G, G) float32, from pairs (N, 2), each once."""
    kept = probability > 0
    (a, b), value = pairs[kept].T, probability[kept].astype(np.float32)
    both = (np.concatenate([value, value]), (np.concatenate([a, b]), np.concatenate([b, a])))
    adata.varp[INTERACTIONS] = sp.csr_matrix(both, shape=(adata.n_vars, adata.n_vars))


def read_interactions(adata: AnnData) -> sp.csr_matrix:
    """``varp["spacex_interactions"]``; an error that names the call where it is missing."""
    if INTERACTIONS not in adata.varp:
        raise InputError(
            f'there are no interactions yet: varp["{INTERACTIONS}"] is missing; call sx.tl.interactions(adata)'
        )
    return sp.csr_matrix(adata.varp[INTERACTIONS])


def write_pattern(adata: AnnData, weights: np.ndarray) -> None:
    """Write ``obs["spacex_pattern"]``, weights (S,) that were looked for; NaN for spots without counts."""
    adata.obs[PATTERN] = np.asarray(weights, dtype=np.float64)


def read_pattern(adata: AnnData) -> np.ndarray:
    """``obs["spacex_pattern"]`` (S,); an error that names the call where it is missing."""
    if PATTERN not in adata.obs:
        raise InputError(f'no pattern was looked for yet: obs["{PATTERN}"] is missing; call sx.tl.pattern(adata, ...)')
    return adata.obs[PATTERN].to_numpy(dtype=np.float64)


def write_domains(adata: AnnData, label: np.ndarray, probability: np.ndarray, features: np.ndarray) -> None:
    """Write the domain of every spot from numbers (S,), NaN for -1, its probability (S,) and what it came from (S, D).

    ``obs["spacex_domain"]``, ``obs["spacex_domain_prob"]`` and ``obsm["X_spacex_spots"]`` float32.
    """
    names = [str(k) for k in range(int(label.max(initial=-1)) + 1)]
    adata.obs[DOMAIN] = pd.Categorical.from_codes(label, categories=names)
    adata.obs[DOMAIN_PROB] = np.asarray(probability, dtype=np.float64)
    adata.obsm[SPOTS] = np.asarray(features, dtype=np.float32)


@contextmanager
def restored_on_error(adata: AnnData) -> Iterator[None]:
    """Give the caller's AnnData back as it was when what is done inside fails or is interrupted."""
    mappings = {name: dict(getattr(adata, name)) for name in ("obsm", "varm", "varp", "uns")}
    frames = {name: getattr(adata, name).copy(deep=False) for name in ("obs", "var")}
    try:
        yield
    except BaseException:
        for name, before in mappings.items():
            now = getattr(adata, name)
            for key in [key for key in now if key not in before]:
                del now[key]
            for key, value in before.items():
                now[key] = value
        for name, frame in frames.items():
            setattr(adata, name, frame)
        raise


def gene_index(adata: AnnData, gene: str) -> int:
    """Number of a gene; an error that names the nearest names where it is unknown."""
    check_key(gene, name="gene")
    if gene not in adata.var_names:
        from difflib import get_close_matches

        near = get_close_matches(str(gene).upper(), [n.upper() for n in adata.var_names], n=3)
        back = {n.upper(): n for n in adata.var_names}
        hint = f"; close to it: {', '.join(back[n] for n in near)}" if near else ""
        raise InputError(f"gene {gene!r} is not among the {adata.n_vars} genes of this section{hint}")
    return int(adata.var_names.get_loc(gene))
