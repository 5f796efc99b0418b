"""The statistic, its traces and its tail against brute force, simulation and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from spacex import pp
from spacex.autocorrelation import (
    PairKernel,
    _section_images,
    choose_scales,
    combine,
    count_skewness,
    dispersion,
    log_gamma_sf,
    log_tail,
)
from spacex.datasets import simulate_section
from spacex.grid import Grid
from spacex.raster import Canvas


def canvas_of(*kinds: str) -> Canvas:
    grids = tuple(Grid((8, 6), kind, np.sqrt(0.75) if kind == "hex" else 1.0, 1.0) for kind in kinds)
    rng = np.random.default_rng(0)
    chosen = [np.sort(rng.permutation(48)[:40]) for _ in kinds]
    pixel = np.concatenate([np.column_stack(np.divmod(flat, 6)) for flat in chosen])
    return Canvas(grids, np.repeat(np.arange(len(kinds)), 40), pixel)


def brute_force(canvas: Canvas, sigma: float) -> np.ndarray:
    """H (G - D) H (P, P), with D chosen so that the trace of each section vanishes."""
    kernel = np.zeros((len(canvas.section),) * 2)
    for s, grid in enumerate(canvas.grids):
        here = np.flatnonzero(canvas.section == s)
        at, n = grid.positions(canvas.pixel[here]), len(here)
        weight = np.exp(-np.square(at[:, None] - at[None]).sum(-1) / (4 * sigma**2))
        centre = np.eye(n) - 1 / n
        diagonal = np.diag(centre @ weight @ centre) * n / (n - 1)
        kernel[np.ix_(here, here)] = centre @ (weight - np.diag(diagonal)) @ centre
    return kernel


def centred(canvas: Canvas, maps: np.ndarray) -> np.ndarray:
    maps = maps.copy()
    for s in range(len(canvas.grids)):
        maps[:, canvas.section == s] -= maps[:, canvas.section == s].mean(axis=1, keepdims=True)
    return maps


@pytest.mark.parametrize("kinds", [("hex",), ("square",), ("hex", "square")], ids="+".join)
@pytest.mark.parametrize("sigma", [1.0, 2.0, 8.0])
def test_statistic_and_traces_equal_brute_force(kinds: tuple[str, ...], sigma: float) -> None:
    canvas = canvas_of(*kinds)
    kernel, exact = PairKernel(canvas, sigma), brute_force(canvas, sigma)
    maps = centred(canvas, np.random.default_rng(1).standard_normal((7, len(canvas.section)))).astype(np.float32)
    found = kernel.statistic(_section_images(canvas, maps), maps**2)
    np.testing.assert_allclose(kernel.apply(maps), maps @ exact, atol=1e-4)
    for s in range(len(kinds)):
        here = canvas.section == s
        block = exact[np.ix_(here, here)]
        of_map = np.einsum("bi,ij,bj->b", maps[:, here], block, maps[:, here])
        np.testing.assert_allclose(found[:, s], of_map, atol=1e-3)
        assert kernel.square[s] == pytest.approx(np.sum(block**2), rel=1e-3)
        assert kernel.cube[s] == pytest.approx(np.trace(block @ block @ block), rel=1e-3)
        assert kernel.third[s] == pytest.approx(np.sum(block**3), rel=2e-3, abs=1e-4)
        assert np.trace(block) == pytest.approx(0, abs=1e-9)


def test_sampled_traces_are_close_to_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = pp.gene_images(simulate_section(n_genes=20, n_spots=1200, n_modules=2)).canvas
    sampled = [PairKernel(canvas, sigma, seed=seed) for sigma in (1.0, 8.0) for seed in (0, 1)]
    monkeypatch.setattr("spacex.autocorrelation.ROWS", 2000)
    exact = [PairKernel(canvas, sigma) for sigma in (1.0, 8.0) for _ in (0, 1)]
    for a, b in zip(sampled, exact, strict=True):
        assert a.square == b.square
        np.testing.assert_allclose(a.cube, b.cube, rtol=0.05)
        np.testing.assert_allclose(a.third, b.third, rtol=0.05)


@pytest.mark.parametrize("noise", ["gaussian", "sparse counts"])
def test_cumulants_hold_under_noise(noise: str) -> None:
    """Mean, variance and third cumulant of r'Kr, also for noise with skewness 3.2 and kurtosis 13."""
    canvas, rng, n = canvas_of("hex"), np.random.default_rng(0), 60_000
    kernel = PairKernel(canvas, 1.0)
    rate, skewness = 0.1, 0.0
    maps = rng.standard_normal((n, 40))
    if noise == "sparse counts":
        maps, skewness = (rng.poisson(rate, (n, 40)) - rate) / np.sqrt(rate), rate**-0.5
    maps = centred(canvas, maps).astype(np.float32)
    found = kernel.statistic(_section_images(canvas, maps), maps**2)[:, 0].astype(float)
    variance, third = 2 * kernel.square[0], 8 * kernel.cube[0] + 4 * skewness**2 * kernel.third[0]
    assert found.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / n))
    assert found.var() == pytest.approx(variance, rel=0.06)
    assert stats.moment(found, 3) == pytest.approx(third, rel=0.2)


def test_log_gamma_tail_agrees_with_scipy_and_goes_on_below_its_underflow() -> None:
    shape = np.array([0.3, 2.0, 50.0, 3000.0])
    x = shape + 6 * np.sqrt(shape)
    np.testing.assert_allclose(log_gamma_sf(shape, x), stats.gamma.logsf(x, shape), rtol=1e-8)
    far = log_gamma_sf(np.ones(3), np.array([600.0, 700.0, 5e4]))
    np.testing.assert_allclose(far, [-600, -700, -5e4], rtol=1e-6)
    edge = log_gamma_sf(np.full(400, 7.3), np.linspace(600, 760, 400))
    assert (np.diff(edge) < 0).all()
    assert np.abs(np.diff(edge, 2)).max() < 1e-4  # the two branches join smoothly


def test_tail_of_a_shifted_gamma() -> None:
    value = np.array([-1.0, 0.0, 3.0])
    expected = stats.pearson3.logsf(value, skew=0.8, loc=0, scale=2.0)
    np.testing.assert_allclose(log_tail(value, np.full(3, 4.0), np.full(3, 0.8 * 8)), expected, rtol=1e-6)


def test_cauchy_combination() -> None:
    p = np.array([[0.2, 1e-5, 1e-30], [0.7, 0.4, 1e-200]])
    expected = stats.cauchy.sf(np.tan((0.5 - p[:, :2]) * np.pi).mean(axis=0))
    joined = combine(np.log(p), np.ones((2, 3)))
    np.testing.assert_allclose(np.exp(joined)[:2], expected, rtol=1e-6)
    np.testing.assert_allclose(joined[2] / np.log(10), -200 + np.log10(2), rtol=1e-9)
    same = np.log(np.full((4, 3), [0.3, 1e-8, 1e-12]))
    np.testing.assert_allclose(combine(same, np.ones((4, 3))), same[0], rtol=1e-6)
    alone = combine(np.log(p), np.array([[1.0], [1e-12]]) * np.ones((2, 3)))
    np.testing.assert_allclose(alone[:2], np.log(p[0, :2]), rtol=1e-6)


def test_dispersion_and_skewness_follow_the_counts() -> None:
    rng = np.random.default_rng(0)
    adata = simulate_section(n_genes=60, n_spots=2000, n_modules=0, seed=0)
    library = adata.obs["true_library"].to_numpy()
    mean = np.outer(library / library.mean(), np.full(60, 3.0))
    adata.X = sp.csr_matrix(rng.poisson(mean * rng.gamma(2.0, 0.5, mean.shape)).astype(np.float32))
    images = pp.gene_images(adata)
    assert np.median(dispersion(images)) == pytest.approx(0.5, abs=0.08)
    expected = images.totals.T * images.share
    np.testing.assert_allclose(
        count_skewness(images, slice(0, 60), np.zeros(60))[:, 0], (expected**-0.5).mean(axis=1), rtol=1e-4
    )


def test_widths_follow_the_size_of_the_section() -> None:
    assert choose_scales(canvas_of("hex")) == (1.0, 2.0)
    large = pp.gene_images(simulate_section(n_genes=60, n_spots=3000, n_modules=0)).canvas
    assert choose_scales(large) == (1.0, 2.0, 4.0, 8.0, 16.0)
