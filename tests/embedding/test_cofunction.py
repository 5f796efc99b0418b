"""Vectors for function: the section's components beside those of a reference."""

from __future__ import annotations

import numpy as np

from spacex.embedding.cofunction import REFERENCE_WEIGHT, WEIGHT_POWER, cofunction_vectors
from spacex.stats import l2_normalize

RNG = np.random.default_rng(0)
Z, WEIGHTS, REFERENCE = RNG.normal(size=(20, 6)), RNG.uniform(0.1, 1, 6), RNG.normal(size=(20, 4))


def cosines(x: np.ndarray) -> np.ndarray:
    unit = l2_normalize(x)
    return unit @ unit.T


def test_products_add_the_cosines_of_section_and_reference() -> None:
    vectors = cofunction_vectors(Z, WEIGHTS, REFERENCE)
    section = cosines(Z / WEIGHTS ** (1 - WEIGHT_POWER))
    np.testing.assert_allclose(vectors @ vectors.T, section + REFERENCE_WEIGHT**2 * cosines(REFERENCE), atol=1e-5)


def test_without_reference_the_section_alone_counts() -> None:
    vectors = cofunction_vectors(Z, WEIGHTS, None)
    np.testing.assert_allclose(vectors @ vectors.T, cosines(Z / WEIGHTS ** (1 - WEIGHT_POWER)), atol=1e-5)


def test_equal_weights_have_no_effect() -> None:
    np.testing.assert_allclose(cosines(cofunction_vectors(Z, np.full(6, 0.3), None)), cosines(Z), atol=1e-5)


def test_genes_that_only_the_reference_knows_have_vectors() -> None:
    z = Z.copy()
    z[3] = 0
    vectors = cofunction_vectors(z, WEIGHTS, REFERENCE)
    assert not vectors[3, :6].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[3]), REFERENCE_WEIGHT, rtol=1e-6)
