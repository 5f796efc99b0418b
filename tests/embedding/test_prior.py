"""The prior of embeddings from the vectors of a reference: regression, choice of the weight, and what it adds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from spacex.embedding import prior as pr
from spacex.stats import l2_normalize

N_GENES, N_DIMS, N_FEATURES = 1500, 12, 20


class Planted:
    """Embeddings whose signal follows the vectors of a reference, up to `own`, and halves with twice the noise."""

    def __init__(self, noise: float, *, own: float = 0.5, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.vectors = rng.normal(size=(N_GENES, N_FEATURES)).astype(np.float32)
        signal = self.vectors @ rng.normal(size=(N_FEATURES, N_DIMS)) / np.sqrt(N_FEATURES)
        self.signal = signal + own * rng.normal(size=signal.shape)
        self.total = rng.lognormal(5, 1, N_GENES)
        # Maps in units of their noise: the signal of a gene increases with the square root of its counts.
        depth = np.sqrt(self.total / np.median(self.total))[:, None]
        first, second = (rng.normal(size=signal.shape) * noise * np.sqrt(2) / depth for _ in range(2))
        self.halves = ((self.signal + first).astype(np.float32), (self.signal + second).astype(np.float32))
        self.z = (self.signal + (first + second) / 2).astype(np.float32)

    def fit(self, vectors: list[np.ndarray] | None = None) -> pr.Prior:
        return pr.fit_prior(self.z, self.halves, [self.vectors] if vectors is None else vectors, self.total, seed=0)

    def quality(self, z: np.ndarray) -> float:
        """Correlation of the cosines of random pairs with those of the signal."""
        pairs = np.random.default_rng(1).integers(N_GENES, size=(2, 50_000))
        cosines = [pr.pair_products(x, x, pairs) for x in (l2_normalize(z), l2_normalize(self.signal))]
        return float(pr.correlation(*cosines))


@pytest.mark.parametrize("noise", [1.0, 2.0, 4.0])
def test_a_reference_that_knows_the_signal_improves_noisy_embeddings(noise: float) -> None:
    planted = Planted(noise)
    prior = planted.fit()
    assert prior.weight > 0
    assert prior.agreement.with_reference > prior.agreement.without
    assert planted.quality(prior.apply(planted.z)) > planted.quality(planted.z) + 0.03


def test_the_weight_increases_with_the_noise() -> None:
    weights = [Planted(noise).fit().weight for noise in (0.3, 1.0, 3.0)]
    assert weights[0] < weights[1] <= weights[2]


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(10))
def test_a_reference_without_information_does_not_harm(noise: float, seed: int) -> None:
    planted = Planted(noise, seed=seed)
    unrelated = planted.vectors[np.random.default_rng(seed).permutation(N_GENES)]
    prior = planted.fit([unrelated])
    assert planted.quality(prior.apply(planted.z)) > planted.quality(planted.z) - 0.002


def test_an_informative_group_counts_beside_one_without_information() -> None:
    planted = Planted(2.0)
    unrelated = planted.vectors[np.random.default_rng(0).permutation(N_GENES)]
    alone, both = planted.fit(), planted.fit([unrelated, planted.vectors])
    gain = planted.quality(alone.apply(planted.z)) - planted.quality(planted.z)
    assert planted.quality(both.apply(planted.z)) > planted.quality(planted.z) + 0.8 * gain


def test_norms_and_unknown_genes_do_not_change() -> None:
    planted = Planted(2.0)
    planted.vectors[::3] = 0
    prior = planted.fit()
    z = prior.apply(planted.z)
    assert z.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.linalg.norm(planted.z, axis=1), rtol=1e-5)
    np.testing.assert_allclose(z[::3], planted.z[::3], rtol=1e-5, atol=1e-6)
    assert np.abs(z - planted.z)[1::3].max() > 0.1


def test_null_genes_get_the_prior_of_the_genes_they_were_drawn_from() -> None:
    planted = Planted(2.0)
    prior, source = planted.fit(), np.array([5, 5, 9])
    np.testing.assert_array_equal(prior.apply(planted.z[source], source), prior.apply(planted.z)[source])


@pytest.mark.parametrize("vectors", [[], [np.zeros((N_GENES, 4), dtype=np.float32)]])
def test_without_known_genes_embeddings_stay_the_same(vectors: list[np.ndarray]) -> None:
    planted = Planted(2.0)
    prior = planted.fit(vectors)
    assert prior.weight == 0
    assert prior.agreement.without == prior.agreement.with_reference
    assert prior.apply(planted.z) is planted.z


def test_few_known_genes_are_not_used() -> None:
    planted = Planted(2.0)
    planted.vectors[pr.MIN_GENES - 1 :] = 0
    assert planted.fit().weight == 0


def test_constant_embeddings_are_not_an_error() -> None:
    z = np.ones((200, 3), dtype=np.float32)
    prior = pr.fit_prior(z, (z, z), [np.random.default_rng(0).normal(size=(200, 5))], np.ones(200), seed=0)
    np.testing.assert_allclose(np.linalg.norm(prior.apply(z), axis=1), np.sqrt(3), rtol=1e-5)


def test_predictions_are_those_of_ridge_regression_without_the_gene() -> None:
    rng = np.random.default_rng(0)
    features, targets, weight = rng.normal(size=(300, 6)), rng.normal(size=(300, 4)), rng.uniform(1, 5, 300)
    fold = rng.integers(pr.N_FOLDS, size=300)
    for penalty, prediction in pr.cross_fitted_ridge(features, targets, weight, fold):
        for i in range(pr.N_FOLDS):
            train = fold != i
            gram = (features[train] * weight[train, None]).T @ features[train]
            ridge = Ridge(alpha=penalty * np.trace(gram) / 6, fit_intercept=False)
            ridge.fit(features[train], targets[train], sample_weight=weight[train])
            np.testing.assert_allclose(prediction[~train], ridge.predict(features[~train]), atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_agreement_by_weight_is_that_of_the_cosines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, prediction = rng.normal(size=(2, 40, 5))
    pairs, other = rng.integers(40, size=(2, 3, 60)), rng.normal(size=(3, 60))
    values = pr.agreement_by_weight(x, prediction, other, pairs)
    for weight, value in zip(pr.WEIGHTS, values, strict=True):
        unit = l2_normalize(x + weight * prediction)
        cosines = pr.pair_products(unit, unit, pairs)
        expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(cosines, other, strict=True)]
        np.testing.assert_allclose(value, expected, atol=1e-9)


def test_pairs_of_a_block_share_no_first_gene_with_another() -> None:
    first, second = pr.draw_pairs(200, np.random.default_rng(0))
    assert (first != second).all()
    blocks = [set(block) for block in first]
    assert all(a.isdisjoint(b) for i, a in enumerate(blocks) for b in blocks[:i])
    assert set.union(*blocks) == set(range(200))
