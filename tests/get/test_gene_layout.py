"""Layouts of genes: stored, or a UMAP of the embedding."""

import numpy as np
import pytest

from spacex.get import gene_layout
from spacex.get._gene_layout import _neighbors


def test_stored_layouts_are_used_and_computed_ones_are_not_stored(toy_embedded):
    toy_embedded.varm["X_spacex_umap"] = toy_embedded.varm["X_spacex"][:, :2].astype(float)
    np.testing.assert_array_equal(gene_layout(toy_embedded), toy_embedded.varm["X_spacex_umap"])
    del toy_embedded.varm["X_spacex_umap"]
    few = toy_embedded[:, :20].copy()
    assert gene_layout(few).shape == (20, 2)
    assert "X_spacex_umap" not in few.varm


@pytest.mark.slow
def test_neighbors_are_close_in_the_umap(toy_embedded):
    xy = gene_layout(toy_embedded)
    np.testing.assert_array_equal(xy, gene_layout(toy_embedded))
    is_embedded = np.isfinite(xy[:, 0])
    z = toy_embedded.varm["X_spacex"][is_embedded]
    near = _neighbors(z / np.linalg.norm(z, axis=1, keepdims=True))[0][:, 1:6]
    close = np.linalg.norm(xy[is_embedded][near] - xy[is_embedded][:, None], axis=2).mean()
    apart = np.linalg.norm(xy[is_embedded][:, None] - xy[is_embedded][None], axis=2).mean()
    assert close < 0.5 * apart


def test_neighbors_are_the_nearest_genes():
    x = np.random.default_rng(0).standard_normal((60, 4)).astype("float32")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    neighbor, distance = _neighbors(x)
    np.testing.assert_array_equal(neighbor[:, 0], np.arange(60))
    np.testing.assert_allclose(distance, np.sort(1 - x @ x.T, axis=1)[:, :15].clip(0), atol=1e-5)
