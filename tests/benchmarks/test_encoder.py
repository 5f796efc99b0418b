"""`benchmarks.reference.encoder`: the candidates of the trial on planted embeddings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from benchmarks.reference.encoder_models import (
    N_DIM_FEATURES,
    N_GENE_FEATURES,
    N_VECTOR_DIMS,
    Gate,
    MapNet,
    PriorEncoder,
    Sample,
    apply,
    fit,
    off_diagonal,
    posterior_mean,
)

N_GENES, N_DIMS, SIDE = 240, 8, 8


def sample(seed: int = 0) -> Sample:
    """Genes of which the first half of the dimensions is the same in both halves, and the rest is noise."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    signal = normal(N_GENES, N_DIMS // 2)
    first, second = (torch.cat([signal, normal(N_GENES, N_DIMS // 2)], dim=1) for _ in range(2))
    dim = torch.zeros(N_DIMS, N_DIM_FEATURES)
    dim[: N_DIMS // 2, 0] = 1.0
    return Sample(
        u=torch.nn.functional.normalize(first, dim=1),
        shift=torch.zeros(N_GENES, N_DIMS),
        product=torch.zeros(N_GENES, N_DIMS),
        gene=torch.zeros(N_GENES, N_GENE_FEATURES),
        dim=dim,
        vectors=normal(N_GENES, N_VECTOR_DIMS),
        second=torch.nn.functional.normalize(second, dim=1),
        components=normal(SIDE**2, N_DIMS),
        pixel=torch.arange(SIDE**2),
        shape=(SIDE, SIDE),
        maps=normal(2, N_GENES, SIDE**2),
    )


def correlation_with_second(z: np.ndarray, case: Sample) -> float:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    pairs = np.triu_indices(N_GENES, 1)
    other = (case.second @ case.second.T).numpy()
    return float(np.corrcoef((unit @ unit.T)[pairs], other[pairs])[0, 1])


@pytest.mark.parametrize("uses_genes", [True, False])
def test_a_gate_starts_as_the_ridge_prior(uses_genes: bool) -> None:
    case = sample()
    expected, _ = apply(PriorEncoder(), case)
    z, reliability = apply(Gate(uses_genes=uses_genes), case)
    np.testing.assert_allclose(z, expected, atol=1e-6)
    assert ((reliability > 0) & (reliability < 1)).all()


def test_a_network_on_maps_has_embeddings_of_all_genes() -> None:
    case, network = sample(), MapNet(Gate())
    z, _ = apply(network, case)
    assert z.shape == (N_GENES, N_DIMS)
    assert np.isfinite(z).all()
    other = dataclasses.replace(case, maps=case.maps.flip(1))
    assert np.abs(apply(network, other)[0] - z).max() > 0


def test_a_trained_gate_reduces_dimensions_of_noise_in_other_sections() -> None:
    arguments = {"batch": 128, "reliability": False}
    fit(Gate, [sample(1)], 0.01, **arguments)  # the first step also imports parts of torch
    gate = fit(lambda: Gate(uses_genes=False), [sample(1), sample(2)], 4.0, **arguments)
    case = sample(3)
    assert correlation_with_second(apply(gate, case)[0], case) > 0.03 + correlation_with_second(case.u.numpy(), case)


def test_posterior_means_are_nearer_to_the_truth_than_data_and_prediction() -> None:
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=(3000, 4))
    truth = prediction + 0.5 * rng.normal(size=prediction.shape)
    first, second = (truth + rng.normal(size=truth.shape) for _ in range(2))
    mean, ratio = posterior_mean(
        (first + second) / 2, np.stack([first, second]), prediction, np.ones(3000), by_level=False
    )
    errors = [np.mean((x - truth) ** 2) for x in (mean, (first + second) / 2, prediction)]
    assert errors[0] < 0.9 * min(errors[1:])
    assert ratio.mean() == pytest.approx(0.5 / 0.25, rel=0.2)


def test_off_diagonal_elements() -> None:
    matrix = torch.arange(9.0).view(3, 3)
    assert off_diagonal(matrix).tolist() == [[1, 2], [3, 5], [6, 7]]
