"""`tl.domains`: simulated domains are recovered, and results do not depend on order, storage or layer."""

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

from spacex import Config, InputError, _adata, pp
from spacex._infra.settings import settings_from_dict
from spacex.datasets import simulate_section
from spacex.domains import DomainParams, select_genes
from spacex.imaging.smoothing import Smoother
from spacex.tl._domains import domains
from spacex.tl._embed import embed


def write_strengths(adata: AnnData, *, layer: str | None = None) -> None:
    """Write a stand-in for an embedding: two columns whose norm is the strength of each gene's smoothed map."""
    images = pp.gene_images(adata, layer=layer)
    smoother = Smoother(images.layout, 1.0)
    energy = np.square(smoother.apply(images.residuals())).mean(axis=1) / smoother.variance.mean()
    embedding = np.sqrt(energy)[:, None] * np.array([[0.6, 0.8]])
    _adata.write_embedding(adata, np.ones(adata.n_vars, dtype=bool), embedding)
    _adata.write_uns(adata, embed={"layer": layer or ""})


def simulate(technology: str = "visium", seed: int = 1, n_spots: int = 800) -> AnnData:
    return simulate_section(300, n_spots, 12, 4, technology, seed, depth=0.5)


@pytest.fixture(scope="module")
def section() -> AnnData:
    adata = simulate()
    write_strengths(adata)
    return adata


@pytest.fixture(scope="module")
def clustered(section: AnnData) -> AnnData:
    adata = section.copy()
    domains(adata, n_domains=4)
    return adata


def ari(adata: AnnData) -> float:
    return float(adjusted_rand_score(adata.obs["domain"], adata.obs["spacex_domain"]))


# -- recovery --------------------------------------------------------------------------------------------


def test_domains_are_recovered(clustered: AnnData):
    assert ari(clustered) > 0.95


@pytest.mark.parametrize("technology", ["st", "cells"])
def test_domains_are_recovered_on_other_grids(technology):
    adata = simulate(technology, n_spots=1200 if technology == "cells" else 800)
    write_strengths(adata)
    domains(adata, n_domains=4)
    assert ari(adata) > 0.6


def test_domains_after_embed():
    adata = simulate(n_spots=500)
    embed(adata, n_modules=5, config=Config(epochs=0, boost_rounds=0), progress=False)
    domains(adata, n_domains=4)
    assert ari(adata) > 0.6


def test_genes_at_noise_level_are_left_out(section: AnnData):
    norm = np.linalg.norm(section.varm["X_spacex"], axis=1)
    genes, weight = select_genes(norm, 800, DomainParams())
    assert (norm[genes] > 1).all()
    assert np.all(np.diff(weight) <= 0)
    assert (weight > 0).all()
    assert (weight < 1).all()


def test_number_of_domains_is_selected(section: AnnData):
    adata = section.copy()
    domains(adata, params=DomainParams(min_domains=2, max_domains=8))
    entry = adata.uns["spacex"]["domains"]
    assert entry["n_domains"] == adata.obs["spacex_domain"].nunique()
    assert 3 <= entry["n_domains"] <= 6  # 4 are simulated
    assert entry["n_domains"] == entry["tried"][entry["agreement"].argmax()]
    assert list(entry["tried"]) == list(range(2, 9))
    assert not entry["n_domains_given"]


def test_spots_have_a_confidence_and_features(clustered: AnnData):
    probability = clustered.obs["spacex_domain_prob"].to_numpy()
    assert ((probability > 0) & (probability <= 1 + 1e-9)).all()
    truth = clustered.obs["domain"].to_numpy()
    near = cKDTree(clustered.obsm["spatial"]).query(clustered.obsm["spatial"], k=7)[1][:, 1:]
    border = (truth[near] != truth[:, None]).any(axis=1)
    assert probability[~border].mean() > probability[border].mean() + 0.05
    points = clustered.obsm["X_spacex_spots"]
    assert points.dtype == np.float32
    assert points.shape == (clustered.n_obs, 40)
    near = cKDTree(points).query(points, k=2)[1][:, 1]
    domain = clustered.obs["spacex_domain"].to_numpy()
    assert (domain == domain[near]).mean() > 0.8


# -- methods, params and labels ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gaussian_mixture", "callable"])
def test_other_methods_label_the_same_features(section: AnnData, clustered: AnnData, method):
    def quadrants(features, layout, k, rng):
        """Label four quadrants of the section; one confidence per spot, not per label."""
        assert features.shape == (len(layout.pixel), 40)
        row, column = (layout.pixel > np.median(layout.pixel, axis=0)).T
        return 2 * row + column, np.full(len(features), 0.25)

    adata = section.copy()
    domains(adata, n_domains=4, method=quadrants if method == "callable" else method)
    np.testing.assert_array_equal(adata.obsm["X_spacex_spots"], clustered.obsm["X_spacex_spots"])
    probability = adata.obs["spacex_domain_prob"]
    if method == "callable":
        row, column = (adata.obsm["spacex_pixel"] > np.median(adata.obsm["spacex_pixel"], axis=0)).T
        assert adjusted_rand_score(adata.obs["spacex_domain"], 2 * row + column) == 1
        assert (probability == 0.25).all()
        assert adata.uns["spacex"]["domains"]["method"] == "quadrants"
    else:
        assert ari(adata) > 0.6
        assert probability.between(0, 1 + 1e-9).all()


def test_params_change_the_features_and_are_stored(section: AnnData, tmp_path):
    params = DomainParams(n_components=7, member_components=(5, 7), max_genes=100, min_genes=50)
    adata = section.copy()
    domains(adata, n_domains=4, params=params)
    assert adata.obsm["X_spacex_spots"].shape[1] == 7
    assert adata.uns["spacex"]["domains"]["n_genes"] <= 100
    adata.write_h5ad(tmp_path / "a.h5ad")
    stored = ad.read_h5ad(tmp_path / "a.h5ad").uns["spacex"]["domains"]["params"]
    assert settings_from_dict(DomainParams, stored) == params


@pytest.mark.parametrize("k", [2, 5, 9])
def test_n_domains_is_respected_and_domains_are_numbered_by_size(section: AnnData, k):
    adata = section.copy()
    domains(adata, n_domains=k)
    label = adata.obs["spacex_domain"]
    assert list(label.cat.categories) == [str(i) for i in range(k)]
    assert np.all(np.diff(label.value_counts(sort=False).to_numpy()) <= 0)  # one spot per pixel
    assert label.notna().all()


def test_same_seed_gives_same_labels_and_leaves_the_global_generator_alone(section: AnnData, clustered: AnnData):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = section.copy()
    domains(again, n_domains=4)
    pd.testing.assert_series_equal(again.obs["spacex_domain"], clustered.obs["spacex_domain"])
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_seeds_give_similar_labels(section: AnnData, clustered: AnnData):
    other = section.copy()
    domains(other, n_domains=4, seed=7)
    assert adjusted_rand_score(other.obs["spacex_domain"], clustered.obs["spacex_domain"]) > 0.9


def test_permuting_spots_permutes_labels(section: AnnData, clustered: AnnData):
    order = np.random.default_rng(3).permutation(section.n_obs)
    permuted = section[order].copy()
    domains(permuted, n_domains=4)
    expected = clustered.obs["spacex_domain"].iloc[order].astype(str)
    assert (permuted.obs["spacex_domain"].astype(str) == expected).all()


def test_result_survives_h5ad(clustered: AnnData, tmp_path):
    clustered.write_h5ad(tmp_path / "clustered.h5ad")
    back = ad.read_h5ad(tmp_path / "clustered.h5ad")
    pd.testing.assert_series_equal(back.obs["spacex_domain"], clustered.obs["spacex_domain"])
    assert back.uns["spacex"]["domains"]["n_domains"] == 4
    domains(back, n_domains=4)
    pd.testing.assert_series_equal(back.obs["spacex_domain"], clustered.obs["spacex_domain"])


def test_layer_of_the_embedding_is_used(section: AnnData, clustered: AnnData):
    adata = section.copy()
    adata.layers["raw"] = adata.X.copy()
    adata.X = sp.csr_matrix(np.ones(adata.shape, dtype=np.float32))
    write_strengths(adata, layer="raw")
    domains(adata, n_domains=4)
    pd.testing.assert_series_equal(adata.obs["spacex_domain"], clustered.obs["spacex_domain"])


# -- spots without counts --------------------------------------------------------------------------------


def test_spots_without_counts_get_the_nearest_domain_or_none(section: AnnData, caplog):
    adata = section.copy()
    pixel = adata.obsm["spacex_pixel"]
    center = int(np.argmin(np.linalg.norm(pixel - pixel.mean(axis=0), axis=1)))
    in_hole = np.abs(pixel - pixel[center]).max(axis=1) <= 5
    matrix = adata.X.tolil()
    matrix[np.flatnonzero(in_hole)] = 0
    adata.X = matrix.tocsr()
    with caplog.at_level(logging.WARNING, logger="spacex"):
        domains(adata, n_domains=4)
    label = adata.obs["spacex_domain"]
    assert pd.isna(label.iloc[center])  # more than two pitches from any pixel with counts
    assert label.iloc[in_hole].notna().any()  # the rim of the hole
    assert label.iloc[~in_hole].notna().all()
    assert "without counts" in caplog.text


# -- several sections ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair() -> AnnData:
    """Return one section twice, the second time with 70 % of the counts."""
    first = simulate(n_spots=600)
    second = first.copy()
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(first.X, copy=True)
    counts.data = rng.binomial(counts.data.astype(int), 0.7).astype(np.float32)
    second.X = counts
    both = ad.concat({"a": first, "b": second}, label="slice", index_unique="-")
    pp.rasterize(both, library_key="slice")
    write_strengths(both)
    return both


def test_sections_share_domains(pair: AnnData):
    adata = pair.copy()
    domains(adata, n_domains=4)
    assert ari(adata) > 0.6
    first, second = (adata.obs["spacex_domain"][adata.obs["slice"] == s].to_numpy() for s in "ab")
    assert (first == second).mean() > 0.85


# -- invalid input -------------------------------------------------------------------------------------


def test_missing_embedding_raises():
    with pytest.raises(InputError, match=r"sx\.tl\.embed"):
        domains(simulate(n_spots=300), n_domains=3)


@pytest.mark.parametrize("k", [0, 1, -3, 10**6, 2.5, "7", True])
def test_n_domains_out_of_range_raises(section: AnnData, k):
    adata = section.copy()
    with pytest.raises(InputError, match="n_domains"):
        domains(adata, n_domains=k)
    assert "spacex_domain" not in adata.obs


def test_invalid_arguments_raise(section: AnnData):
    for arguments, message in (
        ({"seed": -1}, "seed=-1"),
        ({"method": "leiden"}, "method='leiden' is not allowed; pass one of 'consensus', .* or a callable"),
        ({"method": 3}, "method=3 is not allowed"),
        ({"params": {"sigma": 2}}, "params=.* is not allowed; pass a DomainParams"),
        ({"method": lambda features, layout, k, rng: (features, features)}, r"method returned labels of shape"),
    ):
        adata = section.copy()
        with pytest.raises(InputError, match=message):
            domains(adata, n_domains=3, **arguments)
        assert "spacex_domain" not in adata.obs


def test_embedding_of_too_few_genes_raises(section: AnnData):
    adata = section.copy()
    adata.varm["X_spacex"] = np.full_like(adata.varm["X_spacex"], np.nan)
    with pytest.raises(InputError, match="holds no embedding"):
        domains(adata, n_domains=3)
    adata.varm["X_spacex"][7] = 1
    with pytest.raises(InputError, match="fewer than 2 genes"):
        domains(adata, n_domains=3)


def test_section_without_patterns_logs_a_warning(section: AnnData, caplog):
    adata = section.copy()
    adata.varm["X_spacex"] = adata.varm["X_spacex"] * 1e-3
    with caplog.at_level(logging.WARNING, logger="spacex"):
        domains(adata, n_domains=3)
    assert "stronger than noise" in caplog.text
    assert adata.obs["spacex_domain"].nunique() == 3


def test_small_panel():
    adata = simulate(n_spots=250)[:, :30].copy()
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    write_strengths(adata)
    domains(adata, n_domains=3)
    assert adata.obs["spacex_domain"].nunique() == 3
