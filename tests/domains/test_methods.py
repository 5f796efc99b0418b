"""Clustering methods: the registered ones, and validation of what callables return."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from tests.domains.data import clouds, square_layout

from spacex._infra.errors import InputError
from spacex.domains import METHODS, DomainParams, run_method

LAYOUT = square_layout(3)


@pytest.mark.parametrize("name", METHODS)
def test_methods_recover_clouds_and_follow_the_generator(name):
    points, truth = clouds(np.random.default_rng(0), 8.0)
    method = METHODS[name](DomainParams(n_init=2))
    results = [run_method(method, points, LAYOUT, 3, np.random.default_rng(5)) for _ in range(2)]
    assert adjusted_rand_score(results[0].labels, truth) > 0.95
    assert results[0].confidence.shape == (300, 3)
    np.testing.assert_allclose(results[0].confidence.sum(axis=1), 1)
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_gaussian_mixture_is_scikit_learns_with_tied_covariance():
    points, _ = clouds(np.random.default_rng(1), 3.0)
    method = METHODS["gaussian_mixture"](DomainParams(n_init=5))
    labels, confidence = run_method(method, points, LAYOUT, 3, np.random.default_rng(0))
    expected = GaussianMixture(3, covariance_type="tied", n_init=5, random_state=0).fit(points)
    assert adjusted_rand_score(labels, expected.predict(points)) > 0.95
    np.testing.assert_allclose(confidence.max(axis=1), expected.predict_proba(points).max(axis=1), atol=0.05)


LABELS, CONFIDENCE = np.arange(9) % 3, np.ones(9)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (LABELS, "method returned .* is not a pair"),
        (None, "method returned None, which is not a pair"),
        ((LABELS[:8], CONFIDENCE), r"labels of shape \(8,\) .* shape \(9,\)"),
        ((LABELS.astype(float), CONFIDENCE), "type float64; return integers"),
        ((LABELS + 1, CONFIDENCE), "labels from 1 to 3; return labels from 0 to 2"),
        ((LABELS - 1, CONFIDENCE), "labels from -1 to 1"),
        ((LABELS, np.ones((9, 2))), r"confidence of shape \(9, 2\) .* \(9,\) or \(9, 3\)"),
        ((LABELS, ["high"] * 9), "return numbers"),
        ((LABELS, np.full(9, np.nan)), "NaN or infinite confidence"),
    ],
)
def test_invalid_results_raise(result, message):
    with pytest.raises(InputError, match=message):
        run_method(lambda *_: result, np.zeros((9, 2)), LAYOUT, 3, np.random.default_rng(0))


def test_methods_cannot_change_the_features():
    def method(features, layout, k, rng):
        features[:] = np.nan
        return LABELS, CONFIDENCE

    features = np.zeros((9, 2))
    run_method(method, features, LAYOUT, 3, np.random.default_rng(0))
    assert np.isfinite(features).all()
