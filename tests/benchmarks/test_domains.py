"""The benchmark of tissue domains: what it measures."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from benchmarks.quality.domains import measure, methods, peers

import spacex as sx


@pytest.fixture(scope="module")
def square() -> tuple[np.ndarray, np.ndarray]:
    """A square of 20 × 20 spots and its two halves."""
    xy = np.argwhere(np.ones((20, 20))).astype(float)
    return xy, (xy[:, 0] >= 10).astype(int)


def test_the_truth_is_perfect_and_chance_is_not(square) -> None:
    xy, truth = square
    found = measure.quality(truth, 1 - truth, xy)
    assert all(found[name] == pytest.approx(1) for name in ("ARI", "NMI", "homogeneity", "completeness"))
    rng = np.random.default_rng(0)
    chance = measure.quality(truth, rng.permutation(truth), xy)
    assert abs(chance["ARI"]) < 0.05
    assert chance["CHAOS"] > found["CHAOS"]
    assert chance["PAS"] > found["PAS"]


def test_chaos_and_pas_by_hand(square) -> None:
    xy, truth = square
    spacing = 1 / xy[:, 0].std()
    assert measure.chaos(truth, xy) == pytest.approx(spacing)
    assert measure.pas(truth, xy) == 0
    one = truth.copy()
    one[20 * 4 + 7] = 1  # one spot among those of the other half
    assert measure.pas(one, xy) == pytest.approx(1 / 400)


@pytest.mark.parametrize("name", ["SpaCEX", "by HVG", "simple pipeline"])
def test_methods_give_a_label_to_every_spot(name: str) -> None:
    adata = sx.datasets.simulate_section(n_genes=300, n_spots=500, n_modules=6, n_domains=4, depth=0.6)
    sx.tl.embed(adata, n_modules=6, progress=False)
    adata.var["variance"] = methods.smoothed_variance(sx.pp.gene_images(adata))
    found = methods.METHODS[name](adata, 4, 0)
    assert found.shape == (500,)
    assert len(np.unique(found)) == 4
    truth = adata.obs["domain"].astype(str).to_numpy()
    assert measure.quality(truth, found, adata.obsm["spatial"])["ARI"] > 0.25


def test_leiden_is_given_the_resolution_that_gives_the_number_wanted() -> None:
    rng = np.random.default_rng(0)
    points = np.repeat(np.eye(5) * 8, 60, axis=0) + rng.standard_normal((300, 5))
    graph = sc.AnnData(np.zeros((300, 1), dtype=np.float32), obsm={"X": points})
    sc.pp.neighbors(graph, use_rep="X", n_neighbors=15)
    assert len(np.unique(peers.leiden(graph, 5, 0))) == 5


def test_a_peer_that_is_not_installed_says_how_it_is() -> None:
    adata = sx.datasets.simulate_section(n_genes=50, n_spots=100, n_modules=2)
    try:
        import banksy  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ImportError, match="pip install pybanksy"):
            peers.banksy(adata, 3, 0)
    else:
        pytest.skip("BANKSY is installed")
