"""The one border between AnnData and arrays: what is read from an AnnData, and every slot that is written to it.

Everything above speaks AnnData, everything below speaks arrays, and nothing else crosses. Reading checks; so that
every call checks all of its input before it does any work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from ._check import InputError, check_finite
from ._config import Config
from .grid import Grid
from .raster import GeneImages, gene_images

logger = logging.getLogger("spacex")

KEY = "spacex"
PIXEL = "spacex_pixel"
EMBEDDING = "X_spacex"
MODULE = "spacex_module"
MODULE_PROB = "spacex_module_prob"
SVG = "spacex_svg"
DOMAIN = "spacex_domain"
UNASSIGNED = "unassigned"

FEWEST_PIXELS = 10
PACKAGES = ("anndata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")


# -- reading the input ----------------------------------------------------------------------------------


def check_names(adata: AnnData) -> None:
    """Raise `InputError` for too few genes or spots, or gene names that are not unique."""
    if adata.n_vars < 2:
        raise InputError(f"adata has {adata.n_vars} gene(s); SpaCEX compares genes and needs at least 2")
    if adata.n_obs < FEWEST_PIXELS:
        raise InputError(f"adata has {adata.n_obs} spot(s); SpaCEX needs at least {FEWEST_PIXELS}")
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        raise InputError(
            f"{len(twice)} gene name(s) occur more than once (first: {twice[0]!r}); call adata.var_names_make_unique()"
        )


def read_matrix(adata: AnnData, layer: str | None) -> tuple[sp.csr_matrix | sp.csr_array, bool]:
    """Matrix (S, G) to work on, and whether it holds counts.

    `layer` is used if given; else ``X`` if it holds counts; else ``layers["counts"]`` if that does; else ``X`` as
    intensities, with a warning.
    """
    if layer is not None and layer not in adata.layers:
        known = ", ".join(map(repr, adata.layers.keys())) or "none"
        raise InputError(f"layer={layer!r} is not in adata.layers (there: {known}); pass one of them or layer=None")
    name = f"layers[{layer!r}]" if layer is not None else "X"
    matrix = _checked(adata.layers[layer] if layer is not None else adata.X, name)
    if _whole(matrix.data):
        return matrix, True
    if layer is None and "counts" in adata.layers:
        counts = _checked(adata.layers["counts"], "layers['counts']")
        if _whole(counts.data):
            logger.warning("X does not hold counts; layers['counts'] is used")
            return counts, True
    logger.warning(
        "%s does not hold counts: it is treated as intensities (z-scores instead of Pearson residuals); "
        "pass layer= with raw counts where there are any",
        name,
    )
    return matrix, False


def _checked(matrix: Any, name: str) -> sp.csr_matrix | sp.csr_array:
    """The matrix as sparse rows of float32, without NaN, infinities or negative values, and not all zero."""
    if matrix is None:
        raise InputError(f"adata.{name} is empty; put raw counts there")
    if hasattr(matrix, "to_memory"):
        matrix = matrix.to_memory()
    matrix = matrix if sp.issparse(matrix) else np.asarray(matrix)
    if matrix.dtype.kind not in "buif":
        raise InputError(f"adata.{name} holds {matrix.dtype} values; it must hold real numbers: raw counts")
    matrix = matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix  # scipy has no sparse float16
    rows = sp.csr_array(matrix) if not sp.issparse(matrix) else matrix.tocsr()
    check_finite(rows.data, name=f"adata.{name}", mend="remove or replace those values")
    if rows.nnz and rows.data.min() < 0:
        raise InputError(
            f"adata.{name} holds negative values (smallest {rows.data.min():g}); pass raw counts, in X or by layer="
        )
    if not rows.nnz or not rows.data.any():
        raise InputError(f"adata.{name} is zero everywhere; pass raw counts, in X or by layer=")
    return rows.astype(np.float32, copy=False)


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(values == np.rint(values)))


def read_positions(adata: AnnData, spatial_key: str) -> np.ndarray:
    """Coordinates (S, 2) of the spots; a third coordinate is left out with a warning."""
    if spatial_key not in adata.obsm:
        known = ", ".join(map(repr, adata.obsm.keys())) or "none"
        raise InputError(
            f"obsm[{spatial_key!r}] is missing (there: {known}); put coordinates (n_obs, 2) there or pass spatial_key="
        )
    raw = adata.obsm[spatial_key]
    try:
        given = np.asarray(raw.toarray() if sp.issparse(raw) else raw)
        xy = given.astype(np.float64, casting="same_kind" if given.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as error:
        raise InputError(f"obsm[{spatial_key!r}] does not hold numbers; put coordinates (n_obs, 2) there") from error
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise InputError(f"obsm[{spatial_key!r}] has shape {xy.shape}; SpaCEX needs two columns, x and y: (n_obs, 2)")
    if xy.shape[1] > 2:
        logger.warning("obsm[%r] has %d columns; the first two are used", spatial_key, xy.shape[1])
    check_finite(xy[:, :2], name=f"obsm[{spatial_key!r}]", mend="drop the spots without coordinates")
    if np.abs(xy[:, :2]).max(initial=0) > 1e100:
        raise InputError(f"obsm[{spatial_key!r}] holds values above 1e100, too large to compute with; rescale them")
    return np.ascontiguousarray(xy[:, :2])


def read_array(adata: AnnData) -> np.ndarray | None:
    """Array row and column (S, 2) of the spots where ``obs`` has them, whole and complete."""
    if not {"array_row", "array_col"} <= set(adata.obs.columns):
        return None
    try:
        array = adata.obs[["array_row", "array_col"]].to_numpy(dtype=float)
    except (TypeError, ValueError):
        return None
    return array.astype(int) if np.isfinite(array).all() and np.all(array == np.rint(array)) else None


def read_sections(adata: AnnData, library_key: str | None) -> tuple[np.ndarray, list[str]]:
    """Section (S,) of every spot as a number, and the names of the sections."""
    if library_key is None:
        return np.zeros(adata.n_obs, dtype=np.int64), ["section"]
    if library_key not in adata.obs:
        raise InputError(f"library_key={library_key!r} is not a column of adata.obs; pass one that names the sections")
    codes, names = pd.factorize(adata.obs[library_key], sort=True)
    if (codes < 0).any():
        raise InputError(f"obs[{library_key!r}] is missing for {(codes < 0).sum()} spot(s); name a section for each")
    few = [str(n) for n, size in zip(names, np.bincount(codes), strict=True) if size < FEWEST_PIXELS]
    if few:
        raise InputError(
            f"section(s) {', '.join(few)} of obs[{library_key!r}] have fewer than {FEWEST_PIXELS} spots; leave them out"
        )
    return codes.astype(np.int64), [str(name) for name in names]


# -- the grid --------------------------------------------------------------------------------------------


def write_grid(
    adata: AnnData,
    grids: Sequence[Grid],
    pixel: np.ndarray,
    names: list[str],
    *,
    spatial_key: str,
    library_key: str | None,
) -> None:
    """Write ``obsm["spacex_pixel"]`` and ``uns["spacex"]["grid"]``."""
    adata.obsm[PIXEL] = pixel.astype(np.int64)
    note(
        adata,
        grid={
            "section": np.array(names, dtype=object),
            "kind": np.array([g.kind for g in grids], dtype=object),
            "height": np.array([g.shape[0] for g in grids]),
            "width": np.array([g.shape[1] for g in grids]),
            "aspect": np.array([g.aspect for g in grids]),
            "pitch": np.array([g.pitch for g in grids]),
            "spatial_key": spatial_key,
            "library_key": library_key or "",
        },
    )


def has_grid(adata: AnnData) -> bool:
    """Whether `write_grid` was called on this AnnData."""
    return PIXEL in adata.obsm and "grid" in adata.uns.get(KEY, {})


def read_grid(adata: AnnData) -> tuple[list[Grid], np.ndarray, np.ndarray]:
    """Grids, pixel (S, 2) and section (S,) of every spot, as `write_grid` left them."""
    if not has_grid(adata):
        raise InputError('the spots have no pixels yet: obsm["spacex_pixel"] is missing; call sx.pp.rasterize(adata)')
    g = adata.uns[KEY]["grid"]
    columns = (g[name] for name in ("height", "width", "kind", "aspect", "pitch"))
    grids = [
        Grid((int(h), int(w)), str(kind), float(aspect), float(pitch))  # type: ignore[arg-type]
        for h, w, kind, aspect, pitch in zip(*map(np.atleast_1d, columns), strict=True)
    ]
    codes, names = read_sections(adata, g["library_key"] or None)
    order = {str(name): i for i, name in enumerate(np.atleast_1d(g["section"]))}
    missing = [name for name in names if name not in order]
    if missing:
        raise InputError(f"section(s) {', '.join(missing)} have no grid; call sx.pp.rasterize(adata) again")
    section = np.array([order[name] for name in names])[codes]
    used = np.unique(section)
    return [grids[i] for i in used], np.asarray(adata.obsm[PIXEL]), np.searchsorted(used, section)


def read_images(adata: AnnData, *, layer: str | None, config: Config) -> GeneImages:
    """Images of all genes, from the grid that `write_grid` left."""
    check_names(adata)
    matrix, is_count = read_matrix(adata, layer)
    grids, pixel, section = read_grid(adata)
    library = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    images = gene_images(
        matrix, library, [pixel[section == s] for s in range(len(grids))], grids, section,
        is_count=is_count, theta=config.theta,
    )  # fmt: skip
    if images.n_pixels < FEWEST_PIXELS:
        raise InputError(
            f"only {images.n_pixels} pixel(s) hold counts; SpaCEX needs at least {FEWEST_PIXELS}: check the counts, "
            "or pass a finer grid to sx.pp.rasterize"
        )
    return images


def read_pixel_of_spot(adata: AnnData, images: GeneImages) -> np.ndarray:
    """Tissue pixel (S,) of every spot as a number in the order of `images`; -1 where its pixel holds no counts."""
    _, pixel, section = read_grid(adata)
    canvas = images.canvas
    number = np.full(canvas.shape[0] * canvas.shape[1], -1, dtype=np.int64)
    number[canvas.flat] = np.arange(images.n_pixels)
    return number[pixel[:, 0] * canvas.shape[1] + pixel[:, 1] + canvas.offsets[section]]


# -- results ---------------------------------------------------------------------------------------------


def write_embedding(adata: AnnData, embedded: np.ndarray, embedding: np.ndarray) -> None:
    """Write ``varm["X_spacex"]`` (G, D) float32, NaN for genes that are not in the mask `embedded`."""
    full = np.full((adata.n_vars, embedding.shape[1]), np.nan, dtype=np.float32)
    full[embedded] = embedding
    adata.varm[EMBEDDING] = full


def read_embedding(adata: AnnData) -> np.ndarray:
    """``varm["X_spacex"]`` (G, D); an error that names the call where it is missing."""
    if EMBEDDING not in adata.varm:
        raise InputError('the genes have no embedding yet: varm["X_spacex"] is missing; call sx.tl.embed(adata)')
    return np.asarray(adata.varm[EMBEDDING], dtype=np.float32)


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


def write_svg(adata: AnnData, **columns: np.ndarray) -> None:
    """Write ``var["spacex_svg_<name>"]`` for every column (G,)."""
    for name, values in columns.items():
        adata.var[f"{SVG}_{name}"] = np.asarray(values, dtype=np.float64)


def write_domains(adata: AnnData, label: np.ndarray) -> None:
    """Write ``obs["spacex_domain"]`` from numbers (S,); -1, a spot without a domain, becomes NaN."""
    names = [str(k) for k in range(int(label.max(initial=-1)) + 1)]
    adata.obs[DOMAIN] = pd.Categorical.from_codes(label, categories=names)


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
    if gene not in adata.var_names:
        from difflib import get_close_matches

        near = get_close_matches(str(gene).upper(), [n.upper() for n in adata.var_names], n=3)
        back = {n.upper(): n for n in adata.var_names}
        hint = f"; close to it: {', '.join(back[n] for n in near)}" if near else ""
        raise InputError(f"gene {gene!r} is not among the {adata.n_vars} genes of this section{hint}")
    return int(adata.var_names.get_loc(gene))


def note(adata: AnnData, **sections: Any) -> None:
    """Write sections of ``uns["spacex"]``, keeping the others; values of types that HDF5 and zarr can hold."""
    uns = dict(adata.uns.get(KEY, {}))
    for name, values in sections.items():
        uns[name] = _writable(values)
    uns["versions"] = _versions()
    adata.uns[KEY] = uns


def noted(adata: AnnData, name: str) -> dict[str, Any]:
    """One section of ``uns["spacex"]``; empty where it was not written."""
    return dict(adata.uns.get(KEY, {}).get(name, {}))


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _writable(v) for key, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return np.asarray(value)
    return value


def _versions() -> dict[str, str]:
    found: dict[Literal["spacex"] | str, str] = {}
    for package in ("spacex-st", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
