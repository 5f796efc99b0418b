"""The translator: it learns what the linear prediction misses, and does nothing where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spacex.imputation.corrector import GeneBatch, Generator, ResidualCorrector

CPU = torch.device("cpu")
N, KEY, OUT = 260, 6, 5


@pytest.fixture(scope="module")
def planted() -> GeneBatch:
    """Genes whose linear coefficients miss a curved function of their keys."""
    rng = np.random.default_rng(0)
    key = rng.standard_normal((N, KEY))
    linear = key @ rng.standard_normal((KEY, OUT)) * 0.2
    true = linear + 0.5 * np.abs(key @ rng.standard_normal((KEY, OUT))) + 0.05 * rng.standard_normal((N, OUT))
    return GeneBatch(key, linear, true)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


@pytest.fixture(scope="module")
def trained(planted: GeneBatch) -> ResidualCorrector:
    return ResidualCorrector(planted.take(np.arange(200)), seed=0, device=CPU)


@pytest.mark.parametrize("rounds", [1, 3])
def test_what_is_missed_is_learnt(planted, trained, rounds):
    new = planted.take(np.arange(200, N))
    made = new.linear + trained.correct(GeneBatch(new.key, new.linear), rounds=rounds, max_cosine=-np.arange(60.0))
    assert trained.learned_ > trained.linear_ + 0.1
    assert cosine(made, new.true) > cosine(new.linear, new.true) + 0.1


def test_where_nothing_is_to_be_learnt_nothing_is_corrected():
    rng = np.random.default_rng(1)
    key, linear = rng.standard_normal((40, KEY)), rng.standard_normal((40, OUT))
    exact = ResidualCorrector(GeneBatch(key, linear, linear), seed=0, device=CPU)
    assert exact.learned_ <= exact.linear_ + 1e-6
    assert np.abs(exact.correct(GeneBatch(key, linear))).max() < 1e-2


def test_the_training_set_alone_decides(planted, trained):
    again = ResidualCorrector(planted.take(np.arange(200)), seed=0, device=CPU)
    new = GeneBatch(planted.key[200:], planted.linear[200:])
    np.testing.assert_array_equal(again.correct(new), trained.correct(new))
    before = torch.get_rng_state()
    ResidualCorrector(planted.take(np.arange(30)), seed=3, device=CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_rounds_order_and_batches_are_all_genes(planted, trained):
    new = GeneBatch(planted.key[200:], planted.linear[200:])
    order = np.random.default_rng(0).permutation(60)
    straight = trained.correct(new)
    np.testing.assert_allclose(trained.correct(new.take(order)), straight[order], atol=1e-6)
    for rounds in (100, 2**62):  # more rounds than genes
        assert (np.abs(trained.correct(new, rounds=rounds)).sum(axis=1) > 0).all()


def test_no_gene_looks_itself_up():
    generator = Generator(KEY, OUT)
    with torch.no_grad():
        generator.trust.fill_(20.0)
        generator.sharpness.fill_(4.0)
    key, values = torch.eye(KEY), torch.arange(1.0, KEY * OUT + 1).reshape(KEY, OUT)
    linear = torch.zeros(KEY, OUT)
    with torch.no_grad():
        itself = generator(key, linear, (key, values), itself=False)
        others = generator(key, linear, (key, values), itself=True)
    torch.testing.assert_close(itself, values, atol=1e-2, rtol=1e-2)
    assert (others - values).abs().min() > 0.5
