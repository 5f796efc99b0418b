"""Domains: planted ones are found, and what must not change them does not."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.spatial import cKDTree
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from spacex import Config, InputError, _adata, pp
from spacex.datasets import simulate_section
from spacex.domains import Consensus, consensus_clustering, effective_sample_size, hmrf_mean_field, select_genes
from spacex.domains.consensus import consensus
from spacex.domains.labels import pixel_neighbors
from spacex.domains.mixture import fit_em, shrinkage
from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import Smoother
from spacex.tl import _domains
from spacex.tl._domains import domains
from spacex.tl._embed import embed


def give_embedding(adata: AnnData, *, layer: str | None = None) -> None:
    """Write two columns whose norm is the strength of each gene's smoothed map, in place of a trained embedding."""
    images = pp.gene_images(adata, layer=layer)
    smoother = Smoother(images.layout, 1.0)
    energy = np.square(smoother.apply(images.residuals())).mean(axis=1) / smoother.variance.mean()
    embedding = np.sqrt(energy)[:, None] * np.array([[0.6, 0.8]])
    _adata.write_embedding(adata, np.ones(adata.n_vars, dtype=bool), embedding)
    _adata.write_uns(adata, embed={"layer": layer or ""})


def planted(technology: str = "visium", seed: int = 1, n_spots: int = 800) -> AnnData:
    return simulate_section(300, n_spots, 12, 4, technology, seed, depth=0.5)


@pytest.fixture(scope="module")
def section() -> AnnData:
    adata = planted()
    give_embedding(adata)
    return adata


@pytest.fixture(scope="module")
def found(section: AnnData) -> AnnData:
    adata = section.copy()
    domains(adata, n_domains=4)
    return adata


def agreement(adata: AnnData) -> float:
    return float(adjusted_rand_score(adata.obs["domain"], adata.obs["spacex_domain"]))


# -- recovery --------------------------------------------------------------------------------------------


def test_planted_domains_are_recovered(found: AnnData):
    assert agreement(found) > 0.95


@pytest.mark.parametrize("technology", ["st", "cells"])
def test_planted_domains_are_recovered_on_other_grids(technology):
    adata = planted(technology, n_spots=1200 if technology == "cells" else 800)
    give_embedding(adata)
    domains(adata, n_domains=4)
    assert agreement(adata) > 0.6


def test_domains_after_embed():
    adata = planted(n_spots=500)
    embed(adata, n_modules=5, config=Config(epochs=0, boost_rounds=0), progress=False)
    domains(adata, n_domains=4)
    assert agreement(adata) > 0.6


def test_genes_without_a_pattern_have_no_say(section: AnnData):
    norm = np.linalg.norm(section.varm["X_spacex"], axis=1)
    genes, weight = select_genes(norm, 800)
    assert (norm[genes] > 1).all()
    assert np.all(np.diff(weight) <= 0)
    assert (weight > 0).all()
    assert (weight < 1).all()


def test_number_of_domains_is_chosen(section: AnnData, monkeypatch):
    monkeypatch.setattr(_domains, "CHOICE", (2, 8))
    adata = section.copy()
    domains(adata)
    noted = adata.uns["spacex"]["domains"]
    assert noted["n_domains"] == adata.obs["spacex_domain"].nunique()
    assert 3 <= noted["n_domains"] <= 6  # 4 are planted
    assert noted["n_domains"] == noted["tried"][noted["agreement"].argmax()]
    assert list(noted["tried"]) == list(range(2, 9))
    assert not noted["n_domains_given"]


def test_spots_have_a_probability_and_a_place(found: AnnData):
    probability = found.obs["spacex_domain_prob"].to_numpy()
    assert ((probability > 0) & (probability <= 1 + 1e-9)).all()
    truth = found.obs["domain"].to_numpy()
    near = cKDTree(found.obsm["spatial"]).query(found.obsm["spatial"], k=7)[1][:, 1:]
    border = (truth[near] != truth[:, None]).any(axis=1)
    assert probability[~border].mean() > probability[border].mean() + 0.05
    points = found.obsm["X_spacex_spots"]
    assert points.dtype == np.float32
    assert points.shape == (found.n_obs, 40)
    near = cKDTree(points).query(points, k=2)[1][:, 1]
    domain = found.obs["spacex_domain"].to_numpy()
    assert (domain == domain[near]).mean() > 0.8


def clouds(rng: np.random.Generator, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (300, 5) in three clouds, so far apart, and the cloud of each."""
    truth = np.repeat([0, 1, 2], 100)
    return apart * np.eye(3, 5)[truth] + rng.standard_normal((300, 5)), truth


def test_clouds_are_told_apart():
    rng = np.random.default_rng(0)
    points, truth = clouds(rng, 8.0)
    found = consensus_clustering(points, 300, 3, rng, inits=2)
    assert isinstance(found, Consensus)
    assert adjusted_rand_score(found.label, truth) > 0.95
    assert found.agreement > 0.95


def test_confidence_is_a_probability_that_tells_right_from_wrong():
    rng = np.random.default_rng(1)
    points, truth = clouds(rng, 3.5)
    found = consensus_clustering(points, 300, 3, rng)
    np.testing.assert_allclose(found.confidence.sum(axis=1), 1, atol=1e-9)
    sure = found.confidence[np.arange(300), found.label]
    named = np.array([np.bincount(truth[found.label == k]).argmax() for k in range(3)])
    right = named[found.label] == truth
    assert sure[right].mean() > sure[~right].mean() + 0.1


# -- labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 5, 9])
def test_n_domains_is_honoured_and_named_by_size(section: AnnData, k):
    adata = section.copy()
    domains(adata, n_domains=k)
    label = adata.obs["spacex_domain"]
    assert list(label.cat.categories) == [str(i) for i in range(k)]
    assert np.all(np.diff(label.value_counts(sort=False).to_numpy()) <= 0)  # one spot a pixel here
    assert label.notna().all()


def test_same_seed_same_labels(section: AnnData, found: AnnData):
    again = section.copy()
    domains(again, n_domains=4)
    pd.testing.assert_series_equal(again.obs["spacex_domain"], found.obs["spacex_domain"])


def test_seeds_agree(section: AnnData, found: AnnData):
    other = section.copy()
    domains(other, n_domains=4, seed=7)
    assert adjusted_rand_score(other.obs["spacex_domain"], found.obs["spacex_domain"]) > 0.9


def test_global_generator_is_left_alone(section: AnnData):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    domains(section.copy(), n_domains=2)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_permuting_spots_permutes_labels(section: AnnData, found: AnnData):
    order = np.random.default_rng(3).permutation(section.n_obs)
    turned = section[order].copy()
    domains(turned, n_domains=4)
    expected = found.obs["spacex_domain"].iloc[order].astype(str)
    assert (turned.obs["spacex_domain"].astype(str) == expected).all()


def test_result_survives_h5ad(found: AnnData, tmp_path):
    found.write_h5ad(tmp_path / "found.h5ad")
    back = ad.read_h5ad(tmp_path / "found.h5ad")
    pd.testing.assert_series_equal(back.obs["spacex_domain"], found.obs["spacex_domain"])
    assert back.uns["spacex"]["domains"]["n_domains"] == 4
    domains(back, n_domains=4)
    pd.testing.assert_series_equal(back.obs["spacex_domain"], found.obs["spacex_domain"])


def test_the_layer_of_the_embedding_is_used(section: AnnData, found: AnnData):
    adata = section.copy()
    adata.layers["raw"] = adata.X.copy()
    adata.X = sp.csr_matrix(np.ones(adata.shape, dtype=np.float32))
    give_embedding(adata, layer="raw")
    domains(adata, n_domains=4)
    pd.testing.assert_series_equal(adata.obs["spacex_domain"], found.obs["spacex_domain"])


# -- spots without counts --------------------------------------------------------------------------------


def test_spots_without_counts_take_the_nearest_domain_or_none(section: AnnData, caplog):
    adata = section.copy()
    kept = adata.obsm["spacex_pixel"]
    inside = int(np.argmin(np.linalg.norm(kept - kept.mean(axis=0), axis=1)))
    row, col = kept[inside]
    around = np.abs(kept - [row, col]).max(axis=1) <= 5
    silent = np.flatnonzero(around)
    matrix = adata.X.tolil()
    matrix[silent] = 0
    adata.X = matrix.tocsr()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        domains(adata, n_domains=4)
    label = adata.obs["spacex_domain"]
    assert pd.isna(label.iloc[inside])  # more than two pitches from any pixel with counts
    assert label.iloc[silent].notna().any()  # the rim of the hole is near enough
    assert label.iloc[~around].notna().all()
    assert "without counts" in caplog.text


# -- several sections ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair() -> AnnData:
    """One tissue twice, the second time with 70 % of the counts."""
    first = planted(n_spots=600)
    second = first.copy()
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(first.X, copy=True)
    counts.data = rng.binomial(counts.data.astype(int), 0.7).astype(np.float32)
    second.X = counts
    both = ad.concat({"a": first, "b": second}, label="slice", index_unique="-")
    pp.rasterize(both, library_key="slice")
    give_embedding(both)
    return both


def test_sections_share_domains(pair: AnnData):
    adata = pair.copy()
    domains(adata, n_domains=4)
    assert agreement(adata) > 0.6
    here, there = (adata.obs["spacex_domain"][adata.obs["slice"] == s].to_numpy() for s in "ab")
    assert (here == there).mean() > 0.85  # by name, not up to renaming


def test_neighbours_stay_in_their_section():
    grid = Grid((3, 3), "square", 1.0, 1.0)
    place = np.argwhere(np.ones((3, 3), dtype=bool))
    layout = SectionLayout((grid, grid), np.repeat([0, 1], 9), np.vstack([place, place]))
    near = pixel_neighbors(layout)
    assert (near[:9] < 9).all()
    assert (near[9:] >= 9).all()
    assert all(i not in row for i, row in enumerate(near))


def stripes(side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Label of every pixel of a square in four stripes, and the neighbours of each."""
    place = np.argwhere(np.ones((side, side), dtype=bool))
    layout = SectionLayout((Grid((side, side), "square", 1.0, 1.0),), np.zeros(side**2, dtype=int), place)
    return place[:, 1] * 4 // side, pixel_neighbors(layout)


def test_field_mends_lonely_pixels_unless_their_counts_insist():
    label, near = stripes()
    rng = np.random.default_rng(0)
    scores = 6.0 * np.eye(4)[label] + rng.standard_normal((400, 4))
    lonely = label.copy()
    lonely[[45, 210, 333]] = (label[[45, 210, 333]] + 1) % 4
    assert np.array_equal(hmrf_mean_field(scores, lonely, near, 400), label)
    scores[210] = 60.0 * np.eye(4)[lonely[210]]
    found = hmrf_mean_field(scores, lonely, near, 400)
    assert found[210] == lonely[210]
    assert found[45] == label[45]


def test_field_beats_pixels_alone_and_keeps_every_label():
    label, near = stripes()
    rng = np.random.default_rng(1)
    scores = 2.0 * np.eye(4)[label] + rng.standard_normal((400, 4))
    alone = fit_em(scores, np.eye(4)[label], 400).argmax(axis=1)
    together = hmrf_mean_field(scores, alone, near, 400)
    assert adjusted_rand_score(together, label) > adjusted_rand_score(alone, label) + 0.1
    assert set(together) == {0, 1, 2, 3}
    crowded = np.where(np.arange(400) == 7, 4, label)
    assert len(np.unique(hmrf_mean_field(scores, crowded, near, 400))) == 5


def test_mixture_is_that_of_scikit_learn_where_nothing_is_shrunk():
    rng = np.random.default_rng(2)
    points, truth = clouds(rng, 3.0)
    start = np.eye(3)[np.where(rng.random(300) < 0.2, rng.integers(3, size=300), truth)]
    mean = start.T @ points / start.sum(axis=0)[:, None]
    within = points - mean[start.argmax(axis=1)]
    theirs = GaussianMixture(
        3, covariance_type="tied", tol=1e-3, weights_init=start.mean(axis=0), means_init=mean,
        precisions_init=np.linalg.inv(within.T @ within / 300 + 1e-6 * np.eye(5)), max_iter=100,
    ).fit(points)  # fmt: skip
    np.testing.assert_allclose(fit_em(points, start, np.inf), theirs.predict_proba(points), atol=0.02)


def test_covariance_is_shrunk_where_places_are_few():
    assert shrinkage(20, np.inf) == 0
    assert shrinkage(20, 0) == 1
    assert 0.4 < shrinkage(10, effective_sample_size(300, 1.0)) < 0.8
    assert effective_sample_size(300, 0.0) == 300
    rng = np.random.default_rng(3)
    points, truth = clouds(rng, 5.0)
    points[:, 4] *= 100.0  # a sphere sees but this dimension, a covariance sees past it
    start = np.eye(3)[truth]
    assert adjusted_rand_score(fit_em(points, start, np.inf).argmax(axis=1), truth) > 0.9
    assert adjusted_rand_score(fit_em(points, start, 0.0).argmax(axis=1), truth) < 0.5


def test_consensus_of_members_that_agree_up_to_renaming():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 50)
    members = []
    for _ in range(4):
        noisy = np.where(rng.random(150) < 0.1, rng.integers(3, size=150), truth)
        members.append(np.eye(3)[rng.permutation(3)[noisy]])
    assert adjusted_rand_score(consensus(members, 3, rng), truth) > 0.95


# -- what cannot be used ---------------------------------------------------------------------------------


def test_without_embedding():
    with pytest.raises(InputError, match=r"sx\.tl\.embed"):
        domains(planted(n_spots=300), n_domains=3)


@pytest.mark.parametrize("k", [0, 1, -3, 10**6, 2.5, "7", True])
def test_n_domains_out_of_range(section: AnnData, k):
    adata = section.copy()
    with pytest.raises(InputError, match="n_domains"):
        domains(adata, n_domains=k)
    assert "spacex_domain" not in adata.obs


def test_seed_out_of_range(section: AnnData):
    with pytest.raises(InputError, match="seed"):
        domains(section.copy(), n_domains=3, seed=-1)


def test_embedding_of_too_few_genes(section: AnnData):
    adata = section.copy()
    adata.varm["X_spacex"] = np.full_like(adata.varm["X_spacex"], np.nan)
    with pytest.raises(InputError, match="holds no embedding"):
        domains(adata, n_domains=3)
    adata.varm["X_spacex"][7] = 1
    with pytest.raises(InputError, match="fewer than 2 genes"):
        domains(adata, n_domains=3)


def test_without_any_pattern_it_says_so(section: AnnData, caplog):
    adata = section.copy()
    adata.varm["X_spacex"] = adata.varm["X_spacex"] * 1e-3
    with caplog.at_level(logging.WARNING, logger="spacex"):
        domains(adata, n_domains=3)
    assert "stronger than noise" in caplog.text
    assert adata.obs["spacex_domain"].nunique() == 3


def test_a_small_panel():
    adata = planted(n_spots=250)[:, :30].copy()
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    give_embedding(adata)
    domains(adata, n_domains=3)
    assert adata.obs["spacex_domain"].nunique() == 3
