"""Library sizes from stable genes."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from spacex import pp
from spacex.svg import spatial_variability_test
from spacex.svg.params import DEFAULT_PARAMS
from spacex.svg.size_factors import library_from_genes, stability_kernel, stability_statistics, stable_size_factors


def section(*, dominant: bool, seed: int = 0) -> tuple[AnnData, np.ndarray]:
    """200 genes with a constant rate, and 5 that are high in the western half if `dominant`."""
    rng = np.random.default_rng(seed)
    xy = np.argwhere(np.ones((24, 24))).astype(float)
    west = xy[:, 0] < 12
    rate = np.full((576, 205), 1.0)
    rate[:, :5] = np.where(west[:, None] & dominant, 40.0, 4.0)
    return AnnData(rng.poisson(rate).astype(np.float32), obsm={"spatial": xy}), west


def test_library_follows_stable_genes() -> None:
    adata, _ = section(dominant=True)
    images = pp.gene_images(adata)
    west = images.layout.pixel[:, 1] < 12  # columns follow x
    corrected = stable_size_factors(images, 0).images
    before, after = (lib[west].mean() / lib[~west].mean() for lib in (images.library, corrected.library))
    assert before > 1.7
    assert after == pytest.approx(1, abs=0.2)


def test_library_unchanged_without_spatial_genes() -> None:
    images = pp.gene_images(section(dominant=False)[0])
    np.testing.assert_allclose(stable_size_factors(images, 0).images.library, images.library, rtol=0.02)
    np.testing.assert_allclose(library_from_genes(images, np.ones(205, dtype=bool)).library, images.library, rtol=1e-4)


@pytest.mark.parametrize("dominant", [True, False])
def test_correction_makes_genes_more_stable(dominant: bool) -> None:
    images = pp.gene_images(section(dominant=dominant)[0])
    kernel = stability_kernel(images, 0)
    before, after = (
        np.quantile(stability_statistics(section_images, kernel)[0], DEFAULT_PARAMS.stable_quantile)
        for section_images in (images, stable_size_factors(images, 0).images)
    )
    assert after < before / 4 if dominant else after <= before


def test_relative_change_does_not_follow_expression() -> None:
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((24, 24))).astype(float)
    level = np.repeat([0.5, 2.0, 8.0], 60)
    fold = np.exp(0.5 * np.where(xy[:, 0] < 12, 1.0, -1.0)[:, None] * np.where(np.arange(180) % 2, 1.0, -1.0))
    images = pp.gene_images(AnnData(rng.poisson(level * fold).astype(np.float32), obsm={"spatial": xy}))
    change = np.multiply(*stability_statistics(images, stability_kernel(images, 0)))
    low, middle, high = (np.median(change[level == value]) for value in (0.5, 2.0, 8.0))
    assert 0.7 < low / middle < 1.5
    assert 0.7 < high / middle < 1.5


def test_dominant_genes_do_not_bias_other_genes() -> None:
    result = spatial_variability_test(pp.gene_images(section(dominant=True)[0]))
    assert (result.log_p[:5] < -100).all()
    assert np.mean(result.log_p[5:] < np.log(0.05)) < 0.25  # all are significant if library sizes are sums of counts
