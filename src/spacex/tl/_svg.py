"""Spatially variable genes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from scipy.stats import false_discovery_control

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_int, check_names, check_seed
from spacex.svg import SVGResult, spatial_variability_test

logger = logging.getLogger("spacex")

MIN_PERMUTATIONS, MAX_PERMUTATIONS = 50, 10_000


def svg(
    adata: AnnData,
    *,
    layer: str | None = None,
    covariates: Sequence[str] = (),
    shared: bool = True,
    n_permutations: int = 0,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Test every gene for spatial variation that library size does not explain.

    The map of a gene's Pearson residuals is tested with Gaussian weights of width σ = .6, 1.2, 2.5, 5 and 10 pixel
    pitches (up to a third of the section's side), and on the patterns that other genes share: the embedding's
    own view, which finds weak genes that follow what many do. The p-values are joined by the Cauchy combination (Liu &
    Xie 2020). No embedding is needed; the section is rasterized if that was not done.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    layer
        Layer with raw counts; by default that of the embedding, else as `spacex.tl.embed` chooses it.
    covariates
        Columns of ``obs`` that a gene may follow without being called spatial: domains, cell types, a quality measure.
        Numbers have a log-linear effect on the mean, other values an effect each; with domains, what is tested is
        variation *within* domains.
    shared
        Whether to test on shared patterns. Without, a gene's score hangs on no other gene but through library sizes; it
        then finds fewer of the weak genes, and somewhat more of those with a pattern of their own.
    n_permutations
        Shuffled maps of each gene with p < .05 by which the tail of its p-value is fitted anew; 0 trusts the analytic
        null. At least 50, at most 10,000, beyond which a fitted tail does not change; 200 take about as long as 200
        tests of these genes.
    seed
        Of the rows of large kernels from which third moments are taken, and of shuffling. Another seed moves scores by
        less than 2 %.
    progress
        Whether permutations show their progress on stderr.

    Raises
    ------
    InputError
        If the counts, the coordinates or a covariate cannot be used.

    Notes
    -----
    Writes, NaN for genes that cannot be tested (fewer than 3 counts, in fewer than 3 pixels, or constant):

    - ``var["spacex_svg_score"]``: -log10 of the p-value, kept in log space, so that it ranks beyond the
      smallest number a float can hold;
    - ``var["spacex_svg_pvalue"]``: at least 2.2e-308;
    - ``var["spacex_svg_qvalue"]``: Benjamini-Hochberg over the tested genes;
    - ``var["spacex_svg_scale"]``: the width σ with the smallest p-value, in pixel pitches: about 1 for vessels
      and stripes, 5 or 10 for gradients and large domains;
    - ``var["spacex_svg_shared"]``: -log10 of the p-value on shared patterns alone, NaN where genes share none, or if
      `shared` is False;

    with several sections (`library_key` of `sx.pp.rasterize`), which are centred and scaled apart and whose evidence
    adds up, also

    - ``varm["spacex_svg_sections"]`` (G, n_sections): the score of each section alone, widths only;
    - ``var["spacex_svg_heterogeneity"]``: I² of the autocorrelation between sections, from 0 (alike) to 1;

    and ``uns["spacex"]["svg"]``: widths, covariates, permutations, seed, layer and which null was used.

    Null, counts: independent negative-binomial counts with a mean proportional to library size (as the genes that
    change little have it) and to the effects of covariates, and the gene's own dispersion, estimated by moments.
    Null, intensities (anything that is not counts): independent values of one mean, variance and skewness.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=60, n_spots=400, n_modules=3, seed=1)
    >>> sx.tl.svg(adata)
    >>> truth = adata.var["spatially_variable"]
    >>> bool(adata.var["spacex_svg_score"][truth].median() > adata.var["spacex_svg_score"][~truth].median())
    True

    Variation within domains:

    >>> sx.tl.svg(adata, covariates=["domain"])
    """
    _adata.prepare_adata(adata, writes=True)
    seed = check_seed(seed)
    shared, progress = check_bool(shared, name="shared"), check_bool(progress, name="progress")
    n_permutations = _check_permutations(n_permutations)
    covariates = check_names(covariates, name="covariates")
    if covariates:
        _adata.read_covariates(adata, covariates)
    with _adata.restore_on_error(adata):
        images = pp.gene_images(adata, layer=layer)
        _adata.check_working_memory(images, "the test for spatial variation")
        values = _adata.read_pixel_covariates(adata, covariates, images) if covariates else None
        found = spatial_variability_test(
            images, covariates=values, shared=shared, n_permutations=n_permutations, seed=seed, progress=progress
        )
        _write(adata, found)
        null = "negative binomial" if images.is_count else "intensities"
        _adata.write_uns(
            adata,
            svg={
                "scales": list(found.scales), "covariates": np.array(list(covariates), dtype=object),
                "shared": shared, "n_permutations": n_permutations, "layer": layer, "seed": seed, "null": null,
            },
        )  # fmt: skip


def _check_permutations(n_permutations: int) -> int:
    n_permutations = check_int(n_permutations, name="n_permutations", low=0, high=MAX_PERMUTATIONS)
    if 0 < n_permutations < MIN_PERMUTATIONS:
        raise InputError(
            f"n_permutations={n_permutations} is too few to fit a tail; pass 0, or {MIN_PERMUTATIONS} or more"
        )
    return n_permutations


def _write(adata: AnnData, found: SVGResult) -> None:
    """Write the evidence to its slots."""
    log_p = found.log_p
    tested = np.isfinite(log_p)
    pvalue = np.maximum(np.exp(log_p), np.finfo(np.float64).tiny)
    qvalue = np.full(len(log_p), np.nan)
    if tested.any():
        qvalue[tested] = false_discovery_control(pvalue[tested])
    columns = {"score": _score(log_p), "pvalue": pvalue, "qvalue": qvalue}
    columns |= {"scale": found.scale, "shared": _score(found.log_p_shared)}
    several = found.sections.shape[1] > 1
    if several:
        columns["heterogeneity"] = found.heterogeneity
    _adata.write_svg(adata, **columns)
    _adata.write_svg_sections(adata, _score(found.sections) if several else None)
    logger.info("%d of %d genes tested, %d with q < .05", tested.sum(), len(tested), (qvalue < 0.05).sum())


def _score(log_p: np.ndarray) -> np.ndarray:
    """-log10 of the p-value."""
    return -log_p / np.log(10.0)
