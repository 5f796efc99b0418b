"""Spatially variable genes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from anndata import AnnData

from spacex import _adata, pp
from spacex._infra.errors import InputError
from spacex._infra.settings import resolve_settings, settings_to_dict
from spacex._infra.validation import check_bool, check_int, check_names, check_seed
from spacex.stats import benjamini_hochberg
from spacex.svg import SVGParams, SVGResult, spatial_variability_test

logger = logging.getLogger("spacex")

MIN_PERMUTATIONS, MAX_PERMUTATIONS = 50, 10_000


def svg(
    adata: AnnData,
    *,
    layer: str | None = None,
    covariates: Sequence[str] = (),
    shared: bool = True,
    n_permutations: int = 0,
    params: SVGParams | None = None,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Test every gene for spatial variation that library size does not explain.

    Maps of Pearson residuals are tested with Gaussian kernels of scale σ = 0.6, 1.2, 2.5, 5 and 10 pixel pitches (up to
    a third of the section's side) and on the patterns shared by other genes, which detect weak genes that follow a
    pattern of many. The p-values are combined by the Cauchy combination (Liu & Xie 2020). No embedding is required; the
    section is rasterized if necessary.

    Parameters
    ----------
    adata
        Spots × genes, with coordinates.
    layer
        Layer with raw counts; by default that of the embedding, otherwise chosen as in `spacex.tl.embed`.
    covariates
        Columns of ``obs`` with nuisance effects: domains, cell types, a quality measure. Numbers have a log-linear
        effect on the mean, other values one effect per category. With domains, variation *within* domains is tested.
    shared
        Whether to test on shared patterns. Without them, scores depend on other genes through library sizes only;
        fewer weak genes are detected, and slightly more genes with a unique pattern.
    n_permutations
        Number of permuted maps of each gene with p < 0.05, to which the tail of its null distribution is fitted; 0 uses
        the analytic null distribution. Allowed are 50 to 10,000. 200 take about as long as 200 tests of these genes.
    params
        Settings of the method; ``SVGParams()`` by default.
    seed
        Seed of the rows of large kernels from which third moments are estimated, and of permutations. Scores change by
        less than 2 % between seeds.
    progress
        Whether to show the progress of permutations on stderr.

    Raises
    ------
    InputError
        If the counts, the coordinates or a covariate cannot be used.

    Notes
    -----
    Writes the following slots, with NaN for genes that cannot be tested (fewer than 3 counts, in fewer than 3 pixels,
    or constant):

    - ``var["spacex_svg_score"]``: -log10 of the p-value, computed in log space, so that genes are ranked even if their
      p-value underflows;
    - ``var["spacex_svg_pvalue"]``: p-value, at least 2.2e-308;
    - ``var["spacex_svg_qvalue"]``: Benjamini-Hochberg q-value over the tested genes;
    - ``var["spacex_svg_scale"]``: kernel scale σ with the smallest p-value, in pixel pitches: about 1 for vessels and
      stripes, 5 or 10 for gradients and large domains;
    - ``var["spacex_svg_shared"]``: -log10 of the p-value on shared patterns, NaN without shared patterns.

    With several sections (`library_key` of `sx.pp.rasterize`), maps are centered and scaled within sections, and
    statistics are summed over sections. Additional slots are:

    - ``varm["spacex_svg_sections"]`` (G, n_sections): score in each section, from the Gaussian kernels;
    - ``var["spacex_svg_heterogeneity"]``: I² of the autocorrelation between sections, from 0 (equal) to 1.

    ``uns["spacex"]["svg"]`` contains the scales, covariates, permutations, seed, layer, null distribution and `params`.

    Null distribution of counts: independent negative binomial counts with a mean proportional to library size
    (estimated from stable genes) and to the effects of covariates, and a dispersion per gene, estimated by moments.
    Null distribution of intensities (values that are not counts): independent values with constant mean, variance and
    skewness.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=60, n_spots=400, n_modules=3, seed=1)
    >>> sx.tl.svg(adata)
    >>> truth = adata.var["spatially_variable"]
    >>> bool(adata.var["spacex_svg_score"][truth].median() > adata.var["spacex_svg_score"][~truth].median())
    True

    Test variation within domains:

    >>> sx.tl.svg(adata, covariates=["domain"])
    """
    _adata.prepare_adata(adata, writes=True)
    seed = check_seed(seed)
    shared, progress = check_bool(shared, name="shared"), check_bool(progress, name="progress")
    n_permutations = _check_permutations(n_permutations)
    params = resolve_settings(params, SVGParams)
    covariates = check_names(covariates, name="covariates")
    if covariates:
        _adata.read_covariates(adata, covariates)
    with _adata.restore_on_error(adata):
        images = pp.gene_images(adata, layer=layer)
        _adata.check_working_memory(images, "the test for spatial variation")
        values = _adata.read_pixel_covariates(adata, covariates, images) if covariates else None
        result = spatial_variability_test(
            images,
            covariates=values,
            shared=shared,
            n_permutations=n_permutations,
            seed=seed,
            progress=progress,
            params=params,
        )
        _write(adata, result)
        null = "negative binomial" if images.is_count else "intensities"
        _adata.write_uns(
            adata,
            svg={
                "scales": list(result.scales), "covariates": np.array(list(covariates), dtype=object),
                "shared": shared, "n_permutations": n_permutations, "layer": layer, "seed": seed, "null": null,
                "params": settings_to_dict(params),
            },
        )  # fmt: skip


def _check_permutations(n_permutations: int) -> int:
    n_permutations = check_int(n_permutations, name="n_permutations", low=0, high=MAX_PERMUTATIONS)
    if 0 < n_permutations < MIN_PERMUTATIONS:
        raise InputError(
            f"n_permutations={n_permutations} is too few to fit a tail; pass 0, or {MIN_PERMUTATIONS} or more"
        )
    return n_permutations


def _write(adata: AnnData, result: SVGResult) -> None:
    """Write the result to its slots."""
    pvalue = np.maximum(np.exp(result.log_p), np.finfo(np.float64).tiny)
    qvalue = benjamini_hochberg(pvalue)
    columns = {"score": _score(result.log_p), "pvalue": pvalue, "qvalue": qvalue}
    columns |= {"scale": result.scale, "shared": _score(result.log_p_shared)}
    has_sections = result.log_p_by_section.shape[1] > 1
    if has_sections:
        columns["heterogeneity"] = result.heterogeneity
    _adata.write_svg(adata, **columns)
    _adata.write_svg_sections(adata, _score(result.log_p_by_section) if has_sections else None)
    n_tested, n_significant = np.isfinite(result.log_p).sum(), (qvalue < 0.05).sum()
    logger.info("%d of %d genes tested, %d with q < 0.05", n_tested, len(qvalue), n_significant)


def _score(log_p: np.ndarray) -> np.ndarray:
    """-log10 of the p-value, from its natural logarithm."""
    return -log_p / np.log(10.0)
