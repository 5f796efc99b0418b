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
def section():
    adata = sx.datasets.simulate_section(n_genes=2000, n_modules=24, seed=11)
    sx.tl.embed(adata, n_modules=24, progress=False)
    return adata


@pytest.fixture(scope="module")
def smoothed(section):
    return smoothed_pca(section, 0).z


def test_neighbors_share_a_module_as_often_as_in_the_best_baseline(section, smoothed):
    planted = section.var["module"].to_numpy()
    spatial = planted >= 0
    ours, baseline = (purity(z[spatial], planted[spatial]).mean() for z in (section.varm["X_spacex"], smoothed))
    assert ours > baseline - 0.01
    assert ours > 0.8


def test_module_ari_is_close_to_the_best_baseline(section, smoothed):
    planted = section.var["module"].to_numpy()
    metrics = module_ari(section.var["spacex_module"].astype(str).to_numpy(), planted)
    assert metrics["module ARI"] > direction_ari(smoothed, planted, 0) - 0.07  # 0.05 on average over seeds
    assert metrics["null unassigned"] > 0.5


def test_neighbors_do_not_follow_expression(section):
    total = np.asarray(section.X.sum(axis=0)).ravel()
    assert follows_expression(section.varm["X_spacex"], total) < 0.4
