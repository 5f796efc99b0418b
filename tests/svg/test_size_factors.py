"""Library sizes that spatial genes do not bend."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from spacex import pp
from spacex.svg import spatial_variability_test
from spacex.svg.size_factors import STABLE_QUANTILE, background_size_factors, energies, first_kernel, library_of


def section(*, loud: bool, seed: int = 0) -> tuple[AnnData, np.ndarray]:
    """200 genes of a constant rate, and 5 that fill the western half where `loud`; true library size 1 everywhere."""
    rng = np.random.default_rng(seed)
    xy = np.argwhere(np.ones((24, 24))).astype(float)
    west = xy[:, 0] < 12
    rate = np.full((576, 205), 1.0)
    rate[:, :5] = np.where(west[:, None] & loud, 40.0, 4.0)
    return AnnData(rng.poisson(rate).astype(np.float32), obsm={"spatial": xy}), west


def test_the_library_follows_the_genes_that_change_little() -> None:
    adata, _ = section(loud=True)
    images = pp.gene_images(adata)
    west = images.layout.pixel[:, 1] < 12  # columns follow x
    mended = background_size_factors(images, 0)
    before, after = (lib[west].mean() / lib[~west].mean() for lib in (images.library, mended.library))
    assert before > 1.7
    assert after == pytest.approx(1, abs=0.2)


def test_nothing_changes_where_there_is_nothing_to_mend() -> None:
    images = pp.gene_images(section(loud=False)[0])
    np.testing.assert_allclose(background_size_factors(images, 0).library, images.library, rtol=0.02)
    np.testing.assert_allclose(library_of(images, np.ones(205, dtype=bool)).library, images.library, rtol=1e-4)


@pytest.mark.parametrize("loud", [True, False])
def test_library_sizes_are_changed_only_where_most_genes_become_steadier(loud: bool) -> None:
    images = pp.gene_images(section(loud=loud)[0])
    kernel = first_kernel(images, 0)
    before, after = (
        np.quantile(energies(given, kernel)[0], STABLE_QUANTILE)
        for given in (images, background_size_factors(images, 0))
    )
    assert after < before / 4 if loud else after <= before


def test_relative_change_does_not_follow_expression() -> None:
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((24, 24))).astype(float)
    level = np.repeat([0.5, 2.0, 8.0], 60)
    fold = np.exp(0.5 * np.where(xy[:, 0] < 12, 1.0, -1.0)[:, None] * np.where(np.arange(180) % 2, 1.0, -1.0))
    images = pp.gene_images(AnnData(rng.poisson(level * fold).astype(np.float32), obsm={"spatial": xy}))
    change = np.multiply(*energies(images, first_kernel(images, 0)))
    low, middle, high = (np.median(change[level == value]) for value in (0.5, 2.0, 8.0))
    assert 0.7 < low / middle < 1.5
    assert 0.7 < high / middle < 1.5


def test_loud_genes_do_not_make_the_others_spatial() -> None:
    found = spatial_variability_test(pp.gene_images(section(loud=True)[0]))
    assert (found.log_p[:5] < -100).all()
    assert np.mean(found.log_p[5:] < np.log(0.05)) < 0.25  # all of them with the plain library size
