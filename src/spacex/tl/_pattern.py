"""`pattern`: the genes that follow a pattern that somebody has in mind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.validation import check_finite, check_int, check_name, check_names
from spacex.get import embedded_images
from spacex.patterns import expected_map, expected_pattern, extended_embedding, orthogonal_remainder
from spacex.stats import benjamini_hochberg, cosine_pvalue, group_mean, l2_normalize, null_direction_variance

Weights = str | np.ndarray | Sequence[float] | Mapping[str, Iterable[object]] | Sequence[np.ndarray]


def pattern(
    adata: AnnData,
    weights: Weights | None = None,
    *,
    n: int = 50,
    like: str | None = None,
    without: Weights | None = None,
    spatial_key: str | None = None,
) -> pd.DataFrame:
    """The genes that follow a designated pattern.

    The pattern is embedded as the expected map of a gene that follows it, library sizes included, and compared with
    the embeddings of all genes. What the embedding has no dimension for, because few genes follow it, is one dimension
    more, for the pattern and the genes.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    weights
        The pattern: weights (n_obs,) of the spots, high where the gene is wanted; the name of a numeric or boolean
        column of ``obs``; ``{column: values}``, the spots with one of these values, such as
        ``{"spacex_domain": ["2", "3"]}``; or a list of polygons, (N, 2) arrays in the units of the coordinates, the
        spots inside any of them.
    n
        Number of genes to return.
    like
        A gene, by name or symbol, whose pattern is taken instead of `weights`: its map as the embedding sees it.
    without
        Where the gene must be low, given like `weights` (spots with a weight above zero); there the pattern is set to
        its lowest value: "like this gene but not there".
    spatial_key
        Key of the coordinates that polygons refer to; by default those of the grid, else ``"spatial"``.

    Returns
    -------
    A table with the columns ``gene``, ``similarity`` (cosine of the embeddings), ``pvalue`` (how often a gene without a
    pattern is as similar) and ``qvalue`` (Benjamini-Hochberg over all genes), the most similar first; also ``symbol``,
    where a column of ``var`` holds symbols that differ from the names.

    Raises
    ------
    InputError
        If there is no embedding, or the pattern cannot be used: of a wrong length, constant, not finite, an unknown
        column, value or gene.

    Notes
    -----
    Writes ``obs["spacex_pattern"]``, the weights that were looked for, which `spacex.pl.pattern` draws; NaN off the
    tissue, where weights are not looked at.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.pattern(adata, {"domain": ["domain1"]}, n=5).columns.tolist()
    ['gene', 'similarity', 'pvalue', 'qvalue']
    """
    _adata.check_adata(adata, writes=True)
    check_int(n, name="n", low=1)
    check_name(spatial_key, name="spatial_key")
    full = _adata.read_embedding(adata)
    if (weights is None) == (like is None):
        raise InputError("pass either weights or like=, the name of a gene whose pattern is taken")
    wanted = None if weights is None else _spot_weights(adata, weights, "weights", spatial_key)
    index = None if like is None else _embedded_gene(adata, full, like)
    barred = None if without is None else _spot_weights(adata, without, "without", spatial_key) > 0
    with _adata.restore_on_error(adata):  # which may get a grid
        pp.require_grid(adata, config=_adata.read_config(adata))
        images = embedded_images(adata)
        pixel = _adata.read_pixel_of_spot(adata, images)
        components = _adata.read_components(adata, pixel, images.n_pixels)
        if wanted is not None:
            query = group_mean(wanted, pixel, images.n_pixels)
        else:
            query = expected_pattern(full[index].astype(np.float64), images, components)
        if barred is not None:
            inside = group_mean(barred.astype(float), pixel, images.n_pixels) > 0.5
            query = np.where(inside, query.min(), query)
        if np.ptp(query) <= 1e-12 * max(1.0, np.abs(query).max()):
            raise InputError("the pattern is the same everywhere on the tissue; pass weights that differ between spots")
        _adata.write_pattern(adata, _adata.values_at_spots(query, pixel))
        genes = np.flatnonzero(np.isfinite(full).all(axis=1))
        target = expected_map(query, images)
        extra_maps = orthogonal_remainder(target, components)
        z = extended_embedding(full[genes].astype(np.float64), images.take(genes), components, extra_maps)
        return _nearest_genes(adata, genes, z, target @ np.hstack([components, extra_maps]), n)


def _nearest_genes(adata: AnnData, genes: np.ndarray, z: np.ndarray, query: np.ndarray, n: int) -> pd.DataFrame:
    """The table of the genes, by number (G,) and with embeddings (G, D), nearest to a direction (D,)."""
    similarity = l2_normalize(z) @ l2_normalize(query)
    pvalue = cosine_pvalue(similarity, query, null_direction_variance(z))
    order = np.argsort(-similarity, kind="stable")[:n]
    table = {
        "gene": adata.var_names[genes[order]].to_numpy(),
        "similarity": similarity[order],
        "pvalue": pvalue[order],
        "qvalue": benjamini_hochberg(pvalue)[order],
    }
    return _adata.read_gene_names(adata).with_symbols(pd.DataFrame(table), symbol=genes[order])


def _embedded_gene(adata: AnnData, full: np.ndarray, gene: str) -> int:
    index = _adata.gene_index(adata, gene)
    if not np.isfinite(full[index]).all():
        raise InputError(f"like={gene!r} was not embedded: it has too few counts in this section; choose another")
    return index


def _spot_weights(adata: AnnData, given: Weights, name: str, spatial_key: str | None) -> np.ndarray:
    """Weights (S,) from any of the forms in which a pattern can be given; those off the tissue are of no account."""
    if isinstance(given, str):
        return _of_column(adata, given, name)
    if isinstance(given, Mapping):
        return _of_values(adata, given, name)
    if _are_polygons(given):
        return _inside(adata, given, name, spatial_key)
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} does not hold numbers; pass one for each of the {adata.n_obs} spots") from error
    if values.shape != (adata.n_obs,):
        raise InputError(f"{name} has shape {values.shape}; pass one number for each of the {adata.n_obs} spots")
    inside = values[_adata.read_tissue_mask(adata)]
    check_finite(inside, name=name, hint="pass numbers for all spots")
    if np.ptp(inside) == 0:
        raise InputError(f"{name} is {inside[0]:g} for every spot; pass weights that differ between spots")
    return values


def _of_column(adata: AnnData, column: str, name: str) -> np.ndarray:
    if column not in adata.obs:
        raise InputError(f"{name}={column!r} is not a column of adata.obs; pass one, or like= for a gene")
    if not pd.api.types.is_numeric_dtype(adata.obs[column]):
        value = adata.obs[column].dropna().astype(str).iloc[0] if adata.obs[column].notna().any() else "a"
        raise InputError(
            f"obs[{column!r}] does not hold numbers; say which values are wanted: {{{column!r}: [{value!r}]}}"
        )
    return _spot_weights(adata, adata.obs[column].to_numpy(dtype=np.float64, na_value=np.nan), f"obs[{column!r}]", None)


def _of_values(adata: AnnData, given: Mapping[str, Iterable[object]], name: str) -> np.ndarray:
    if not given:
        raise InputError(f"{name} is empty; pass {{column: values}}, the spots with one of these values")
    wanted, in_tissue = np.zeros(adata.n_obs, dtype=bool), _adata.read_tissue_mask(adata)
    for column, values in given.items():
        if column not in adata.obs:
            raise InputError(f"{name}: {column!r} is not a column of adata.obs")
        names = check_names(values, name=f"{name}[{column!r}]")
        here = adata.obs[column].astype(str).where(in_tissue, "")
        unknown = [value for value in names if not (here == value).any()]
        if unknown:
            known = ", ".join(map(repr, here[in_tissue].unique()[:8]))
            raise InputError(f"{name}: no spot has {column} {', '.join(map(repr, unknown))}; there are {known}")
        wanted |= here.isin(names).to_numpy() & in_tissue
    inside = wanted[in_tissue]
    if inside.all() or not inside.any():
        raise InputError(f"{name} takes {'all' if inside.all() else 'none'} of the spots; leave some out")
    return wanted.astype(np.float64)


def _are_polygons(given: object) -> TypeGuard[Sequence[np.ndarray]]:
    return isinstance(given, (list, tuple)) and len(given) > 0 and all(np.ndim(part) == 2 for part in given)


def _inside(adata: AnnData, polygons: Sequence[np.ndarray], name: str, spatial_key: str | None) -> np.ndarray:
    """Which spots (S,) lie in any polygon."""
    from matplotlib.path import Path  # an import that only drawn patterns need

    xy = _adata.read_positions(adata, spatial_key or _adata.rasterize_arguments(adata).get("spatial_key") or "spatial")
    wanted = np.zeros(len(xy), dtype=bool)
    for polygon in polygons:
        corners = np.asarray(polygon, dtype=np.float64)
        if corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise InputError(f"{name}: a polygon has shape {corners.shape}; pass (N, 2) arrays, N at least 3")
        wanted |= Path(corners).contains_points(xy)
    inside = wanted[_adata.read_tissue_mask(adata)]
    if inside.all() or not inside.any():
        raise InputError(f"{name}: the polygons hold {'all' if inside.all() else 'none'} of the spots; draw others")
    return wanted.astype(np.float64)
