"""`domains`: the regions of the tissue, from the genes that the embedding says have a pattern."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from scipy.spatial import cKDTree

from spacex import _adata
from spacex._config import Config
from spacex._infra.validation import check_int, check_seed
from spacex.domains import (
    components,
    consensus_clustering,
    effective_sample_size,
    hmrf_mean_field,
    pixel_neighbors,
    relabel_by_size,
    select_genes,
)
from spacex.imaging.gene_images import GeneImages

logger = logging.getLogger("spacex")

SIGMA, BORDER_SIGMA = 1.0, 0.5
"""Widths of the smoothing in pixel pitches: that by which domains are found, and that by which borders are drawn."""

CHOICE = (5, 15)
"""Numbers of domains that ``n_domains=None`` considers; coarser divisions are nearly always stable."""

CHOICE_SHARE = 50
"""Mean number of pixels that each of these domains has at least: small sections divide stably into noise."""

MIN_PIXELS = 5
"""Mean number of pixels a domain must be able to have."""

CHOICE_PIXELS = 2000
"""Pixels on which the number of domains is chosen."""

MAX_FILL_DISTANCE = 2.0
"""Distance in pixel pitches within which a spot without counts takes the domain of the nearest pixel."""


def domains(adata: AnnData, *, n_domains: int | None = None, seed: int = 0) -> None:
    """Cluster the spots into tissue domains.

    Genes are chosen and weighted by the norms of their embeddings: the 2,000 strongest, each with the share
    ``1 - 1 / norm^2`` of its map that is signal. Their residual maps are smoothed by one pixel pitch, scaled and
    reduced to principal components. Gaussian mixtures on 15, 20, 30 and 40 components, from several starts, are the
    members of a consensus: the leading components of all posteriors, clustered by K-means. A mixture has one
    covariance for all clusters, shrunk to a sphere where a section has few independent places. Borders are then drawn
    by a hidden Markov random field (mean field, six neighbours) on log-normalised maps smoothed by half a pitch.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called. Sections embedded together share their domains.
    n_domains
        Number of domains, from 2 to a fifth of the tissue pixels. ``None``: the number from 5 to 15 (fewer
        below 750 pixels) at which the members of the consensus agree best with it (mean adjusted Rand
        index). It does not depend on `seed`. Take it as a suggestion: against annotations and planted
        domains it is off by .9 on average, and by 3 at worst.
    seed
        Seed of the starts. The same seed gives the same labels, whatever the order of the spots.

    Raises
    ------
    InputError
        If there is no embedding, or an argument is out of range.

    Notes
    -----
    Writes ``obs["spacex_domain"]``, categorical: ``"0"`` is the largest domain in pixels. A spot whose pixel
    holds no counts has the domain of the nearest pixel of its section within two pixel pitches, and NaN
    beyond, as have spots off the tissue. ``obs["spacex_domain_prob"]``: the share of the members' belief that the spot
    is of its domain, low at borders and where the division is arbitrary. ``obsm["X_spacex_spots"]`` (S, 40) float32:
    the principal components at one pitch, for neighbour graphs, UMAP or another clustering; NaN where a spot has no
    domain. Also writes ``uns["spacex"]["domains"]``: the parameters, the number of genes, widths, and the agreement of
    the members for each number of domains that was tried.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.domains(adata, n_domains=3)
    >>> list(adata.obs["spacex_domain"].cat.categories)
    ['0', '1', '2']
    """
    _adata.check_adata(adata, writes=True)
    norm = np.linalg.norm(_adata.read_embedding(adata), axis=1)
    seed = check_seed(seed)
    config = Config.from_dict(_adata.read_uns_entry(adata, "parameters"))
    images, _ = _adata.choose_images(adata, None, config=config)
    most = max(2, images.n_pixels // MIN_PIXELS)
    if n_domains is not None:
        check_int(n_domains, name="n_domains", low=2, high=most)
    genes, weight = select_genes(norm, images.n_pixels)
    scores = components(images, images.residuals, genes, weight, SIGMA)
    places = effective_sample_size(images.n_pixels, SIGMA)
    tried = _agreements(scores, places) if n_domains is None else {}
    k = int(n_domains) if n_domains is not None else max(tried, key=lambda number: tried[number])
    found = consensus_clustering(scores, places, k, np.random.default_rng(seed))
    border = components(images, images.lognorm, genes, weight, BORDER_SIGMA)
    label = hmrf_mean_field(
        border, found.label, pixel_neighbors(images.layout), effective_sample_size(images.n_pixels, BORDER_SIGMA)
    )
    sure = found.confidence[np.arange(len(label)), label]
    pixel = _pixel_of_spot(adata, images)
    _adata.write_domains(
        adata,
        _adata.values_at_spots(relabel_by_size(label), pixel, -1),
        _adata.values_at_spots(sure, pixel, np.nan),
        _adata.values_at_spots(scores, pixel, np.nan),
    )
    _adata.write_uns(
        adata,
        domains={
            "n_domains": k,
            "n_domains_given": n_domains is not None,
            "n_genes": len(genes),
            "sigma": SIGMA,
            "border_sigma": BORDER_SIGMA,
            "seed": seed,
            "tried": list(tried),
            "agreement": list(tried.values()),
        },
    )


def _agreements(scores: np.ndarray, places: float) -> dict[int, float]:
    """Agreement of the members for the numbers of `CHOICE`."""
    # Of its own, so that the number of domains belongs to the section, not to the seed.
    rng = np.random.default_rng(0)
    high = max(2, min(CHOICE[1], len(scores) // CHOICE_SHARE))
    if len(scores) > CHOICE_PIXELS:
        scores = scores[np.sort(rng.choice(len(scores), CHOICE_PIXELS, replace=False))]
        places = min(places, CHOICE_PIXELS)
    return {
        k: consensus_clustering(scores, places, k, rng, inits=2).agreement
        for k in range(min(CHOICE[0], high), high + 1)
    }


def _pixel_of_spot(adata: AnnData, images: GeneImages) -> np.ndarray:
    """Pixel (S,) with counts of each spot, or the nearest one within `MAX_FILL_DISTANCE`; -1 where there is none."""
    pixel = _adata.read_pixel_of_spot(adata, images)
    grids, place, section = _adata.read_grid(adata)
    layout, empty, found = images.layout, (pixel < 0) & (section >= 0), pixel.copy()
    for s, grid in enumerate(grids):
        lost, here = np.flatnonzero(empty & (section == s)), np.flatnonzero(layout.section == s)
        if len(lost) and len(here):
            tree = cKDTree(grid.positions(layout.pixel[here]))
            distance, nearest = tree.query(grid.positions(place[lost]))
            found[lost] = np.where(distance <= MAX_FILL_DISTANCE, here[nearest], -1)
    if empty.any():
        logger.warning(
            "%d spot(s) lie in pixels without counts: %d take the domain of the nearest pixel, %d have none",
            empty.sum(), (empty & (found >= 0)).sum(), (empty & (found < 0)).sum(),
        )  # fmt: skip
    return found
