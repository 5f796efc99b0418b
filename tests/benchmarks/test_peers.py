"""Other methods of the quality benchmark: format of results, and modules better than chance on an easy section."""

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
    """Return a section with few strong modules and high depth, and one gene with a single count."""
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
    result = PEERS[name](section, SEED)
    assert (section.X != before.X).nnz == 0
    assert list(section.obs) == list(before.obs)
    assert list(section.layers) == []
    return name, result


def test_every_method_has_an_install_command():
    assert set(PIP) == set(PEERS) == set(MODULE)
    assert all(line.startswith("pip install ") and "==" in line for line in PIP.values())


def test_missing_package_raises_with_the_install_command():
    with pytest.raises(ImportError, match="no_such_peer is not installed: pip install no-such-peer"):
        host.borrow("no_such_peer", "pip install no-such-peer")


def test_shapes_and_labels(section, outcome):
    _, result = outcome
    assert result.module is not None
    assert result.module.shape == (section.n_vars,)
    assert result.module.dtype.kind == "U"
    assert result.module[7] == host.UNASSIGNED
    assert not set(result.module) & {"-1", "nan", ""}
    if result.z is not None:
        assert result.z.shape[0] == section.n_vars
        assert result.z.dtype == np.float32
        is_embedded = np.isfinite(result.z).all(axis=1)
        assert (is_embedded | np.isnan(result.z).all(axis=1)).all()
        assert is_embedded.sum() > section.n_vars / 2
        assert not is_embedded[7]


def test_modules_are_better_than_chance(section, outcome):
    _, result = outcome
    truth = section.var["module"].to_numpy()
    assert len(set(result.module)) > 2
    assert adjusted_rand_score(truth, result.module) > 0.1


def test_neighbors_share_a_module(section, outcome):
    name, result = outcome
    if result.z is None:
        pytest.skip(f"{name} returns modules only")
    truth = section.var["module"].to_numpy()
    is_embedded = np.isfinite(result.z).all(axis=1) & (truth >= 0)
    z, label = result.z[is_embedded] / np.linalg.norm(result.z[is_embedded], axis=1, keepdims=True), truth[is_embedded]
    similarity = z @ z.T
    np.fill_diagonal(similarity, -np.inf)
    purity = (label[np.argsort(-similarity, axis=1)[:, :5]] == label[:, None]).mean()
    assert purity > 2 * (np.bincount(label) ** 2).sum() / len(label) ** 2


def test_other_counts_are_embedded_in_the_same_space(section, outcome):
    name, result = outcome
    if result.project is None:
        pytest.skip(f"{name} cannot embed other counts")
    again = result.project(section)
    is_embedded = np.isfinite(result.z).all(axis=1)
    np.testing.assert_array_equal(is_embedded, np.isfinite(again).all(axis=1))
    np.testing.assert_allclose(again[is_embedded], result.z[is_embedded], rtol=1e-4, atol=1e-5)
