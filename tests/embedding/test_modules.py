"""Null probabilities, module assignment, and the number of modules."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.metrics import adjusted_rand_score

from spacex import Config
from spacex.embedding import modules as md
from spacex.embedding.history import History


def embeddings(k=5, per=60, n_null=200, d=8, strength=4.0, seed=0):
    """Return embeddings of genes in k modules with norm about `strength`, and of genes without a pattern."""
    rng = np.random.default_rng(seed)
    centers = np.linalg.qr(rng.normal(size=(d, d)))[0][:k]
    label = np.concatenate([np.repeat(np.arange(k), per), np.full(n_null, -1)])
    noise = rng.normal(size=(len(label), d)) / np.sqrt(d)
    signal = np.where(label[:, None] >= 0, strength * centers[np.maximum(label, 0)], 0.0)
    z = (signal + noise).astype(np.float32)
    return z, label, md.null_probability(np.linalg.norm(z, axis=1), d / 2)


def test_null_probability_is_uniform_for_noise():
    z = np.random.default_rng(0).normal(size=(3000, 10)) / np.sqrt(10)
    assert kstest(md.null_probability(np.linalg.norm(z, axis=1), 5.0), "uniform").pvalue > 0.01


def test_background_weight_is_the_fraction_of_noise():
    _, label, null = embeddings()
    assert md.background_weight(null) == pytest.approx((label < 0).mean(), abs=0.08)


def test_planted_modules_and_background_are_recovered():
    z, label, null = embeddings()
    parameters = md.sort_modules_by_size(md.fit_modules(z, null, 5, Config(), 0).parameters_, z, null, 0.8)
    labels, probabilities = md.assign_modules(parameters, z, 4.0, 0.8)
    assert adjusted_rand_score(label[label >= 0], labels[label >= 0]) > 0.95
    assert (labels[label < 0] < 0).mean() > 0.5
    assert ((probabilities > 0) & (probabilities <= 1)).all()


def test_modules_are_numbered_by_size():
    rng = np.random.default_rng(0)
    z, label, null = embeddings(k=3, per=100, n_null=0)
    genes = np.concatenate(
        [rng.choice(np.flatnonzero(label == k), n, replace=False) for k, n in enumerate((20, 100, 50))]
    )
    mixture = md.fit_modules(z[genes], null[genes], 3, Config(), 0)
    parameters = md.sort_modules_by_size(mixture.parameters_, z[genes], null[genes], 0.8)
    size = np.bincount(md.assign(md.posterior(parameters, z[genes], null[genes]), 0.8).labels, minlength=3)
    assert list(size) == [100, 50, 20]


@pytest.mark.parametrize("k", [3, 6])
def test_the_number_of_modules_is_recovered(k):
    z, _, null = embeddings(k=k, seed=k)
    history = History()
    chosen = md.choose_n_modules(z, null, Config(), 0, history)
    assert abs(chosen - k) <= 1
    assert {"n_modules", "score", "standard_error"} <= set(history.columns()["modules"])


def test_candidate_sizes_leave_four_genes_per_module():
    assert md.candidate_sizes(40, 60)[-1] == 10
    assert md.candidate_sizes(5, 60) == [2]
    assert md.candidate_sizes(10_000, 60)[-1] == 60
