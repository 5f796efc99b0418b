"""Reading and writing of result slots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from spacex._adata import keys
from spacex._adata.uns import read_uns, read_uns_entry
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite


def write_embedding(
    adata: AnnData, embedded: np.ndarray, embedding: np.ndarray, *, without_reference: np.ndarray | None = None
) -> None:
    """Write ``varm["X_spacex"]`` (G, D) float32, with NaN rows for genes that are not in `embedded` (indices).

    If a reference changed the embeddings, those without it are written, too. Removes the interactions of an earlier
    embedding.
    """
    adata.varp.pop(keys.INTERACTIONS, None)
    adata.varm.pop(keys.WITHOUT_REFERENCE, None)
    adata.varm[keys.EMBEDDING] = _all_genes(adata, embedded, embedding)
    if without_reference is not None:
        adata.varm[keys.WITHOUT_REFERENCE] = _all_genes(adata, embedded, without_reference)


def _all_genes(adata: AnnData, genes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (G, D) float32 of all genes; NaN for genes that are not in `genes` (indices)."""
    full = np.full((adata.n_vars, values.shape[1]), np.nan, dtype=np.float32)
    full[genes] = values
    return full


def read_embedding(adata: AnnData, *, with_reference: bool = True) -> np.ndarray:
    """``varm["X_spacex"]`` (G, D); each row is finite or NaN. Raises `InputError` if it is missing or damaged.

    With `with_reference` false, the embedding from this section alone.
    """
    if keys.EMBEDDING not in adata.varm:
        raise InputError('the genes have no embedding yet: varm["X_spacex"] is missing; call sx.tl.embed(adata)')
    key = keys.EMBEDDING if with_reference or keys.WITHOUT_REFERENCE not in adata.varm else keys.WITHOUT_REFERENCE
    z = read_array(adata.varm[key], f'varm["{key}"]', n_dims=2)
    finite = np.isfinite(z)
    embedded = finite.all(axis=1)
    if not embedded.any() or not z.shape[1]:
        raise InputError(f'varm["{key}"] holds no embedding of any of these genes; call sx.tl.embed(adata)')
    return z if not finite[~embedded].any() else np.where(embedded[:, None], z, np.float32(np.nan))


def write_cofunction(adata: AnnData, genes: np.ndarray, vectors: np.ndarray, from_reference: np.ndarray) -> None:
    """Write ``varm["X_spacex_cofunction"]`` (G, D') of genes (indices), and which come from the reference alone."""
    adata.varm[keys.COFUNCTION] = _all_genes(adata, genes, vectors)
    full = np.zeros(adata.n_vars, dtype=bool)
    full[genes] = from_reference
    adata.var[keys.FROM_REFERENCE] = full


def read_cofunction(adata: AnnData) -> np.ndarray:
    """``varm["X_spacex_cofunction"]`` (G, D'); rows of NaN for genes without a vector."""
    if keys.COFUNCTION not in adata.varm:
        raise InputError(f'varm["{keys.COFUNCTION}"] is missing; call sx.tl.embed(adata)')
    return read_array(adata.varm[keys.COFUNCTION], f'varm["{keys.COFUNCTION}"]', n_dims=2)


def read_array(values: Any, name: str, *, n_dims: int, call: str = "call sx.tl.embed(adata)") -> np.ndarray:
    """Slot as a float32 array with `n_dims` dimensions; raises `InputError` that names the `call` to write it."""
    array = np.asarray(values)
    if array.ndim != n_dims or array.dtype.kind not in "fiu":
        problem = type(values).__name__ if sp.issparse(values) else f"of shape {array.shape} and type {array.dtype}"
        raise InputError(f"{name} is not what SpaCEX wrote ({problem}); {call}")
    return array.astype(np.float32, copy=False)


def has_reference(adata: AnnData) -> bool:
    """Whether a reference took part in the embedding, so that the vectors for function contain its own."""
    return "reference" in read_uns(adata)


def write_components(adata: AnnData, components: np.ndarray, pixel: np.ndarray) -> None:
    """Write ``obsm["spacex_components"]`` (S, D) float32, from components (P, D) and the pixel (S,) of each spot."""
    full = np.zeros((adata.n_obs, components.shape[1]), dtype=np.float32)
    full[pixel >= 0] = components[pixel[pixel >= 0]]
    adata.obsm[keys.COMPONENTS] = full


def read_components(adata: AnnData, pixel: np.ndarray, n_pixels: int) -> np.ndarray:
    """Components (P, D) at the tissue pixels; raises `InputError` if they are missing or damaged."""
    if keys.COMPONENTS not in adata.obsm:
        raise InputError(f'obsm["{keys.COMPONENTS}"] is missing; call sx.tl.embed(adata)')
    stored = read_array(adata.obsm[keys.COMPONENTS], f'obsm["{keys.COMPONENTS}"]', n_dims=2)
    check_finite(stored, name=f'obsm["{keys.COMPONENTS}"]', hint="call sx.tl.embed(adata)")
    width = read_embedding(adata).shape[1]
    if stored.shape[1] != width:
        raise InputError(
            f'obsm["{keys.COMPONENTS}"] has {stored.shape[1]} dimensions and varm["{keys.EMBEDDING}"] has {width}; '
            "call sx.tl.embed(adata)"
        )
    components = np.zeros((n_pixels, width), dtype=np.float64)
    components[pixel[pixel >= 0]] = stored[pixel >= 0]
    return components


def read_null_embedding(adata: AnnData, *, with_reference: bool = True) -> np.ndarray | None:
    """Embeddings (N, D) of the genes redrawn without a pattern; None if they are not stored.

    They are those to compare with `read_embedding`: if a reference changed the embeddings, it changed these, too.
    """
    entry = read_uns_entry(adata, "null_genes")
    column = "with_reference" if with_reference and "with_reference" in entry else "embedding"
    if column not in entry:
        return None
    name, width = f'uns["spacex"]["null_genes"]["{column}"]', read_embedding(adata).shape[1]
    null = read_array(entry[column], name, n_dims=2)
    check_finite(null, name=name, hint="call sx.tl.embed(adata)")
    if null.shape[1] != width or not len(null):
        raise InputError(f"{name} does not match the embedding; call sx.tl.embed(adata)")
    return null


def write_modules(adata: AnnData, embedded: np.ndarray, module: np.ndarray, probability: np.ndarray) -> None:
    """Write ``var["spacex_module"]`` and its probability, from the modules (-1: none) of the embedded genes.

    Removes the stability of earlier modules.
    """
    for column in {keys.JACCARD_HALVES, keys.JACCARD_SEEDS} & set(adata.var):
        del adata.var[column]
    names = np.array([str(k) for k in range(int(module.max(initial=-1)) + 1)] + [keys.UNASSIGNED], dtype=object)
    full = np.full(adata.n_vars, len(names) - 1)
    full[embedded] = np.where(module >= 0, module, len(names) - 1)
    adata.var[keys.MODULE] = pd.Categorical.from_codes(full, categories=names)
    full_probability = np.full(adata.n_vars, np.nan)
    full_probability[embedded] = probability
    adata.var[keys.MODULE_PROB] = full_probability


def write_expression_level(adata: AnnData, embedded: np.ndarray, level: np.ndarray) -> None:
    """Write ``var["spacex_expression_level"]`` from the levels of the embedded genes; -1 for other genes."""
    full = np.full(adata.n_vars, -1, dtype=np.int8)
    full[embedded] = level
    adata.var[keys.EXPRESSION_LEVEL] = full


def read_expression_level(adata: AnnData, embedded: np.ndarray) -> np.ndarray:
    """Expression levels (G,) of the embedded genes."""
    call = "call sx.tl.embed(adata)"
    level = _read_numbers(adata.var, keys.EXPRESSION_LEVEL, "var", call)[embedded]
    if not np.all((level >= 0) & (level == np.round(level))):
        raise InputError(f'var["{keys.EXPRESSION_LEVEL}"] is not what SpaCEX wrote; {call}')
    return level.astype(np.int64)


def read_modules(adata: AnnData) -> pd.Series:
    """``var["spacex_module"]`` as ordered text categories, which users may have renamed."""
    if keys.MODULE not in adata.var:
        raise InputError('the genes have no modules yet: var["spacex_module"] is missing; call sx.tl.embed(adata)')
    column = adata.var[keys.MODULE]
    name = column.astype(object).where(column.notna(), keys.UNASSIGNED).astype(str)
    categories = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else ()
    others = sorted(set(name) - {keys.UNASSIGNED}, key=lambda module: (len(module), module))
    order = dict.fromkeys(
        [*map(str, categories), *others, *([keys.UNASSIGNED] if (name == keys.UNASSIGNED).any() else [])]
    )
    return pd.Series(pd.Categorical(name, categories=list(order)), index=column.index, name=keys.MODULE)


def read_module_probability(adata: AnnData) -> np.ndarray:
    """``var["spacex_module_prob"]`` (G,)."""
    return _read_numbers(adata.var, keys.MODULE_PROB, "var", "call sx.tl.modules(adata)")


def read_pattern_probability(adata: AnnData) -> np.ndarray:
    """Probability (G,) that a gene has a spatial pattern: that of its module, or one minus that of none.

    One for genes without a stored probability.
    """
    if keys.MODULE not in adata.var or keys.MODULE_PROB not in adata.var:
        return np.ones(adata.n_vars)
    probability, module = read_module_probability(adata), read_modules(adata)
    pattern = np.where((module == keys.UNASSIGNED).to_numpy(), 1.0 - probability, probability)
    return np.clip(np.nan_to_num(pattern, nan=1.0), 0.0, 1.0)


def _read_numbers(frame: pd.DataFrame, column: str, where: str, call: str) -> np.ndarray:
    """Column as float64 with NaN for missing values; raises `InputError` if it is missing or not numeric."""
    if column not in frame or not pd.api.types.is_numeric_dtype(frame[column]):
        problem = "does not hold numbers" if column in frame else "is missing"
        raise InputError(f'{where}["{column}"] {problem}; {call}')
    return frame[column].to_numpy(dtype=np.float64, na_value=np.nan)


def write_svg(adata: AnnData, **columns: np.ndarray) -> None:
    """Write each column (G,) to ``var["spacex_svg_<name>"]``."""
    for name, values in columns.items():
        adata.var[keys.svg_column(name)] = np.asarray(values, dtype=np.float64)


def read_svg(adata: AnnData, name: str) -> np.ndarray:
    """``var["spacex_svg_<name>"]`` (G,)."""
    if keys.svg_column(name) not in adata.var:
        raise InputError(
            f'the genes were not tested yet: var["{keys.svg_column(name)}"] is missing; call sx.tl.svg(adata)'
        )
    return _read_numbers(adata.var, keys.svg_column(name), "var", "call sx.tl.svg(adata)")


def write_svg_sections(adata: AnnData, score: np.ndarray | None) -> None:
    """Write ``varm["spacex_svg_sections"]`` (G, n_sections); remove it if there is only one section (`score` None)."""
    if score is None:
        adata.varm.pop(keys.SVG_SECTIONS, None)
    else:
        adata.varm[keys.SVG_SECTIONS] = score


def write_interactions(adata: AnnData, pairs: np.ndarray, probability: np.ndarray) -> None:
    """Write ``varp["spacex_interactions"]``, sparse and symmetric (G, G) float32, from unique pairs (N, 2)."""
    positive = probability > 0
    (a, b), value = pairs[positive].T, probability[positive].astype(np.float32)
    entries = (np.concatenate([value, value]), (np.concatenate([a, b]), np.concatenate([b, a])))
    adata.varp[keys.INTERACTIONS] = sp.csr_matrix(entries, shape=(adata.n_vars, adata.n_vars))


def read_interactions(adata: AnnData) -> sp.csr_matrix:
    """``varp["spacex_interactions"]``; raises `InputError` if it is missing or not numeric."""
    if keys.INTERACTIONS not in adata.varp:
        raise InputError(
            f'there are no interactions yet: varp["{keys.INTERACTIONS}"] is missing; call sx.tl.interactions(adata)'
        )
    stored = adata.varp[keys.INTERACTIONS]
    if stored.dtype.kind not in "fiu":
        raise InputError(f'varp["{keys.INTERACTIONS}"] does not hold numbers; call sx.tl.interactions(adata)')
    return sp.csr_matrix(stored)


def write_pattern(adata: AnnData, weights: np.ndarray) -> None:
    """Write ``obs["spacex_pattern"]``, the query weights (S,); NaN for spots without counts."""
    adata.obs[keys.PATTERN] = np.asarray(weights, dtype=np.float64)


def read_pattern(adata: AnnData) -> np.ndarray:
    """``obs["spacex_pattern"]`` (S,); raises `InputError` if it is missing or not numeric."""
    if keys.PATTERN not in adata.obs:
        raise InputError(
            f'there is no query pattern yet: obs["{keys.PATTERN}"] is missing; call sx.tl.pattern(adata, ...)'
        )
    return _read_numbers(adata.obs, keys.PATTERN, "obs", "call sx.tl.pattern(adata, ...)")


def write_domains(adata: AnnData, label: np.ndarray, probability: np.ndarray, features: np.ndarray) -> None:
    """Write the domain of each spot (S,), missing for -1, its probability (S,) and the features (S, D) used.

    Writes ``obs["spacex_domain"]``, ``obs["spacex_domain_prob"]`` and ``obsm["X_spacex_spots"]`` float32.
    """
    names = [str(k) for k in range(int(label.max(initial=-1)) + 1)]
    adata.obs[keys.DOMAIN] = pd.Categorical.from_codes(label, categories=names)
    adata.obs[keys.DOMAIN_PROB] = np.asarray(probability, dtype=np.float64)
    adata.obsm[keys.DOMAIN_FEATURES] = np.asarray(features, dtype=np.float32)


@contextmanager
def restore_on_error(adata: AnnData) -> Iterator[None]:
    """Restore all slots if the block raises or is interrupted. A view is never written to, and stays as it is."""
    mappings = {name: dict(getattr(adata, name)) for name in ("obsm", "varm", "varp", "uns")}
    frames = {name: getattr(adata, name).copy(deep=False) for name in ("obs", "var")}
    try:
        yield
    except BaseException:
        if adata.is_view:
            raise
        for name, before in mappings.items():
            now = getattr(adata, name)
            for key in [key for key in now if key not in before]:
                del now[key]
            for key, value in before.items():
                now[key] = value
        for name, frame in frames.items():
            setattr(adata, name, frame)
        raise
