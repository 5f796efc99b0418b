"""On a section of realistic size the embedding is at least as good as the best linear baseline.

`python -m benchmarks.quality` prints the full comparison with standard deviations.
"""

import numpy as np
import pytest
from benchmarks.quality.linear import smoothed_pca
from benchmarks.quality.neighbors import follows_expression, purity
from benchmarks.quality.planted import direction_ari, module_ari

import spacex as sx

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted():
    adata = sx.datasets.simulate_section(n_genes=2000, n_modules=24, seed=11)
    return adata, sx.tl.embed(adata, n_modules=24, progress=False)


@pytest.fixture(scope="module")
def section(fitted):
    return fitted[0]


@pytest.fixture(scope="module")
def smoothed(section):
    return smoothed_pca(section, 0).z


def test_neighbors_share_a_module_as_often_as_in_the_best_baseline(section, smoothed):
    planted = section.var["module"].to_numpy()
    spatial = planted >= 0
    ours, baseline = (purity(z[spatial], planted[spatial]).mean() for z in (section.varm["X_spacex"], smoothed))
    assert ours > baseline - 0.01
    assert ours > 0.8


def test_module_ari_is_close_to_the_best_baseline(fitted, smoothed):
    """The baseline assigns every gene, so that the most probable modules are compared with it."""
    adata, model = fitted
    planted = adata.var["module"].to_numpy()
    every = model.predict_proba(sx.pp.gene_images(adata))[:, :-1].argmax(1).astype(str)
    metrics = module_ari(every, planted)
    assert metrics["module ARI"] > direction_ari(smoothed, planted, 0) - 0.07  # 0.05 on average over seeds


def test_assigned_genes_are_in_the_right_module(section):
    planted, labels = section.var["module"].to_numpy(), section.var["spacex_module"].astype(str).to_numpy()
    is_assigned = labels != "unassigned"
    assert module_ari(labels, planted)["null unassigned"] > 0.9
    assert is_assigned[planted >= 0].mean() > 0.7  # 0.79; 0.83 of the Bayes classifier
    assert module_ari(labels[is_assigned], planted[is_assigned])["module ARI"] > 0.85


def test_neighbors_do_not_follow_expression(section):
    total = np.asarray(section.X.sum(axis=0)).ravel()
    assert follows_expression(section.varm["X_spacex"], total) < 0.4
