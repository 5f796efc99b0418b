"""The peers of the quality benchmark keep its contract and do better than chance on an easy section."""

import importlib.util

import numpy as np
import pytest
from benchmarks.quality.outcome import Outcome
from benchmarks.quality.peers import PEERS, PIP, host
from sklearn.metrics import adjusted_rand_score

import spacex as sx

MODULE = {"Hotspot": "hotspot", "Hotspot, tutorial": "hotspot", "Smoothie": "smoothie", "GSPA": "gspa"}
SEED = 0


@pytest.fixture(scope="module")
def section():
    """Deep, strong and few modules; one gene that nobody can use."""
    adata = sx.datasets.simulate_section(
        n_genes=240, n_spots=600, n_modules=4, n_domains=4, depth=2.0, effect=2.5, seed=SEED
    )
    counts = adata.X.tolil()
    counts[:, 7] = 0
    counts[0, 7] = 1
    adata.X = counts.tocsr()
    return adata


@pytest.fixture(scope="module", params=PEERS)
def outcome(request, section) -> tuple[str, Outcome]:
    name = request.param
    if importlib.util.find_spec(MODULE[name]) is None:
        pytest.skip(f"{name} is not installed: {PIP[name]}")
    before = section.copy()
    found = PEERS[name](section, SEED)
    assert (section.X != before.X).nnz == 0
    assert list(section.obs) == list(before.obs)
    assert list(section.layers) == []
    return name, found


def test_every_peer_names_its_pip_line():
    assert set(PIP) == set(PEERS) == set(MODULE)
    assert all(line.startswith("pip install ") and "==" in line for line in PIP.values())


def test_a_peer_that_is_not_installed_is_named_with_its_pip_line():
    with pytest.raises(ImportError, match="no_such_peer is not installed: pip install no-such-peer"):
        host.borrow("no_such_peer", "pip install no-such-peer")


def test_shapes_and_labels(section, outcome):
    _, found = outcome
    assert found.module is not None
    assert found.module.shape == (section.n_vars,)
    assert found.module.dtype.kind == "U"
    assert found.module[7] == host.UNASSIGNED
    assert not set(found.module) & {"-1", "nan", ""}
    if found.z is not None:
        assert found.z.shape[0] == section.n_vars
        assert found.z.dtype == np.float32
        whole = np.isfinite(found.z).all(axis=1)
        assert (whole | np.isnan(found.z).all(axis=1)).all()
        assert whole.sum() > section.n_vars / 2
        assert not whole[7]


def test_modules_are_better_than_chance(section, outcome):
    _, found = outcome
    truth = section.var["module"].to_numpy()
    assert len(set(found.module)) > 2
    assert adjusted_rand_score(truth, found.module) > 0.1


def test_neighbours_share_a_module(section, outcome):
    name, found = outcome
    if found.z is None:
        pytest.skip(f"{name} gives modules only")
    truth = section.var["module"].to_numpy()
    kept = np.isfinite(found.z).all(axis=1) & (truth >= 0)
    z, label = found.z[kept] / np.linalg.norm(found.z[kept], axis=1, keepdims=True), truth[kept]
    similarity = z @ z.T
    np.fill_diagonal(similarity, -np.inf)
    purity = (label[np.argsort(-similarity, axis=1)[:, :5]] == label[:, None]).mean()
    assert purity > 2 * (np.bincount(label) ** 2).sum() / len(label) ** 2


def test_other_counts_go_into_the_same_space(section, outcome):
    name, found = outcome
    if found.project is None:
        pytest.skip(f"{name} embeds no other counts")
    again = found.project(section)
    kept = np.isfinite(found.z).all(axis=1)
    np.testing.assert_array_equal(kept, np.isfinite(again).all(axis=1))
    np.testing.assert_allclose(again[kept], found.z[kept], rtol=1e-4, atol=1e-5)
