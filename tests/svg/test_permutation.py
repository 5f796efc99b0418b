"""Tails of the null distribution fitted to permuted maps."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from spacex import pp
from spacex.datasets import simulate_section
from spacex.svg import maps, permutation, spatial_variability_test
from spacex.svg.permutation import _permutation, fit_tail


def test_exact_null_keeps_pvalues() -> None:
    null = np.log(np.random.default_rng(0).random((4000, 5)))
    log_p = np.log([1e-12, 1e-6, 1e-3, 0.04, 0.6])
    np.testing.assert_allclose(fit_tail(log_p, null), log_p, rtol=0.08, atol=0.05)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_inexact_tail_is_corrected(factor: float) -> None:
    """-log p of permuted maps is `factor` times the exact value."""
    null = factor * np.log(np.random.default_rng(0).random((4000, 1)))
    assert fit_tail(np.array([-20.0]), null)[0] == pytest.approx(-20 / factor, rel=0.1)


def test_permutations_stay_within_sections() -> None:
    section = np.repeat([0, 1, 0], [5, 7, 4])
    order = _permutation(section, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(16))
    np.testing.assert_array_equal(section[order], section)


def test_permutations_agree_with_the_analytic_null() -> None:
    images = pp.gene_images(simulate_section(n_genes=150, n_spots=400, n_modules=4, seed=2))
    plain, shuffled = (spatial_variability_test(images, n_permutations=n).log_p for n in (0, 200))
    small = plain < np.log(0.05)
    np.testing.assert_array_equal(plain[~small], shuffled[~small])
    ratio = shuffled[small] / plain[small]
    assert small.sum() > 20
    assert 0.85 < np.median(ratio) < 1.15
    np.testing.assert_array_equal(shuffled, spatial_variability_test(images, n_permutations=200).log_p)


def test_permutations_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pp.gene_images(simulate_section(n_genes=60, n_spots=200, n_modules=2, depth=1.0, seed=2))
    together = spatial_variability_test(images, n_permutations=60).log_p
    max_alive, n_drawn = 0, 0

    class Order(np.ndarray):
        """An array with weak references."""

    def tracked(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        nonlocal max_alive, n_drawn
        order = _permutation(section, rng).view(Order)
        references.append(weakref.ref(order))
        n_drawn += 1
        max_alive = max(max_alive, sum(reference() is not None for reference in references))
        return order

    references: list[weakref.ref] = []
    monkeypatch.setattr(permutation, "_permutation", tracked)
    monkeypatch.setattr(maps, "BATCH_GENES", 10)
    np.testing.assert_allclose(spatial_variability_test(images, n_permutations=60).log_p, together, rtol=1e-3)
    assert n_drawn > 60
    assert max_alive <= 3
