"""Co-location of two genes, in the same and in neighboring spots."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from spacex import pp
from spacex.pairs import Colocation, colocation


@pytest.fixture(scope="module")
def images():
    """Return 30 genes: 0 and 1 in the same spots, 2 and 3 on the two colors of a checkerboard, the rest noise."""
    rng = np.random.default_rng(0)
    xy = np.argwhere(np.ones((24, 24))).astype(float)
    spot = rng.random(576) < 0.3
    board = xy.sum(axis=1) % 2 == 0
    half = xy[:, 0] < 12
    rate = np.full((576, 30), 3.0)
    rate[:, :2] = np.where(spot, 9.0, 1.0)[:, None]
    rate[:, 2], rate[:, 3] = np.where(half & board, 12.0, 1.0), np.where(half & ~board, 12.0, 1.0)
    return pp.gene_images(AnnData(rng.poisson(rate).astype(np.float32), obsm={"spatial": xy}))


def test_same_is_pearson_correlation(images) -> None:
    pairs = np.array([[0, 1], [4, 2], [7, 7]])
    maps = images.residuals()
    expected = [np.corrcoef(maps[a], maps[b])[0, 1] for a, b in pairs]
    np.testing.assert_allclose(Colocation(images, "same").pairwise(pairs), expected, atol=1e-5)


def test_neighbors_detects_genes_in_alternating_spots(images) -> None:
    same, near = Colocation(images, "same"), Colocation(images, "neighbors")
    checkered, together = np.array([[2, 3]]), np.array([[0, 1]])
    assert near.pairwise(checkered)[0] > 0.4 > 0.0 > same.pairwise(checkered)[0] - 0.2
    assert same.pairwise(together)[0] > 0.5 > 0.15 > abs(near.pairwise(together)[0])
    np.testing.assert_allclose(near.pairwise(checkered), near.pairwise(checkered[:, ::-1]), atol=1e-6)


@pytest.mark.parametrize("where", ["same", "neighbors"])
def test_result_does_not_depend_on_blocks(images, where, monkeypatch) -> None:
    pairs = np.random.default_rng(1).integers(30, size=(80, 2))
    measure = Colocation(images, where)
    expected = measure.pairwise(pairs)
    np.testing.assert_allclose(measure.matrix(np.arange(30))[pairs[:, 0], pairs[:, 1]], expected, atol=1e-5)
    monkeypatch.setattr(colocation, "GENES_PER_BLOCK", 7)
    np.testing.assert_allclose(Colocation(images, where).pairwise(pairs), expected, atol=1e-5)
