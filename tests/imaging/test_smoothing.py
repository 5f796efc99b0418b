"""Smoothing against dense weight matrices."""

from __future__ import annotations

import numpy as np
import pytest
from tests.imaging.data import layout_of

from spacex.imaging.grid import Grid
from spacex.imaging.layout import SectionLayout
from spacex.imaging.smoothing import NeighborMean, Smoother

SIGMAS = (0.3, 1.0, 2.7, 40.0)


def brute_force(layout: SectionLayout, sigma: float) -> np.ndarray:
    """W (P, P) from the distances between pixels."""
    weight = np.zeros((len(layout.section),) * 2)
    for s, grid in enumerate(layout.grids):
        pixels = np.flatnonzero(layout.section == s)
        xy = grid.positions(layout.pixel[pixels])
        weight[np.ix_(pixels, pixels)] = np.exp(-0.5 * np.square(xy[:, None] - xy[None]).sum(-1) / sigma**2)
    return weight / weight.sum(axis=1, keepdims=True)


LAYOUTS = [("hex",), ("square",), ("bins",), ("hex", "bins")]


@pytest.mark.parametrize("kinds", LAYOUTS, ids="+".join)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_smoother_equals_weight_matrix(kinds: tuple[str, ...], sigma: float) -> None:
    layout = layout_of(*kinds)
    maps = np.random.default_rng(1).standard_normal((5, len(layout.section))).astype(np.float32)
    smoother, weight = Smoother(layout, sigma), brute_force(layout, sigma)
    np.testing.assert_allclose(smoother.apply(maps), maps @ weight.T, atol=2e-5)
    assert {smoother.apply(maps).dtype, smoother.weight.dtype, smoother.variance.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(smoother.apply_transposed(maps), maps @ weight, atol=2e-5)
    np.testing.assert_allclose(smoother.variance, np.square(weight).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("kinds", LAYOUTS, ids="+".join)
def test_transpose_is_adjoint(kinds: tuple[str, ...]) -> None:
    layout = layout_of(*kinds)
    a, b = np.random.default_rng(2).standard_normal((2, 1, len(layout.section))).astype(np.float32)
    smoother = Smoother(layout, 1.5)
    assert (smoother.apply(a) @ b.T).item() == pytest.approx((a @ smoother.apply_transposed(b).T).item(), abs=1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_constants_are_preserved(sigma: float) -> None:
    layout = layout_of("hex", "square")
    constant = np.where(layout.section == 0, 3.0, -1.0).astype(np.float32)[None]
    np.testing.assert_allclose(Smoother(layout, sigma).apply(constant), constant, rtol=1e-5)


@pytest.mark.parametrize("kinds", LAYOUTS, ids="+".join)
@pytest.mark.parametrize("sigma", SIGMAS[1:])
def test_neighbor_mean_equals_weight_matrix(kinds: tuple[str, ...], sigma: float) -> None:
    layout = layout_of(*kinds)
    maps = np.random.default_rng(1).standard_normal((5, len(layout.section))).astype(np.float32)
    weight = brute_force(layout, sigma)
    weight = weight / np.diag(weight)[:, None]  # one for the pixel itself
    np.fill_diagonal(weight, 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    smoother = NeighborMean(layout, sigma)
    np.testing.assert_allclose(smoother.apply(maps), maps @ weight.T, atol=1e-4)
    np.testing.assert_allclose(smoother.apply_transposed(maps), maps @ weight, atol=1e-4)


def test_isolated_pixel_has_neighbor_mean_zero() -> None:
    layout = SectionLayout(
        (Grid((50, 50), "square", 1.0, 1.0),), np.zeros(3, dtype=int), np.array([[0, 0], [0, 1], [49, 49]])
    )
    maps = np.array([[2.0, 4.0, 8.0]], dtype=np.float32)
    np.testing.assert_allclose(NeighborMean(layout, 1.0).apply(maps), [[4.0, 2.0, 0.0]], atol=1e-5)
    np.testing.assert_allclose(Smoother(layout, 1.0).apply(maps)[0, 2], 8.0, rtol=1e-6)
