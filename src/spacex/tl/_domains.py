"""`domains`: tissue domains, clusters of spots by the genes with a spatial pattern."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from anndata import AnnData
from scipy.spatial import cKDTree

from spacex import _adata
from spacex._infra.errors import InputError, safe_repr
from spacex._infra.settings import resolve_settings, settings_to_dict
from spacex._infra.validation import check_int, check_seed
from spacex.domains import (
    METHODS,
    DomainMethod,
    DomainParams,
    agreement_by_number,
    effective_sample_size,
    hmrf_mean_field,
    pixel_neighbors,
    relabel_by_size,
    run_method,
    select_genes,
    smooth_components,
)
from spacex.imaging.gene_images import GeneImages

logger = logging.getLogger("spacex")


def domains(
    adata: AnnData,
    *,
    n_domains: int | None = None,
    method: Literal["consensus", "gaussian_mixture"] | DomainMethod = "consensus",
    seed: int = 0,
    params: DomainParams | None = None,
) -> None:
    """Cluster the spots into tissue domains.

    The features of a pixel are principal components of the maps of the 2,000 genes with the largest embedding norms.
    Each residual map is smoothed by one pixel pitch, standardized, and weighted by ``1 - 1 / norm**2``, the share of
    the map that is signal. A clustering method then assigns every pixel to a domain.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called. Sections embedded together share their domains.
    n_domains
        Number of domains, from 2 to a fifth of the number of tissue pixels. ``None``: the number from 5 to 15 (fewer
        below 750 pixels) at which the ensemble of ``"consensus"`` agrees best with its consensus (mean adjusted Rand
        index), whatever the `method` and the `seed`. Take it as a suggestion: compared with annotations and simulated
        domains its mean error is 0.9, and its largest error 3.
    method
        - ``"consensus"``: Gaussian mixtures on 15, 20, 30 and 40 components from several initializations, combined by
          consensus clustering. The mixtures have one covariance for all domains, which is shrunk to a sphere on
          sections with few pixels. Borders are then refined by a hidden Markov random field (mean field, six nearest
          pixels) on log-normalized maps smoothed by half a pitch.
        - ``"gaussian_mixture"``: scikit-learn's ``GaussianMixture(covariance_type="tied")``, a simple baseline.
        - a callable ``method(features, layout, k, rng)``. It gets the features (P, D) of the tissue pixels, a
          ``SectionLayout`` with their positions, the number of domains, and a ``numpy.random.Generator``. It returns
          ``(labels, confidence)``: labels (P,) from 0 to k - 1, and the probability (P, k) of each domain or the
          confidence (P,) in the label. See the second example.
    seed
        Seed of the random initializations. The same seed gives the same labels, whatever the order of the spots.
    params
        Settings of the features and methods; ``DomainParams()`` by default.

    Raises
    ------
    InputError
        If there is no embedding, an argument is out of range, or a callable returns an invalid result.

    Notes
    -----
    Writes

    - ``obs["spacex_domain"]``: categorical; ``"0"`` is the largest domain in pixels. A spot in a pixel without counts
      gets the domain of the nearest pixel of its section within two pixel pitches, otherwise NaN, as do spots off the
      tissue.
    - ``obs["spacex_domain_prob"]``: the confidence in the domain; with ``"consensus"``, the posterior probability
      averaged over the ensemble. It is low at borders and where the division is arbitrary.
    - ``obsm["X_spacex_spots"]``: (S, 40) float32, the features, for neighbor graphs, UMAP or another clustering; NaN
      for spots without a domain.
    - ``uns["spacex"]["domains"]``: the arguments and settings, the number of genes, and the agreement for each number
      of domains that was considered.

    Examples
    --------
    >>> import numpy as np
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.domains(adata, n_domains=3)
    >>> list(adata.obs["spacex_domain"].cat.categories)
    ['0', '1', '2']

    Another clustering method:

    >>> from sklearn.cluster import KMeans
    >>> def k_means(features, layout, k, rng):
    ...     labels = KMeans(k, random_state=int(rng.integers(2**31))).fit_predict(features)
    ...     return labels, np.eye(k)[labels]
    >>> sx.tl.domains(adata, n_domains=3, method=k_means)
    >>> adata.uns["spacex"]["domains"]["method"]
    'k_means'
    """
    _adata.prepare_adata(adata, writes=True)
    norm = np.linalg.norm(_adata.read_embedding(adata), axis=1)
    seed = check_seed(seed)
    params = resolve_settings(params, DomainParams)
    cluster = _resolve_method(method, params)
    images, _ = _adata.choose_images(adata, None, config=_adata.read_config(adata))
    if n_domains is not None:
        check_int(n_domains, name="n_domains", low=2, high=max(2, images.n_pixels // params.min_pixels_per_domain))
    genes, weight = select_genes(norm, images.n_pixels, params)
    features = smooth_components(images, images.residuals, genes, weight, params.sigma, params.n_components)
    agreement: dict[int, float] = {}
    if n_domains is None:
        agreement = agreement_by_number(features, effective_sample_size(images.n_pixels, params.sigma), params)
    k = max(agreement, key=lambda number: agreement[number]) if n_domains is None else int(n_domains)
    labels, confidence = run_method(cluster, features, images.layout, k, np.random.default_rng(seed))
    if method == "consensus":
        labels = _refine_borders(images, genes, weight, labels, params)
    if confidence.ndim == 2:
        confidence = confidence[np.arange(len(labels)), labels]
    pixel = _nearest_pixel_of_spot(adata, images, params.max_fill_distance)
    _adata.write_domains(
        adata,
        _adata.values_at_spots(relabel_by_size(labels), pixel, -1),
        _adata.values_at_spots(confidence, pixel, np.nan),
        _adata.values_at_spots(features, pixel, np.nan),
    )
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    settings = settings_to_dict(params)
    _adata.write_uns(
        adata,
        domains={
            "n_domains": k, "n_domains_given": n_domains is not None, "method": name, "n_genes": len(genes),
            "sigma": params.sigma, "border_sigma": params.border_sigma, "seed": seed, "params": settings,
            "tried": list(agreement), "agreement": list(agreement.values()),
        },
    )  # fmt: skip


def _resolve_method(method: str | DomainMethod, params: DomainParams) -> DomainMethod:
    """The clustering method with a name, or the callable itself."""
    if isinstance(method, str) and method in METHODS:
        return METHODS[method](params)
    if isinstance(method, str) or not callable(method):
        names = ", ".join(map(repr, METHODS))
        raise InputError(f"method={safe_repr(method)} is not allowed; pass one of {names}, or a callable")
    return method


def _refine_borders(
    images: GeneImages, genes: np.ndarray, weight: np.ndarray, labels: np.ndarray, params: DomainParams
) -> np.ndarray:
    """Labels (P,) after refinement by a random field on less smoothed, log-normalized maps."""
    n_effective = effective_sample_size(images.n_pixels, params.border_sigma)
    scores = smooth_components(images, images.lognorm, genes, weight, params.border_sigma, params.n_components)
    return hmrf_mean_field(scores, labels, pixel_neighbors(images.layout, params.n_neighbors), n_effective, params)


def _nearest_pixel_of_spot(adata: AnnData, images: GeneImages, max_distance: float) -> np.ndarray:
    """Pixel with counts (S,) of each spot, or the nearest in the section within `max_distance`; -1 if there is none."""
    pixel = _adata.read_pixel_of_spot(adata, images)
    grids, row_column, section = _adata.read_grid(adata)
    layout, is_empty, filled = images.layout, (pixel < 0) & (section >= 0), pixel.copy()
    for s, grid in enumerate(grids):
        spots, pixels = np.flatnonzero(is_empty & (section == s)), np.flatnonzero(layout.section == s)
        if len(spots) and len(pixels):
            tree = cKDTree(grid.positions(layout.pixel[pixels]))
            distance, nearest = tree.query(grid.positions(row_column[spots]))
            filled[spots] = np.where(distance <= max_distance, pixels[nearest], -1)
    if is_empty.any():
        logger.warning(
            "%d spot(s) lie in pixels without counts: %d get the domain of the nearest pixel, %d get none",
            is_empty.sum(), (is_empty & (filled >= 0)).sum(), (is_empty & (filled < 0)).sum(),
        )  # fmt: skip
    return filled
