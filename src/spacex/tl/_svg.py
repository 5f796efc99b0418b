"""Spatially variable genes."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from scipy.stats import false_discovery_control

from .. import _slots, pp
from .._check import check_int
from ..autocorrelation import log_pvalues

logger = logging.getLogger("spacex")


def svg(adata: AnnData, *, layer: str | None = None, seed: int = 0) -> None:
    """Test every gene for spatial variation that library size does not explain.

    The map of a gene's Pearson residuals is tested for spatial autocorrelation with Gaussian weights of width
    σ = 1, 2, 4, 8 and 16 pixel pitches (up to a third of the section's side); the p-values of the widths are
    joined by the Cauchy combination. No embedding is needed; the section is rasterized if that was not done.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    layer
        Layer with raw counts; else ``X``.
    seed
        The null's third moment comes from a random sample of pixels in sections of more than 256; nothing
        else is random.

    Raises
    ------
    InputError
        If the counts or the coordinates cannot be used.

    Notes
    -----
    Writes, NaN for genes that cannot be tested (fewer than 3 counts, in fewer than 3 pixels, or constant):

    - ``var["spacex_svg_score"]``: -log10 of the p-value, kept in log space, so that it ranks beyond the
      smallest number a float can hold;
    - ``var["spacex_svg_pvalue"]``: at least 2.2e-308;
    - ``var["spacex_svg_qvalue"]``: Benjamini-Hochberg over the tested genes;

    and ``uns["spacex"]["svg"]``: widths, seed, layer and which null was used.

    Null, counts: independent negative-binomial counts with a mean proportional to library size and the gene's
    own dispersion, estimated by moments. Null, intensities (anything that is not counts): independent values
    of one mean, variance and skewness. Sections (`library_key` of `sx.pp.rasterize`) are centred and scaled
    apart, and their evidence adds up.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=60, n_spots=400, n_modules=3, seed=1)
    >>> sx.tl.svg(adata)
    >>> truth = adata.var["spatially_variable"]
    >>> bool(adata.var["spacex_svg_score"][truth].median() > adata.var["spacex_svg_score"][~truth].median())
    True
    """
    seed = check_int(seed, name="seed", low=0)
    images = pp.gene_images(adata, layer=layer)
    log_p, scales = log_pvalues(images, seed=seed)
    tested = np.isfinite(log_p)
    pvalue = np.maximum(np.exp(log_p), np.finfo(np.float64).tiny)
    qvalue = np.full(len(log_p), np.nan)
    if tested.any():
        qvalue[tested] = false_discovery_control(pvalue[tested])
    _slots.write_svg(adata, score=-log_p / np.log(10.0), pvalue=pvalue, qvalue=qvalue)
    null = "negative binomial" if images.is_count else "intensities"
    _slots.note(adata, svg={"scales": list(scales), "layer": layer, "seed": seed, "null": null})
    found = int((qvalue < 0.05).sum())
    logger.info("%d of %d genes tested, %d with q < .05", tested.sum(), len(tested), found)
