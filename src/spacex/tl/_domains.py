"""`domains`: the regions of the tissue, from the genes that the embedding says have a pattern."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from scipy.spatial import cKDTree

from .. import _slots
from .._check import check_int
from .._config import Config
from ..partition import agree, by_size, components, outvote, strongest
from ..raster import GeneImages

logger = logging.getLogger("spacex")

SIGMAS, WEIGHTS = (1.0, 2.0), (1.0, 0.5)
"""Widths of the smoothing in pixel pitches, and by what the mixtures on each count."""

CHOICE = (4, 15)
"""Numbers of domains that ``n_domains=None`` considers; coarser divisions are nearly always stable."""

CHOICE_SHARE = 50
"""Mean number of pixels that each of these domains has at least: small sections divide stably into noise."""

FEWEST_PIXELS = 5
"""Mean number of pixels a domain must be able to have."""

CHOICE_PIXELS = 2000
"""Pixels on which the number of domains is chosen."""

REACH = 2.0
"""Distance in pixel pitches within which a spot without counts takes the domain of the nearest pixel."""


def domains(adata: AnnData, *, n_domains: int | None = None, seed: int = 0) -> None:
    """Cluster the spots into tissue domains.

    Genes are chosen and weighted by the norms of their embeddings: the 2,000 strongest, each with the
    share ``1 - 1 / norm^2`` of its map that is signal. Their residual maps are smoothed by one and by two pixel
    pitches, scaled and reduced to principal components. Tied-covariance Gaussian mixtures on 10, 12, 15 and
    20 components, from several starts, are the members of a consensus: the leading components of all
    posteriors, clustered by K-means; those of the wider smoothing count half. A pixel that nearly all its
    neighbours outvote takes their domain.

    Parameters
    ----------
    adata
        An AnnData on which `spacex.tl.embed` was called. Sections embedded together share their domains.
    n_domains
        Number of domains, from 2 to a fifth of the tissue pixels. ``None``: the number from 4 to 15 (fewer
        below 750 pixels) at which the members of the consensus agree best with it (mean adjusted Rand
        index). It does not depend on `seed`. Take it as a suggestion: against annotations and planted
        domains it is off by 2 on average, and by 6 at worst.
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
    beyond. ``obs["spacex_domain_prob"]``: the share of the members' belief that the spot is of its domain, low at
    borders and where the division is arbitrary. ``obsm["X_spacex_spots"]`` (S, 20) float32: the principal components
    at one pitch, for neighbour graphs, UMAP or another clustering; NaN where a spot has no domain. Also writes
    ``uns["spacex"]["domains"]``: the parameters, the number of genes, widths and weights, and the agreement of the
    members for each number of domains that was tried.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=80, n_spots=300, n_modules=4, n_domains=3, depth=1.0)
    >>> model = sx.tl.embed(adata, n_modules=4, progress=False)
    >>> sx.tl.domains(adata, n_domains=3)
    >>> list(adata.obs["spacex_domain"].cat.categories)
    ['0', '1', '2']
    """
    norm = np.linalg.norm(_slots.read_embedding(adata), axis=1)
    check_int(seed, name="seed", low=0)
    config = Config.from_dict(_slots.noted(adata, "parameters"))
    images = _slots.read_images(adata, layer=_slots.embedded_layer(adata), config=config)
    most = max(2, images.n_pixels // FEWEST_PIXELS)
    if n_domains is not None:
        check_int(n_domains, name="n_domains", low=2, high=most)
    genes, weight = strongest(norm, images.n_pixels)
    features = [components(images, genes, weight, sigma) for sigma in SIGMAS]
    tried = _agreements(features[0]) if n_domains is None else {}
    k = int(n_domains) if n_domains is not None else max(tried, key=lambda number: tried[number])
    found = agree(features, WEIGHTS, k, np.random.default_rng(seed))
    label = outvote(found.label, images.canvas)
    sure = found.confidence[np.arange(len(label)), label]
    pixel = _pixel_of_spot(adata, images)
    _slots.write_domains(
        adata,
        _at_spots(by_size(label), pixel, -1),
        _at_spots(sure, pixel, np.nan),
        _at_spots(features[0], pixel, np.nan),
    )
    _slots.note(
        adata,
        domains={
            "n_domains": k,
            "n_domains_given": n_domains is not None,
            "n_genes": len(genes),
            "sigmas": list(SIGMAS),
            "weights": list(WEIGHTS),
            "seed": seed,
            "tried": list(tried),
            "agreement": list(tried.values()),
        },
    )


def _agreements(scores: np.ndarray) -> dict[int, float]:
    """Agreement of the members on features (P, D) of one width, for the numbers of `CHOICE`."""
    # Of its own, so that the number of domains belongs to the section, not to the seed.
    rng = np.random.default_rng(0)
    high = max(2, min(CHOICE[1], len(scores) // CHOICE_SHARE))
    if len(scores) > CHOICE_PIXELS:
        scores = scores[np.sort(rng.choice(len(scores), CHOICE_PIXELS, replace=False))]
    return {k: agree([scores], (1.0,), k, rng, inits=2).agreement for k in range(min(CHOICE[0], high), high + 1)}


def _at_spots(values: np.ndarray, pixel: np.ndarray, missing: float) -> np.ndarray:
    """Values of pixels (P, ...) at spots, by the pixel (S,) of each; `missing` where it has none."""
    found = np.full((len(pixel), *values.shape[1:]), missing, dtype=values.dtype)
    found[pixel >= 0] = values[pixel[pixel >= 0]]
    return found


def _pixel_of_spot(adata: AnnData, images: GeneImages) -> np.ndarray:
    """Pixel (S,) with counts that each spot belongs to, or the nearest one within `REACH`; -1 where there is none."""
    pixel = _slots.read_pixel_of_spot(adata, images)
    grids, place, section = _slots.read_grid(adata)
    canvas, empty, found = images.canvas, pixel < 0, pixel.copy()
    for s, grid in enumerate(grids):
        lost, here = np.flatnonzero(empty & (section == s)), np.flatnonzero(canvas.section == s)
        if len(lost) and len(here):
            tree = cKDTree(grid.positions(canvas.pixel[here]))
            distance, nearest = tree.query(grid.positions(place[lost]))
            found[lost] = np.where(distance <= REACH, here[nearest], -1)
    if empty.any():
        logger.warning(
            "%d spot(s) lie in pixels without counts: %d take the domain of the nearest pixel, %d have none",
            empty.sum(), (empty & (found >= 0)).sum(), (found < 0).sum(),
        )  # fmt: skip
    return found
