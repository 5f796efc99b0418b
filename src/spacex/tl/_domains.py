"""`domains`: the regions of the tissue, from the genes that the embedding says have a pattern."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import scipy.linalg
from anndata import AnnData
from scipy.spatial import cKDTree

from .. import _slots
from .._check import InputError, check_int
from .._config import Config
from ..raster import Canvas, GeneImages
from ..spectral import BATCH, Smoother

logger = logging.getLogger("spacex")

MOST_GENES = 2000
FEWEST_GENES = 250
MOST_VALUES = 40_000_000
"""Pixels x genes that are held at once (160 MB): beyond it fewer genes are used, down to `FEWEST_GENES`."""

SIGMA = 1.0
"""Width of the smoothing in pixel pitches."""

COMPONENTS = (10, 12, 15, 20)
"""Principal components of the members of the consensus."""

INITS = 5
"""Members of the consensus for each number of components."""

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

NEIGHBOURS, MAJORITY = 6, 5
"""A pixel takes the domain that at least `MAJORITY` of its `NEIGHBOURS` nearest pixels share."""


def domains(adata: AnnData, *, n_domains: int | None = None, seed: int = 0) -> None:
    """Cluster the spots into tissue domains.

    Genes are chosen and weighted by the norms of their embeddings: the 2,000 strongest, each with the
    share ``1 - 1 / norm^2`` of its map that is signal. Their residual maps are smoothed a little (one pixel
    pitch), scaled and reduced to principal components. Tied-covariance Gaussian mixtures on 10, 12, 15 and
    20 components, from several starts, are the members of a consensus: the leading components of all
    posteriors, clustered by K-means. A pixel that nearly all its neighbours outvote takes their domain.

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
    beyond. Also writes ``uns["spacex"]["domains"]``: the parameters, the number of genes, and the agreement
    of the members for each number of domains that was tried.

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
    layer = str(_slots.noted(adata, "embed").get("layer", "")) or None
    config = Config.from_dict(_slots.noted(adata, "parameters"))
    images = _slots.read_images(adata, layer=layer, config=config)
    most = max(2, images.n_pixels // FEWEST_PIXELS)
    if n_domains is not None:
        check_int(n_domains, name="n_domains", low=2, high=most)
    genes, weight = _strongest(norm, images.n_pixels)
    scores = _components(images, genes, weight)
    rng = np.random.default_rng(seed)
    tried = _agreements(scores) if n_domains is None else {}
    k = int(n_domains) if n_domains is not None else max(tried, key=lambda number: tried[number])
    label = _by_size(_outvote(consensus(members(scores, k, rng), k, rng), images.canvas))
    _slots.write_domains(adata, _spots(adata, images, label))
    _slots.note(
        adata,
        domains={
            "n_domains": k,
            "n_domains_given": n_domains is not None,
            "n_genes": len(genes),
            "seed": seed,
            "tried": list(tried),
            "agreement": list(tried.values()),
        },
    )


# -- features --------------------------------------------------------------------------------------------


def _strongest(norm: np.ndarray, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The genes with the largest norms, and the share (B,) of each one's map that is signal.

    The norm is the root of the ratio of a map's energy to that expected without a pattern, so that the share
    is the Wiener weight 1 - 1 / norm^2; genes at or below the level of noise drop out.
    """
    norm = np.nan_to_num(norm, nan=0.0).astype(np.float64)
    n_genes = int(np.clip(MOST_VALUES // n_pixels, FEWEST_GENES, MOST_GENES))
    order = np.argsort(-norm, kind="stable")[:n_genes]
    above = order[norm[order] > 1.0]
    if len(above) >= 2:
        return above, 1.0 - 1.0 / norm[above] ** 2
    order = order[norm[order] > 0]
    if len(order) < 2:
        raise InputError('varm["X_spacex"] holds fewer than 2 genes; call sx.tl.embed(adata)')
    logger.warning("no two genes have a pattern stronger than noise: the domains mean little")
    return order, np.ones(len(order))


def _components(images: GeneImages, genes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Leading principal components (P, D) of the smoothed, scaled and weighted residual maps of genes."""
    smoother = Smoother(images.canvas, SIGMA)
    maps = np.empty((len(genes), images.n_pixels), dtype=np.float32)
    for start in range(0, len(genes), BATCH):
        part = slice(start, start + BATCH)
        maps[part] = smoother.apply(images.residuals(genes[part]))
    maps -= maps.mean(axis=1, keepdims=True)
    maps *= (weight / np.maximum(maps.std(axis=1), 1e-9)).astype(np.float32)[:, None]
    by_gene = len(maps) <= images.n_pixels
    gram = (maps @ maps.T if by_gene else maps.T @ maps).astype(np.float64)
    rank = max(1, min(COMPONENTS[-1], len(maps) - 1, images.n_pixels // 10))
    value, vector = scipy.linalg.eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    vector, value = vector[:, ::-1], np.maximum(value[::-1], 0.0)
    scores = maps.T @ vector if by_gene else vector * np.sqrt(value)
    # The sign of a component is arbitrary; fix it, so that labels do not hang on the linear algebra library.
    scores = scores * np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(rank)])
    return np.asarray(scores / max(float(scores[:, 0].std()), 1e-12), dtype=np.float64)


# -- consensus -------------------------------------------------------------------------------------------


def members(scores: np.ndarray, k: int, rng: np.random.Generator, *, inits: int = INITS) -> list[np.ndarray]:
    """Posteriors (P, k) of the mixtures that make the consensus: numbers of components x starts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    found = []
    for width in sorted({min(c, scores.shape[1]) for c in COMPONENTS}):
        for seed in rng.integers(2**31, size=inits):
            mixture = GaussianMixture(k, covariance_type="tied", reg_covar=1e-6, random_state=int(seed))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(scores[:, :width])
            found.append(mixture.predict_proba(scores[:, :width]))
    return found


def consensus(found: list[np.ndarray], k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (P,) on which the members agree.

    Pixels are embedded by the leading k singular vectors of all posteriors side by side, each cluster scaled
    to unit mass (the spectrum of the co-association of pixels, which is never formed), and clustered by
    K-means.
    """
    from sklearn.cluster import KMeans

    beside = np.hstack([p / np.sqrt(np.maximum(p.sum(axis=0), 1e-9)) for p in found])
    size = beside.shape[1]
    vector = scipy.linalg.eigh(beside.T @ beside, subset_by_index=(size - k, size - 1))[1]
    points = beside @ vector
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    seed = int(rng.integers(2**31))
    return np.asarray(KMeans(k, n_init=10, random_state=seed).fit_predict(points), dtype=np.int64)


def _agreements(scores: np.ndarray) -> dict[int, float]:
    """Mean adjusted Rand index of the members with their consensus, for the numbers of `CHOICE`."""
    from sklearn.metrics import adjusted_rand_score

    # Of its own, so that the number of domains belongs to the section, not to the seed.
    rng = np.random.default_rng(0)
    high = max(2, min(CHOICE[1], len(scores) // CHOICE_SHARE))
    if len(scores) > CHOICE_PIXELS:
        scores = scores[np.sort(rng.choice(len(scores), CHOICE_PIXELS, replace=False))]
    agreement = {}
    for k in range(min(CHOICE[0], high), high + 1):
        found = members(scores, k, rng, inits=2)
        agreed = consensus(found, k, rng)
        agreement[k] = float(np.mean([adjusted_rand_score(p.argmax(axis=1), agreed) for p in found]))
    return agreement


# -- labels ----------------------------------------------------------------------------------------------


def _neighbours(canvas: Canvas) -> np.ndarray:
    """The nearest tissue pixels (P, n) of every tissue pixel, within its section."""
    smallest = int(np.bincount(canvas.section).min())
    n = min(NEIGHBOURS, smallest - 1)
    near = np.empty((len(canvas.section), n), dtype=np.int64)
    for s, grid in enumerate(canvas.grids):
        here = np.flatnonzero(canvas.section == s)
        place = grid.positions(canvas.pixel[here])
        nearest = np.asarray(cKDTree(place).query(place, k=n + 1)[1]).reshape(len(here), n + 1)
        near[here] = here[nearest[:, 1:]]
    return near


def _outvote(label: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Labels (P,) after each pixel took the label that nearly all neighbours share; no label is lost."""
    near = _neighbours(canvas)  # with fewer than MAJORITY neighbours nobody is outvoted
    votes = np.eye(label.max() + 1)[label[near]].sum(axis=1)
    voted = np.where(votes.max(axis=1) >= MAJORITY, votes.argmax(axis=1), label)
    return voted if len(np.unique(voted)) == len(np.unique(label)) else label


def _by_size(label: np.ndarray) -> np.ndarray:
    """The same labels numbered from the largest domain down."""
    _, first, label, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[label]


def _spots(adata: AnnData, images: GeneImages, label: np.ndarray) -> np.ndarray:
    """Label (S,) of every spot, from those of the pixels; -1 where no pixel with counts is near."""
    pixel = _slots.read_pixel_of_spot(adata, images)
    found = np.where(pixel >= 0, label[pixel], -1)
    grids, place, section = _slots.read_grid(adata)
    canvas, empty = images.canvas, pixel < 0
    for s, grid in enumerate(grids):
        lost, here = np.flatnonzero(empty & (section == s)), np.flatnonzero(canvas.section == s)
        if len(lost) and len(here):
            tree = cKDTree(grid.positions(canvas.pixel[here]))
            distance, nearest = tree.query(grid.positions(place[lost]))
            found[lost] = np.where(distance <= REACH, label[here[nearest]], -1)
    if empty.any():
        logger.warning(
            "%d spot(s) lie in pixels without counts: %d take the domain of the nearest pixel, %d have none",
            empty.sum(), (empty & (found >= 0)).sum(), (found < 0).sum(),
        )  # fmt: skip
    return found
