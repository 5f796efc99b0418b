"""The estimator `SpaCEX`: fitted attributes, predictions and the interface of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from tests.embedding.conftest import FAST

import spacex as sx
from spacex.imaging.gene_images import GeneImages


def test_fitted_attributes_equal_predictions(model: sx.SpaCEX, images: GeneImages) -> None:
    np.testing.assert_allclose(model.transform(images), model.embedding_, rtol=1e-5, atol=1e-6)  # other batches
    np.testing.assert_array_equal(model.predict(images), model.labels_)
    probability = model.predict_proba(images)
    column = np.where(model.labels_ < 0, 3, model.labels_)
    np.testing.assert_allclose(model.probabilities_, probability[np.arange(120), column], atol=1e-6)
    assigned = model.labels_ >= 0
    assert (np.diff(np.bincount(model.labels_[assigned], model.probabilities_[assigned])) <= 0).all()
    assert model.levels_.tolist() == [0] * 120  # few genes have one expression level


def test_transform_does_not_depend_on_the_batch(model: sx.SpaCEX, images: GeneImages) -> None:
    expected = model.transform(images)
    some = np.array([5, 80, 3])
    np.testing.assert_allclose(model.transform(images.take(some)), expected[some], atol=1e-5)


def test_the_estimator_has_the_interface_of_scikit_learn() -> None:
    model = sx.SpaCEX(FAST, n_modules=3, seed=7, progress=False)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(n_modules=4, seed=1) is model
    assert (model.n_modules, model.seed, model.config) == (4, 1, FAST)
    with pytest.raises(sx.InputError, match="n_modules=0"):
        model.set_params(n_modules=0)
    with pytest.raises(sx.InputError, match="parameter='n_clusters'"):
        model.set_params(n_clusters=3)
    assert model.n_modules == 4


def test_fit_predict_and_fit_transform(images: GeneImages) -> None:
    model = sx.SpaCEX(sx.Config(em_starts=1), n_modules=3, progress=False)
    np.testing.assert_array_equal(model.fit_predict(images), model.predict(images))
    np.testing.assert_allclose(model.fit_transform(images), model.transform(images), rtol=1e-5, atol=1e-6)


def test_predict_proba_is_a_distribution(model: sx.SpaCEX, images: GeneImages) -> None:
    probability = model.predict_proba(images)
    assert probability.shape == (120, 3 + 1)
    assert (probability >= 0).all()
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-6)


def test_arrays_of_images_are_accepted(model: sx.SpaCEX, images: GeneImages) -> None:
    expected = model.transform(images)
    array = images.scale_library(model.state_.library_factor).images()
    for same in (array, array.astype(np.float64)):
        np.testing.assert_allclose(model.transform(same), expected, atol=1e-5)
    changed = array + 5 * ~images.mask  # pixels outside the tissue are ignored
    np.testing.assert_allclose(model.transform(changed.astype(np.float32)), expected, atol=1e-5)
    assert model.predict_proba(images.images(slice(0, 1))).shape == (1, 4)


@pytest.mark.parametrize("change", [lambda i: i[0], lambda i: i[:, 1:], lambda i: i[:, :, :-1], lambda i: i.ravel()])
def test_images_of_another_shape_raise(model: sx.SpaCEX, images: GeneImages, change: Any) -> None:
    height, width = images.shape
    with pytest.raises(sx.InputError, match=rf"images has shape .*pass GeneImages .*\(G.*{height}, {width}\)"):
        model.transform(change(images.images()))


def test_images_on_another_grid_raise(model: sx.SpaCEX) -> None:
    other_grid = sx.datasets.toy()
    sx.pp.rasterize(other_grid, grid=10)
    for other in (sx.datasets.toy()[:-1].copy(), other_grid):
        with pytest.raises(sx.InputError, match=r"grid of .* the model on one of .*fit"):
            model.transform(sx.pp.gene_images(other))


def test_an_unfitted_model_raises(images: GeneImages) -> None:
    model = sx.SpaCEX(FAST, n_modules=3)
    for call in (model.transform, model.predict_proba):
        with pytest.raises(sx.InputError, match=r"not fitted; call fit\(images\) or SpaCEX.load"):
            call(images)
    with pytest.raises(sx.InputError, match="not fitted"):
        model.save("nowhere")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("n_modules", [3, "auto"])
def test_genes_without_counts_are_embedded(images: GeneImages, n_modules: int | str) -> None:
    """`sx.tl.embed` leaves them out, but the estimator accepts them."""
    counts = images.counts.tolil()
    counts[:, 5] = 0
    model = sx.SpaCEX(n_modules=n_modules, progress=False).fit(replace(images, counts=sp.csc_array(counts)))
    assert np.isfinite(model.embedding_).all()
    assert not model.embedding_[5].any()
    assert model.labels_[5] == -1
    assert ((model.probabilities_ > 0) & (model.probabilities_ <= 1)).all()
