"""On a section of realistic size the embedding is at least as good as the best linear baseline beside it.

`python -m benchmarks.quality.embedding` prints the whole comparison, with spread; this keeps it from getting lost.
"""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import spacex as sx
from spacex.spectral import Smoother

pytestmark = pytest.mark.slow


def unit(x: np.ndarray) -> np.ndarray:
    x = np.nan_to_num(x)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def neighbours(x: np.ndarray) -> np.ndarray:
    similarity = unit(x) @ unit(x).T
    np.fill_diagonal(similarity, -np.inf)
    return np.argpartition(-similarity, 10, axis=1)[:, :10]


@pytest.fixture(scope="module")
def section():
    adata = sx.datasets.simulate_section(n_genes=2000, n_modules=24, seed=11)
    sx.tl.embed(adata, n_modules=24, progress=False)
    return adata


@pytest.fixture(scope="module")
def smoothed(section):
    """Thirty-two components of residual maps smoothed with a width of one pitch, of unit norm."""
    images = sx.pp.gene_images(section)
    maps = unit(Smoother(images.canvas, 1.0).apply(images.residuals()))
    return maps @ np.linalg.eigh(maps.T @ maps)[1][:, ::-1][:, :32]


def test_neighbours_share_a_module_as_often_as_in_the_best_baseline(section, smoothed):
    module = section.var["module"].to_numpy()
    spatial, purity = module >= 0, {}
    for name, z in (("ours", section.varm["X_spacex"]), ("baseline", smoothed)):
        purity[name] = (module[spatial][neighbours(z[spatial])] == module[spatial][:, None]).mean()
    assert purity["ours"] > purity["baseline"] - 0.01
    assert purity["ours"] > 0.8


def test_modules_are_within_reach_of_the_best_baseline(section, smoothed):
    truth = section.var["module"].to_numpy()
    spatial = truth >= 0
    means = KMeans(24, n_init=10, random_state=0).fit_predict(unit(smoothed[spatial]))
    baseline = adjusted_rand_score(truth[spatial], means)
    ours = adjusted_rand_score(truth[spatial], section.var["spacex_module"][spatial])
    assert ours > baseline - 0.07  # .05 on average over seeds; this is one
    assert (section.var["spacex_module"][~spatial] == "unassigned").mean() > 0.5


def test_neighbours_do_not_follow_expression(section):
    level = np.log(np.asarray(section.X.mean(axis=0)).ravel())
    kept = np.isfinite(section.varm["X_spacex"]).all(axis=1)
    nearest = neighbours(section.varm["X_spacex"][kept])
    assert np.corrcoef(level[kept], level[kept][nearest].mean(axis=1))[0, 1] < 0.4
