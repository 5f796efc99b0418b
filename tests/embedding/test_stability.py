"""Jaccard indices of modules, and refits to halves of the counts and from other starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData

import spacex as sx
from spacex import Config
from spacex.embedding import stability
from spacex.embedding.coordinates import Coordinates, NoiseScale
from spacex.embedding.expectation import Points
from spacex.embedding.stability import jaccard_index

N_NULL = 200


def coordinates(label: np.ndarray, means: np.ndarray, seed: int, *, amplitude: float = 12.0) -> Coordinates:
    """Return genes of modules (G,), -1 for none, with unit noise around means (K, D), followed by null genes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(label) + N_NULL, means.shape[1]))
    in_module = np.flatnonzero(label >= 0)
    x[in_module] += amplitude * means[label[in_module]]
    n_dims = means.shape[1]
    points = Points(torch.from_numpy(x), torch.zeros(len(x), dtype=torch.int64), torch.arange(len(x)) >= len(label))
    ones = torch.ones(n_dims, dtype=torch.float64)
    return Coordinates(points, NoiseScale(n_dims, torch.arange(n_dims), ones, ones / n_dims))


def test_jaccard_index_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, -1, -1])
    other = np.array([5, 5, 5, 1, 1, 1, 1, 5, 1])
    # module 0: {0, 1, 2, 3} and {0, 1, 2}; module 1: {4, 5} and {3, 4, 5, 6}; module 2: {6} and {3, 4, 5, 6}
    np.testing.assert_allclose(jaccard_index(labels, other), [3 / 4, 2 / 4, 1 / 4])


def test_jaccard_index_of_the_same_grouping_is_one() -> None:
    labels = np.random.default_rng(0).integers(-1, 5, 300)
    renamed = np.array([3, 0, 4, 1, 2, 7])[labels]
    np.testing.assert_array_equal(jaccard_index(labels, renamed), np.ones(5))


def test_genes_without_a_module_do_not_count() -> None:
    rng = np.random.default_rng(0)
    labels, other = rng.integers(-1, 4, 200), rng.integers(6, size=200)
    changed = np.where(labels < 0, rng.integers(6, size=200), other)
    np.testing.assert_array_equal(jaccard_index(labels, other), jaccard_index(labels, changed))


def test_jaccard_index_equals_that_of_sets() -> None:
    rng = np.random.default_rng(1)
    labels, other = rng.integers(4, size=100), rng.integers(7, size=100)
    sets = [set(np.flatnonzero(other == b)) for b in range(7)]
    for a, index in enumerate(jaccard_index(labels, other)):
        module = set(np.flatnonzero(labels == a))
        assert index == pytest.approx(max(len(module & one) / len(module | one) for one in sets))


def test_separated_modules_are_stable() -> None:
    means = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0][:4]
    label = np.repeat([0, 1, 2, 3, -1], [60, 60, 30, 30, 100])
    whole, *halves = (coordinates(label, means, seed) for seed in range(3))
    result = stability.module_stability(label, whole, halves, 4, Config(), n_seeds=2, seed=0)
    for index in result:
        assert index.shape == (4,)
        assert (index > 0.95).all()


def test_modules_of_noise_are_unstable() -> None:
    noise = np.full(300, -1)
    whole, *halves = (coordinates(noise, np.eye(8), seed) for seed in range(3))
    label = stability.refitted_labels(whole, 300, 6, Config(), 0)  # what the mixture finds in noise
    label = np.unique(label, return_inverse=True)[1]
    result = stability.module_stability(label, whole, halves, 6, Config(), n_seeds=2, seed=0)
    assert (result.halves < 0.4).all()


def test_only_modules_of_the_halves_differ_if_the_halves_do() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 50)
    means = np.linalg.qr(rng.normal(size=(8, 8)))[0][:4]
    whole = coordinates(label, means, 0)
    halves = [coordinates(rng.permutation(label), means, seed) for seed in (1, 2)]
    result = stability.module_stability(label, whole, halves, 4, Config(), n_seeds=1, seed=0)
    assert (result.seeds > 0.9).all()
    assert (result.halves < 0.5).all()


def test_indices_depend_on_the_seed_only(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(6, size=200)
    whole, *halves = (coordinates(label, rng.normal(size=(6, 5)), seed, amplitude=1.5) for seed in range(3))
    arguments = (label, whole, halves, 6, Config())
    first, again, other = (
        stability.module_stability(*arguments, n_seeds=2, seed=seed, progress=progress)
        for seed, progress in ((0, False), (0, True), (1, False))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert "6/6" in capsys.readouterr().err


def test_the_encoder_of_stored_components_is_that_of_the_fit() -> None:
    images = sx.pp.gene_images(sx.datasets.toy())
    model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
    state = model.state_
    encoder = stability.linear_encoder(model.components(), state.scale.n_smooth, images.layout, state.config)
    for name in ("basis", "strength_weights", "linear"):
        expected = getattr(state.autoencoder.encoder, name).detach().numpy()
        np.testing.assert_allclose(getattr(encoder.encoder, name).detach().numpy(), expected, atol=1e-6)


def test_halves_have_the_genes_and_null_genes_of_the_fit() -> None:
    images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=250, n_spots=600, n_modules=4, seed=0))
    state = sx.SpaCEX(n_modules=4, progress=False).fit(images).state_
    n_null = len(state.null_level)
    halves = list(stability.half_coordinates(images, n_null, state.autoencoder, state.config, state.seed))
    assert len(halves) == 2
    for half in halves:
        np.testing.assert_array_equal(half.points.level, np.concatenate([state.levels, state.null_level]))
        assert half.points.is_null.sum() == n_null
        null = half.points.x[half.points.is_null]
        np.testing.assert_allclose(null.square().mean(0), 1.0, rtol=1e-6)
        assert float(half.scale.signal.sum()) == pytest.approx(1.0)
        in_module = half.points.x[:250][state.labels >= 0]
        assert (in_module.square() @ half.scale.signal).mean() > 2.0


def test_halves_of_poisson_counts_are_independent() -> None:
    rng = np.random.default_rng(0)
    side, n_genes = 20, 120
    adata = AnnData(rng.poisson(2.0, size=(side * side, n_genes)).astype(np.float32))
    adata.obsm["spatial"] = np.indices((side, side)).reshape(2, -1).T.astype(float)
    images, config = sx.pp.gene_images(adata), Config()
    components = np.linalg.qr(rng.normal(size=(images.n_pixels, 12)))[0]
    encoder = stability.linear_encoder(components, 10, images.layout, config)
    halves = stability.half_coordinates(images, 100, encoder, config, 0)
    first, second = (half.points.x.numpy().ravel() for half in halves)
    assert len(first) == (n_genes + 100) * 12
    assert abs(np.corrcoef(first, second)[0, 1]) < 3 / np.sqrt(len(first))
