"""The corrector learns residuals of the linear prediction, and returns zeros if there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spacex.imputation import ImputationParams
from spacex.imputation.corrector import GeneBatch, Generator, ResidualCorrector

N_GENES, N_KEYS, N_COMPONENTS = 260, 6, 5
PARAMS = ImputationParams()


def fit(panel: GeneBatch, seed: int = 0) -> ResidualCorrector:
    return ResidualCorrector(PARAMS, seed=seed, device=torch.device("cpu")).fit(panel)


@pytest.fixture(scope="module")
def genes() -> GeneBatch:
    """Return genes whose residuals are a nonlinear function of their keys."""
    rng = np.random.default_rng(0)
    keys = rng.standard_normal((N_GENES, N_KEYS))
    linear = keys @ rng.standard_normal((N_KEYS, N_COMPONENTS)) * 0.2
    residuals = 0.5 * np.abs(keys @ rng.standard_normal((N_KEYS, N_COMPONENTS)))
    return GeneBatch(keys, linear, linear + residuals + 0.05 * rng.standard_normal((N_GENES, N_COMPONENTS)))


@pytest.fixture(scope="module")
def corrector(genes: GeneBatch) -> ResidualCorrector:
    return fit(genes.take(np.arange(200)))


def mean_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


@pytest.mark.parametrize("rounds", [1, 3])
def test_residuals_are_learned(genes, corrector, rounds):
    new = genes.take(np.arange(200, N_GENES))
    corrections = corrector.correct(GeneBatch(new.keys, new.linear), rounds=rounds, max_cosine=-np.arange(60.0))
    assert corrector.corrected_cosine_ > corrector.linear_cosine_ + 0.1
    assert mean_cosine(new.linear + corrections, new.measured) > mean_cosine(new.linear, new.measured) + 0.1


def test_exact_predictions_are_not_corrected():
    rng = np.random.default_rng(1)
    keys, linear = rng.standard_normal((40, N_KEYS)), rng.standard_normal((40, N_COMPONENTS))
    corrector = fit(GeneBatch(keys, linear, linear))
    assert corrector.corrected_cosine_ <= corrector.linear_cosine_ + 1e-6
    assert np.abs(corrector.correct(GeneBatch(keys, linear))).max() < 1e-2


def test_fit_is_reproducible_and_leaves_the_global_generator_alone(genes, corrector):
    global_state = torch.get_rng_state()
    again = fit(genes.take(np.arange(200)))
    assert torch.equal(torch.get_rng_state(), global_state)
    new = GeneBatch(genes.keys[200:], genes.linear[200:])
    np.testing.assert_array_equal(again.correct(new), corrector.correct(new))


def test_order_and_rounds_do_not_omit_genes(genes, corrector):
    new = GeneBatch(genes.keys[200:], genes.linear[200:])
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(corrector.correct(new.take(order)), corrector.correct(new)[order], atol=1e-6)
    for rounds in (100, 2**62):  # more rounds than genes
        assert (np.abs(corrector.correct(new, rounds=rounds)).sum(axis=1) > 0).all()


def test_leave_one_out_excludes_the_gene_itself():
    generator = Generator(N_KEYS, N_COMPONENTS, PARAMS)
    keys = torch.eye(N_KEYS)
    residuals = torch.arange(1.0, N_KEYS * N_COMPONENTS + 1).reshape(N_KEYS, N_COMPONENTS)
    linear = torch.zeros(N_KEYS, N_COMPONENTS)
    with torch.no_grad():
        generator.memory_gate.fill_(20.0)
        generator.log_sharpness.fill_(4.0)
        with_itself = generator(keys, linear, (keys, residuals), leave_one_out=False)
        without_itself = generator(keys, linear, (keys, residuals), leave_one_out=True)
    torch.testing.assert_close(with_itself, residuals, atol=1e-2, rtol=1e-2)
    assert (without_itself - residuals).abs().min() > 0.5
