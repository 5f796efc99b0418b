"""Statistics of Gaussian kernels and their cumulants, against brute force and simulation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats
from tests.imaging import data

from spacex import pp
from spacex.datasets import simulate_section
from spacex.imaging.layout import SectionLayout
from spacex.svg.design import Design
from spacex.svg.kernels import PairKernel, choose_scales, section_images
from spacex.svg.params import SVGParams

layout_of = partial(data.layout_of, shape=(8, 6), n_pixels=40, pitch=1.0)


def brute_force(layout: SectionLayout, sigma: float) -> np.ndarray:
    """H (G - D) H (P, P), with D chosen so that the trace of each section vanishes."""
    kernel = np.zeros((len(layout.section),) * 2)
    for s, grid in enumerate(layout.grids):
        pixels = np.flatnonzero(layout.section == s)
        xy, n = grid.positions(layout.pixel[pixels]), len(pixels)
        weight = np.exp(-np.square(xy[:, None] - xy[None]).sum(-1) / (4 * sigma**2))
        center = np.eye(n) - 1 / n
        diagonal = np.diag(center @ weight @ center) * n / (n - 1)
        kernel[np.ix_(pixels, pixels)] = center @ (weight - np.diag(diagonal)) @ center
    return kernel


def centered(layout: SectionLayout, maps: np.ndarray) -> np.ndarray:
    maps = maps.copy()
    for s in range(len(layout.grids)):
        maps[:, layout.section == s] -= maps[:, layout.section == s].mean(axis=1, keepdims=True)
    return maps


@pytest.mark.parametrize("kinds", [("hex",), ("square",), ("hex", "square")], ids="+".join)
@pytest.mark.parametrize("sigma", [1.0, 2.0, 8.0])
def test_statistic_and_traces_equal_brute_force(kinds: tuple[str, ...], sigma: float) -> None:
    layout = layout_of(*kinds)
    kernel, exact = PairKernel(layout, sigma), brute_force(layout, sigma)
    maps = centered(layout, np.random.default_rng(1).standard_normal((7, len(layout.section)))).astype(np.float32)
    statistic = kernel.statistic(section_images(layout, maps), maps**2)
    np.testing.assert_allclose(kernel.apply(maps), maps @ exact, atol=1e-4)
    for s in range(len(kinds)):
        pixels = layout.section == s
        block = exact[np.ix_(pixels, pixels)]
        of_map = np.einsum("bi,ij,bj->b", maps[:, pixels], block, maps[:, pixels])
        np.testing.assert_allclose(statistic[:, s], of_map, atol=1e-3)
        assert kernel.square[s] == pytest.approx(np.sum(block**2), rel=1e-3)
        assert kernel.cube[s] == pytest.approx(np.trace(block @ block @ block), rel=1e-3)
        assert kernel.third[s] == pytest.approx(np.sum(block**3), rel=2e-3, abs=1e-4)
        assert np.trace(block) == pytest.approx(0, abs=1e-9)


def test_kernel_is_projected_out_of_design() -> None:
    """H (G - D) H with a covariate: its statistic, its trace and tr K² against brute force."""
    layout = layout_of("hex", "square")
    design = Design.from_covariates(layout.section, np.random.default_rng(4).standard_normal((80, 2)))
    kernel = PairKernel(layout, 1.5, design=design)
    center = np.eye(80) - design.basis @ design.basis.T
    weight = np.zeros((80, 80))
    for s, grid in enumerate(layout.grids):
        pixels = np.flatnonzero(layout.section == s)
        xy = grid.positions(layout.pixel[pixels])
        weight[np.ix_(pixels, pixels)] = np.exp(-np.square(xy[:, None] - xy[None]).sum(-1) / (4 * 1.5**2))
    diagonal = np.diag(center @ weight @ center) / (1 - np.sum(design.basis**2, axis=1))
    exact = center @ (weight - np.diag(diagonal)) @ center
    maps = design.center(np.random.default_rng(1).standard_normal((5, 80)).astype(np.float32))
    statistic = kernel.statistic(section_images(layout, maps), maps**2).sum(axis=1)
    np.testing.assert_allclose(statistic, np.einsum("bi,ij,bj->b", maps, exact, maps), atol=1e-3)
    assert kernel.square.sum() == pytest.approx(np.sum(exact**2), rel=1e-3)
    assert abs(np.trace(exact)) < 0.02 * np.sqrt(np.sum(exact**2))


def test_null_variance_accounts_for_library_size() -> None:
    """Independent noise of variance 1 + b d with a smooth d: variance of the null against simulation."""
    layout, rng, n = layout_of("hex"), np.random.default_rng(0), 40_000
    d = layout.pixel[:, 0] - layout.pixel[:, 0].mean()
    d = 0.9 * d / np.abs(d).max()
    kernel = PairKernel(layout, 1.0, library=d)
    maps = rng.standard_normal((n, 40)) * np.sqrt(1 + 0.8 * d)
    statistic = kernel.statistic(
        section_images(layout, centered(layout, maps).astype(np.float32)),
        np.square(centered(layout, maps)).astype(np.float32),
    )
    null = kernel.null(np.zeros((1, 1)), np.full((1, 1), 0.8))
    assert statistic.var() == pytest.approx(null.variance[0, 0], rel=0.06)
    assert null.variance[0, 0] > 1.1 * 2 * kernel.square[0], "neighbors both have large variances"


def test_sampled_traces_are_close_to_exact_traces() -> None:
    layout = pp.gene_images(simulate_section(n_genes=20, n_spots=1200, n_modules=2)).layout
    sampled = [PairKernel(layout, sigma, seed=seed) for sigma in (1.0, 8.0) for seed in (0, 1)]
    exact = [PairKernel(layout, sigma, n_rows=2000) for sigma in (1.0, 8.0) for _ in (0, 1)]
    for a, b in zip(sampled, exact, strict=True):
        assert a.square == b.square
        np.testing.assert_allclose(a.cube, b.cube, rtol=0.05)
        np.testing.assert_allclose(a.third, b.third, rtol=0.05)


@pytest.mark.parametrize("noise", ["gaussian", "sparse counts"])
def test_cumulants_hold_under_noise(noise: str) -> None:
    """Mean, variance and third cumulant of r'Kr, also for noise with skewness 3.2 and kurtosis 13."""
    layout, rng, n = layout_of("hex"), np.random.default_rng(0), 60_000
    kernel = PairKernel(layout, 1.0)
    rate, skewness = 0.1, 0.0
    maps = rng.standard_normal((n, 40))
    if noise == "sparse counts":
        maps, skewness = (rng.poisson(rate, (n, 40)) - rate) / np.sqrt(rate), rate**-0.5
    maps = centered(layout, maps).astype(np.float32)
    statistic = kernel.statistic(section_images(layout, maps), maps**2)[:, 0].astype(float)
    variance, third = 2 * kernel.square[0], 8 * kernel.cube[0] + 4 * skewness**2 * kernel.third[0]
    assert statistic.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / n))
    assert statistic.var() == pytest.approx(variance, rel=0.06)
    assert stats.moment(statistic, 3) == pytest.approx(third, rel=0.2)


def test_scales_follow_section_size() -> None:
    assert choose_scales(layout_of("hex")) == (0.6, 1.2)
    large = pp.gene_images(simulate_section(n_genes=60, n_spots=3000, n_modules=0)).layout
    assert choose_scales(large) == (0.6, 1.2, 2.5, 5.0, 10.0)
    assert choose_scales(large, SVGParams(scales=(2.0, 3.0, 20.0, 90.0))) == (2.0, 3.0)
