"""A trained model of the toy section, for the tests of the estimator and of saved models."""

from __future__ import annotations

import pytest

import spacex as sx
from spacex.imaging.gene_images import GeneImages

FAST = sx.Config(epochs=1, boost_rounds=1)


@pytest.fixture(scope="module")
def images() -> GeneImages:
    return sx.pp.gene_images(sx.datasets.toy())


@pytest.fixture(scope="module")
def model(images: GeneImages) -> sx.SpaCEX:
    return sx.SpaCEX(FAST, n_modules=3, progress=False).fit(images)
