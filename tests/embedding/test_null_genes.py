"""Null genes have the totals and dispersions of genes and no pattern, in any order of the genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from tests.imaging.data import one_section, poisson_section, square, two_sections

from spacex import InputError, datasets, pp
from spacex.embedding.null_genes import MIN_NULL_GENES, dispersion, number_of_null_genes, redraw_null_genes
from spacex.imaging.gene_images import GeneImages


def simulated(n_genes: int = 60, seed: int = 0) -> GeneImages:
    return pp.gene_images(datasets.simulate_section(n_genes=n_genes, n_spots=400, n_modules=3, depth=1.0, seed=seed))


@given(st.integers(1, 10**6), st.integers(50, 10_000))
def test_number_of_null_genes(n_genes: int, maximum: int) -> None:
    n = number_of_null_genes(n_genes, maximum)
    assert min(maximum, MIN_NULL_GENES) <= n <= maximum
    if 4 * MIN_NULL_GENES <= n_genes <= 4 * maximum:
        assert n == n_genes // 4


def test_number_of_null_genes_of_typical_sections() -> None:
    assert [number_of_null_genes(n, 1000) for n in (2, 400, 2000, 20_000)] == [100, 100, 500, 1000]
    assert number_of_null_genes(20_000, 50) == 50


@pytest.mark.parametrize("is_count", [True, False])
def test_draws_do_not_depend_on_the_order_of_genes(is_count: bool) -> None:
    rng = np.random.default_rng(0)
    images = one_section(*poisson_section(rng, n_genes=80), is_count=is_count)
    order = rng.permutation(80)
    for n_null in (30, 200):
        first, second = (redraw_null_genes(part, n_null, 3) for part in (images, images.take(order)))
        np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_draws_depend_on_the_seed() -> None:
    images = simulated()
    first, same, other = (redraw_null_genes(images, 100, seed).toarray() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    assert len(np.unique(first, axis=1).T) == 100  # copies of a gene are different draws


def test_totals_and_dispersions_are_those_of_the_genes() -> None:
    """Over many draws of every gene, means and variances per pixel are those of a negative binomial."""
    rng = np.random.default_rng(0)
    library = rng.lognormal(5, 0.5, 300)
    mean = np.outer(library / library.sum(), [900.0, 900.0, 3000.0])
    phi = np.array([1e-9, 1.0, 0.3])
    counts = rng.poisson(mean * rng.gamma(1 / phi, phi, mean.shape)).astype(np.float32)
    occupied = counts.sum(1) > 0
    counts, pixel = counts[occupied], np.argwhere(np.ones((15, 20)))[occupied]
    images = replace(one_section(counts, pixel, square(15, 20)), library=library[occupied])
    drawn = redraw_null_genes(images, 600, 0).toarray()
    totals = counts.sum(0)
    # 200 draws of each gene; they are recognized by their total and dispersion.
    expected = np.outer(images.share, totals)
    found = np.array([dispersion(drawn[:, i], images.share * drawn[:, i].sum()) for i in range(600)])
    of_gene = np.array([dispersion(counts[:, g], expected[:, g]) for g in range(3)])
    assert of_gene[0] < 0.1 < of_gene[1]
    strong = drawn.sum(0) > 1800
    assert strong.sum() == 200
    weak = np.sort(found[~strong])
    assert np.mean(found[strong]) == pytest.approx(of_gene[2], rel=0.15)
    assert np.mean(weak[200:]) == pytest.approx(of_gene[1], rel=0.15)
    assert abs(np.mean(weak[:200]) - of_gene[0]) < 0.05
    assert drawn[:, strong].sum(0).mean() == pytest.approx(totals[2], rel=0.02)
    assert drawn[:, ~strong].sum(0).mean() == pytest.approx(totals[:2].mean(), rel=0.02)
    np.testing.assert_allclose(drawn[:, strong].mean(1), expected[:, 2], rtol=0.5)


@pytest.mark.parametrize("phi", [0.0, 0.2, 2.0])
def test_dispersion_is_recovered(phi: float) -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(1, 5, 50_000)
    counts = rng.poisson(mean * rng.gamma(1 / phi, phi, len(mean)) if phi else mean)
    assert dispersion(counts, mean) == pytest.approx(phi, abs=0.03 + 0.05 * phi)
    assert dispersion(np.full(5, 2.0), np.full(5, 2.0)) == 0.0  # less than Poisson
    assert dispersion(np.zeros(3), np.zeros(3)) == 0.0


def test_null_genes_have_no_pattern() -> None:
    adata = datasets.simulate_section(n_genes=60, n_spots=400, n_modules=2, depth=2.0, effect=3.0, spatial_fraction=1.0)
    images = pp.gene_images(adata)
    null = images.append(redraw_null_genes(images, 100, 0)).take(np.arange(60, 160))
    column = images.layout.pixel[:, 1].astype(float)
    of_genes, of_null = (np.mean(np.corrcoef(column, part.residuals())[0, 1:] ** 2) for part in (images, null))
    assert of_null == pytest.approx(1 / images.n_pixels, rel=0.5)  # as for independent values
    assert of_genes > 5 * of_null


def test_totals_of_each_section_are_kept() -> None:
    images, _ = two_sections(np.random.default_rng(0))
    n = images.n_genes
    drawn = redraw_null_genes(images, n, 0).toarray()
    first = images.layout.section == 0
    share = drawn[first].sum() / drawn.sum()
    counts = images.counts.toarray()
    assert share == pytest.approx(counts[first].sum() / counts.sum(), abs=0.02)


def test_intensities_are_permuted_within_sections() -> None:
    images, _ = two_sections(np.random.default_rng(0), is_count=False)
    drawn, values = redraw_null_genes(images, images.n_genes, 0).toarray(), images.counts.toarray()
    assert (drawn != values).any()
    for section in (0, 1):
        inside = images.layout.section == section
        ours, theirs = (np.sort(part[inside], axis=0) for part in (drawn, values))
        np.testing.assert_array_equal(np.unique(ours, axis=1), np.unique(theirs, axis=1))


def test_every_null_gene_has_a_count() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros((100, 20), dtype=np.float32)
    counts[rng.integers(100, size=20), np.arange(20)] = 1
    counts[:, 0] += 3
    images = one_section(counts, np.argwhere(np.ones((10, 10))), square(10, 10))
    drawn = redraw_null_genes(images, 400, 0)
    assert (drawn.sum(axis=0) >= 1).all()
    assert drawn.shape == (100, 400)
    assert drawn.dtype == images.counts.dtype


def test_genes_without_counts_are_not_redrawn() -> None:
    images = simulated()
    counts = images.counts.toarray()
    counts[:, 10:] = 0
    images = replace(images, counts=sp.csc_array(counts))
    drawn = redraw_null_genes(images, 200, 0)
    assert (drawn.sum(axis=0) >= 1).all()
    assert set(np.unique(redraw_null_genes(images.take(np.arange(10)), 200, 0).sum(0))) == set(np.unique(drawn.sum(0)))
    with pytest.raises(InputError, match="no gene has any counts"):
        redraw_null_genes(images.take(np.arange(20, 30)), 50, 0)


def test_counts_are_appended() -> None:
    images = simulated()
    drawn = redraw_null_genes(images, 100, 0)
    both = images.append(drawn)
    assert both.n_genes == 160
    assert isinstance(both.counts, sp.csc_array)
    np.testing.assert_array_equal(both.library, images.library)
    np.testing.assert_array_equal(both.residuals(slice(60)), images.residuals())
    np.testing.assert_array_equal(both.counts[:, 60:].toarray(), drawn.toarray())
