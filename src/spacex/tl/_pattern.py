"""`pattern`: the genes that follow a designated spatial pattern."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int, check_name
from spacex.embedding.null_genes import redraw_null_genes
from spacex.get import embedded_images
from spacex.imaging.gene_images import GeneImages
from spacex.patterns import expected_map, expected_pattern, extended_embedding, orthogonal_remainder
from spacex.stats import (
    benjamini_hochberg,
    cosine_pvalue,
    direction_variance,
    group_mean,
    l2_normalize,
    weak_genes,
)
from spacex.tl._spot_weights import Weights, read_spot_weights


def pattern(
    adata: AnnData,
    weights: Weights | None = None,
    *,
    n: int = 50,
    like: str | None = None,
    without: Weights | None = None,
    spatial_key: str | None = None,
) -> pd.DataFrame:
    """Find the genes that follow a designated pattern.

    The expected map of a gene that follows the pattern, including library sizes, is embedded and compared with the
    embeddings of all genes. The part of this map that is outside the span of the embedding's components, because few
    genes follow it, is added as one dimension to all embeddings.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called.
    weights
        The pattern: weights (n_obs,) of the spots, high where the gene should be expressed; the name of a numeric or
        boolean column of ``obs``; ``{column: values}`` for the spots with one of these values, such as
        ``{"spacex_domain": ["2", "3"]}``; or a list of polygons, (N, 2) arrays in the units of the coordinates, for the
        spots inside any of them.
    n
        Number of genes to return.
    like
        A gene, by name or symbol, whose pattern is used instead of `weights`: its map on the embedding's components.
    without
        Where the gene should not be expressed, in the same forms as `weights` (spots with a weight above zero). The
        pattern is set to its minimum there: "like this gene but not in this region".
    spatial_key
        Key of the coordinates of the polygons; by default that of the grid, else ``"spatial"``.

    Returns
    -------
    A table with the columns ``gene``, ``similarity`` (cosine of the embeddings), ``pvalue`` (probability that a gene
    without a pattern is as similar, from the genes that `spacex.tl.embed` redraws without a pattern) and ``qvalue``
    (Benjamini-Hochberg over all genes), the most similar first; also ``symbol``, if a column of ``var`` has symbols
    that differ from the names.

    Raises
    ------
    InputError
        If there is no embedding, or if the pattern is invalid: wrong length, constant, not finite, or with an unknown
        column, value or gene.

    Notes
    -----
    Writes ``obs["spacex_pattern"]``, the pattern, which `spacex.pl.pattern` draws. It is NaN off the tissue, where
    weights are ignored.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=3, progress=False)
    >>> sx.tl.pattern(adata, {"domain": ["domain1"]}, n=5).columns.tolist()
    ['gene', 'similarity', 'pvalue', 'qvalue']
    """
    _adata.prepare_adata(adata, writes=True)
    check_int(n, name="n", low=1)
    check_name(spatial_key, name="spatial_key")
    full = _adata.read_embedding(adata)
    if (weights is None) == (like is None):
        raise InputError("pass either weights, or like= with the name of a gene whose pattern is used")
    spot_weights = None if weights is None else read_spot_weights(adata, weights, "weights", spatial_key)
    gene = None if like is None else _embedded_gene(adata, full, like)
    excluded = None if without is None else read_spot_weights(adata, without, "without", spatial_key) > 0
    with _adata.restore_on_error(adata):  # `require_grid` may write a grid
        pp.require_grid(adata, config=_adata.read_config(adata))
        images = embedded_images(adata)
        pixel = _adata.read_pixel_of_spot(adata, images)
        components = _adata.read_components(adata, pixel, images.n_pixels)
        if spot_weights is not None:
            query = group_mean(spot_weights, pixel, images.n_pixels)
        else:
            query = expected_pattern(full[gene].astype(np.float64), images, components)
        if excluded is not None:
            is_excluded = group_mean(excluded.astype(float), pixel, images.n_pixels) > 0.5
            query = np.where(is_excluded, query.min(), query)
        if np.ptp(query) <= 1e-12 * max(1.0, np.abs(query).max()):
            raise InputError("the pattern is the same everywhere on the tissue; pass weights that differ between spots")
        _adata.write_pattern(adata, _adata.values_at_spots(query, pixel))
        embedded = np.flatnonzero(np.isfinite(full).all(axis=1))
        target = expected_map(query, images)
        extra_maps = orthogonal_remainder(target, components)
        images = images.take(embedded)
        z = extended_embedding(full[embedded].astype(np.float64), images, components, extra_maps)
        null = _null_embedding(adata, images, components, extra_maps)
        variance = direction_variance(weak_genes(z) if null is None else null)
        return _nearest_genes(adata, embedded, z, variance, target @ np.hstack([components, extra_maps]), n)


def _null_embedding(
    adata: AnnData, images: GeneImages, components: np.ndarray, extra_maps: np.ndarray
) -> np.ndarray | None:
    """Embeddings (N, D + m) of the genes redrawn without a pattern, which are drawn again for the extra dimensions."""
    null = _adata.read_null_embedding(adata)
    if null is None or not extra_maps.shape[1]:
        return null
    seed = _adata.read_uns_entry(adata, "embed", "seed")["seed"]
    seed = check_int(seed, name='uns["spacex"]["embed"]["seed"]', low=0)
    redrawn = images.append(redraw_null_genes(images, len(null), seed))
    redrawn = redrawn.take(np.arange(images.n_genes, redrawn.n_genes))
    return extended_embedding(null.astype(np.float64), redrawn, components, extra_maps)


def _nearest_genes(
    adata: AnnData, genes: np.ndarray, z: np.ndarray, null_variance: np.ndarray, query: np.ndarray, n: int
) -> pd.DataFrame:
    """Table of the `n` genes, among genes (G,) with embeddings z (G, D), that are most similar to a query (D,)."""
    similarity = l2_normalize(z) @ l2_normalize(query)
    pvalue = cosine_pvalue(similarity, query, null_variance)
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
