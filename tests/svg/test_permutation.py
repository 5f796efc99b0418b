"""Tails fitted to shuffled maps."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from spacex import pp
from spacex.datasets import simulate_section
from spacex.svg import maps, permutation, spatial_variability_test
from spacex.svg.permutation import _shuffled, refit


def test_an_exact_null_is_left_as_it_is() -> None:
    null = np.log(np.random.default_rng(0).random((4000, 5)))
    log_p = np.log([1e-12, 1e-6, 1e-3, 0.04, 0.6])
    np.testing.assert_allclose(refit(log_p, null), log_p, rtol=0.08, atol=0.05)


@pytest.mark.parametrize("bold", [0.5, 1.5])
def test_a_tail_that_is_too_short_or_too_long_is_mended(bold: float) -> None:
    """-log p of shuffled maps is `bold` times what it should be."""
    null = bold * np.log(np.random.default_rng(0).random((4000, 1)))
    assert refit(np.array([-20.0]), null)[0] == pytest.approx(-20 / bold, rel=0.1)


def test_shuffling_stays_within_sections() -> None:
    section = np.repeat([0, 1, 0], [5, 7, 4])
    order = _shuffled(section, np.random.default_rng(0))
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


def test_orders_are_drawn_anew_for_every_batch_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pp.gene_images(simulate_section(n_genes=60, n_spots=200, n_modules=2, depth=1.0, seed=2))
    together = spatial_variability_test(images, n_permutations=60).log_p
    most, drawn = 0, 0

    class Order(np.ndarray):
        """An array that can be followed."""

    def followed(section: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        nonlocal most, drawn
        order = _shuffled(section, rng).view(Order)
        references.append(weakref.ref(order))
        drawn += 1
        most = max(most, sum(reference() is not None for reference in references))
        return order

    references: list[weakref.ref] = []
    monkeypatch.setattr(permutation, "_shuffled", followed)
    monkeypatch.setattr(maps, "BATCH", 10)
    np.testing.assert_allclose(spatial_variability_test(images, n_permutations=60).log_p, together, rtol=1e-3)
    assert drawn > 60
    assert most <= 3
