"""The mean gradient over processes equals the gradient of the whole batch, for any split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import fit_noise_scale
from spacex.embedding.expectation import Points
from spacex.embedding.fit import build_autoencoder
from spacex.embedding.mixture import StudentMixture, noise_nu
from spacex.embedding.refinement.autoencoder import draw_mask
from spacex.embedding.refinement.boosting import target_distribution
from spacex.embedding.refinement.losses import Boosting, Reconstruction
from spacex.embedding.student_t import initial_parameters, l2_normalize_tensor, log_posterior


@pytest.fixture(scope="module")
def batch():
    images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=150, n_modules=3, depth=1.0))
    config = sx.Config(n_dims=6, genes_per_dim=5, fine_dims=4, epochs=1)
    model = build_autoencoder(images, 0, config, FitContext(torch.device("cpu")))
    maps = torch.from_numpy(images.residuals())
    mask = draw_mask(
        model.patch_of_pixel, len(model.encoder.pixels_of_patch), len(maps), patch_mask=0.5, pixel_mask=0.3,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return model, maps, mask


def objective(model, maps, kind, n):
    if kind == "reconstruction":
        return Reconstruction(model, n)
    direction = l2_normalize_tensor(model.encoder(maps).double().detach())
    strength, level = torch.linspace(1.0, 9.0, len(maps), dtype=torch.float64), torch.arange(len(maps)) % 2
    z = direction * strength[:, None]
    scale = fit_noise_scale(z.numpy(), z[::3].numpy() / 4, n_smooth=6)
    points = Points(scale.coordinates(z), level, torch.arange(len(z)) % 3 == 0)
    first = initial_parameters(points.x[[0, 20, 40]], scale.signal, noise_nu(points, 2))
    parameters = StudentMixture(iterations=3).fit(points, first).parameters_
    target = target_distribution(log_posterior(points.x, level, parameters), 2.0)
    return Boosting(model, n, parameters, scale, target, strength, level)


def gradients(module, maps, mask, parts):
    """Return the mean over parts of the gradients and of the losses."""
    module.zero_grad(set_to_none=True)
    losses = []
    for part in parts:
        genes = torch.arange(len(maps))[part]
        loss = module(maps[part], mask.take(part), (~mask.visible).sum(), genes, len(maps)) / len(parts)
        loss.backward()
        losses.append(float(loss.detach()))
    return [value.grad.numpy().copy() for value in module.parameters()], sum(losses)


@pytest.mark.parametrize("kind", ["reconstruction", "boosting"])
@pytest.mark.parametrize("borders", [(25,), (1, 30), (0, 60), (10, 10, 59)])
def test_parts_sum_to_the_batch(batch, kind, borders):
    model, maps, mask = batch
    whole, loss = gradients(objective(model, maps, kind, 1), maps, mask, [slice(0, len(maps))])
    edges = [0, *borders, len(maps)]
    parts = [slice(low, high) for low, high in pairwise(edges)]
    shared, total = gradients(objective(model, maps, kind, len(parts)), maps, mask, parts)
    assert total == pytest.approx(loss, rel=1e-5)
    for ours, theirs in zip(shared, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()))
    assert all(np.isfinite(value).all() for value in shared)


def test_means_and_weights_are_trained(batch):
    model, maps, _ = batch
    boosting = objective(model, maps, "boosting", 1)
    trained = {name for name, _ in boosting.named_parameters() if not name.startswith("model.")}
    assert trained == {"mean", "log_weight"}
    with torch.no_grad():
        boosting.log_weight += 3.0
        boosting.mean *= 2
    updated = boosting.updated_parameters()
    np.testing.assert_allclose(updated.mean, 2 * boosting.old.mean)
    np.testing.assert_allclose(updated.log_weight, boosting.old.log_weight, atol=1e-12)  # a constant has no effect
    for name in ("nu", "spread", "background", "log_amplitude"):
        np.testing.assert_array_equal(getattr(updated, name), getattr(boosting.old, name))
    assert not any(value.requires_grad for value in updated)
