"""Linear initialization: weights of components from the covariance of halves of the counts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.imaging.data import white_noise_genes

from spacex import Config, pp
from spacex.datasets import simulate_section
from spacex.embedding.linear_init import (
    MIN_WEIGHT,
    cross_validated_variance,
    linear_init,
    random_directions,
    signal_weights,
)
from spacex.embedding.null_genes import redraw_null_genes
from spacex.imaging.components import fine_basis, smooth_basis
from spacex.imaging.gene_images import GeneImages


def halves(images: GeneImages) -> tuple[GeneImages, GeneImages]:
    return images.thin(0.5, np.random.default_rng(5))


@pytest.mark.parametrize("n_genes", [100, 1600])
def test_halves_of_noise_are_uncorrelated(n_genes: int) -> None:
    first, second = halves(white_noise_genes(n_genes, 0.0))
    basis = fine_basis(first, smooth_basis(first, sigma=1.0, n_components=4, seed=0)[0], n_components=16, seed=0)
    fitted, shared = cross_validated_variance(first, first, basis), cross_validated_variance(first, second, basis)
    edge = (1 + np.sqrt(first.n_pixels / n_genes)) ** 2  # Marchenko & Pastur 1967
    assert fitted[0] == pytest.approx(edge, rel=0.15), (
        "the variance is biased, because the basis was fitted to this noise"
    )
    # The mean of n_genes products, each of variance `edge`.
    assert np.abs(shared).max() < 4 * np.sqrt(edge / n_genes)


def test_halves_share_the_planted_signal() -> None:
    """Halves are correlated along the map that some genes follow."""
    images = white_noise_genes(900, 0.4, every=30)  # few genes, which hardly change the library sizes
    first, second = halves(images)
    row, column = images.layout.pixel.T
    signal = np.random.default_rng(0).standard_normal((400, 1))[column * 20 + row]  # in the order of pixels
    signal = ((signal - signal.mean()) / np.linalg.norm(signal - signal.mean())).astype(np.float32)
    followers = np.arange(0, 900, 30)
    others = np.setdiff1d(np.arange(900), followers)
    strong = cross_validated_variance(first.take(followers), second.take(followers), signal)[0]
    total = cross_validated_variance(images.take(followers), images.take(followers), signal)[0]
    assert 0.3 * total < strong < 0.7 * total, "half of the counts have about half of the variance"
    assert abs(cross_validated_variance(first.take(others), second.take(others), signal)[0]) < 0.01 * strong


def test_covariance_with_itself_is_variance() -> None:
    images = white_noise_genes(60, 0.3)
    basis = random_directions(images.n_pixels, 0)[:, :7]
    maps = images.residuals()
    maps /= np.sqrt(np.mean(maps**2, axis=1, keepdims=True))
    np.testing.assert_allclose(
        cross_validated_variance(images, images, basis), np.mean((maps @ basis) ** 2, axis=0), rtol=1e-4
    )


def test_shared_dimension_has_largest_weight() -> None:
    config = Config(n_dims=4, fine_dims=12)
    shared, noise = (linear_init(white_noise_genes(900, fold), 0, config, 0) for fold in (0.5, 0.0))
    fine = shared.weight[4:]
    assert fine[0] > 0.8
    assert (fine[1:] < 0.5 * fine[0]).all()
    assert noise.weight[4:].max(initial=0.0) < 0.3
    init = shared.linear
    np.testing.assert_allclose(np.linalg.norm(init, axis=0), shared.weight, rtol=1e-4)
    assert init.shape[1] == len(shared.weight) == 4 + shared.fine.shape[1] <= 16


def test_smooth_patterns_have_larger_weights_than_noise() -> None:
    adata = simulate_section(n_genes=400, n_spots=600, n_modules=5, n_domains=3, seed=1)
    images, config = pp.gene_images(adata), Config()
    init = linear_init(images, 0, config, 0)
    n = init.smooth.shape[1]
    assert n == 400 // config.genes_per_dim
    np.testing.assert_allclose(init.strength_weights, init.weight[:n] ** 2)
    assert (np.diff(init.weight[:n]) < 0.15).all(), "weights decrease with rank"
    assert init.weight[0] > 0.9
    assert init.weight[:3].min() > 0.5 > 0.3 > np.mean(init.weight[n:])
    assert init.weight.min() >= MIN_WEIGHT * (1 - 1e-6)
    assert init.weight.max() <= 1


def test_weights_do_not_depend_on_gene_order() -> None:
    images, config = white_noise_genes(120, 0.4), Config(n_dims=4, fine_dims=6)
    order = np.random.default_rng(1).permutation(120)
    first, second = linear_init(images, 0, config, 0), linear_init(images.take(order), 0, config, 0)
    np.testing.assert_allclose(second.weight, first.weight, atol=1e-5)


def test_null_genes_count_for_components_but_not_for_weights() -> None:
    """Components are those of all maps; signal and dimensions follow from the genes only."""
    images, config = white_noise_genes(240, 0.4), Config(n_dims=8, fine_dims=6, genes_per_dim=30)
    with_null = images.append(redraw_null_genes(images, 120, 0))
    init = linear_init(with_null, 120, config, 0)
    assert init.smooth.shape[1] == 240 // 30
    assert linear_init(with_null, 0, config, 0).smooth.shape[1] == 8  # the maximum
    joint = smooth_basis(with_null, sigma=config.sigma, n_components=8, seed=0)[0]
    np.testing.assert_allclose(init.smooth, joint, atol=1e-5)
    fine = fine_basis(with_null, joint, n_components=6, seed=0)
    weight = signal_weights(images, joint, fine, config, 0)
    selected = np.concatenate([np.ones(8, dtype=bool), weight[8:] >= MIN_WEIGHT])
    np.testing.assert_allclose(init.weight, np.maximum(weight, MIN_WEIGHT)[selected], rtol=1e-4)


@pytest.mark.parametrize("n_genes", [2, 3, 30])
def test_components_are_not_more_than_genes(n_genes: int) -> None:
    """Null genes do not add dimensions."""
    images = white_noise_genes(n_genes, 0.4)
    init = linear_init(images.append(redraw_null_genes(images, 100, 0)), 100, Config(), 0)
    assert init.smooth.shape[1] == min(4, n_genes)
    assert init.fine.shape[1] <= n_genes
    assert np.isfinite(init.linear).all()


def test_weights_are_one_without_noise_share() -> None:
    init = linear_init(
        white_noise_genes(300, 0.5), 0, Config(n_dims=4, fine_dims=2, noise_share=0.0, gene_specific_share=0.0), 0
    )
    assert set(np.round(init.weight, 6)) <= {1.0, np.round(np.float32(MIN_WEIGHT), 6)}


def test_section_of_noise_keeps_smooth_dimensions() -> None:
    images = pp.gene_images(simulate_section(n_genes=40, n_spots=200, n_modules=0, seed=0))
    init = linear_init(images, 0, Config(), 0)
    assert np.isfinite(init.linear).all()
    assert np.linalg.norm(init.linear[:, : init.smooth.shape[1]], axis=0).min() > 0
