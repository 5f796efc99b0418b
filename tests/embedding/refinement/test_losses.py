"""The mean over processes of the gradients of their parts is the gradient of the batch, whatever the parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import spacex as sx
from spacex.embedding import mixture as mx
from spacex.embedding.context import FitContext
from spacex.embedding.fit import build
from spacex.embedding.refinement.autoencoder import draw_mask
from spacex.embedding.refinement.boosting import l2_normalize_tensor, target_distribution
from spacex.embedding.refinement.losses import Boosting, Reconstruction


@pytest.fixture(scope="module")
def batch():
    images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=150, n_modules=3, depth=1.0))
    config = sx.Config(n_dims=6, genes_per_dim=5, fine_dims=4, epochs=1)
    model = build(images, images, FitContext.open(config, "cpu", 0, progress=False), 0)
    maps = torch.from_numpy(images.residuals())
    mask = draw_mask(
        model.owner, len(model.encoder.index), len(maps), patch_mask=0.5, pixel_mask=0.3,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return model, maps, mask


def objective(model, maps, kind, n):
    if kind == "reconstruction":
        return Reconstruction(model, n)
    z = l2_normalize_tensor(model.encoder(maps).double().detach())
    null = torch.linspace(0.01, 0.9, len(z), dtype=torch.float64)
    mixture = mx.StudentMixture().fit(z, mx.start(z[[0, 20, 40]], z, background=0.2), null, iterations=3)
    return Boosting(model, n, mixture, target_distribution(mixture.log_resp(z, null), 2.0), null)


def gradients(module, maps, mask, parts):
    """Mean over parts of the gradients, and of the losses."""
    module.zero_grad(set_to_none=True)
    losses = []
    for part in parts:
        genes = torch.arange(len(maps))[part]
        loss = module(maps[part], mask.part(part), (~mask.visible).sum(), genes, len(maps)) / len(parts)
        loss.backward()
        losses.append(float(loss.detach()))
    return [value.grad.numpy().copy() for value in module.parameters()], sum(losses)


@pytest.mark.parametrize("kind", ["reconstruction", "boosting"])
@pytest.mark.parametrize("borders", [(25,), (1, 30), (0, 60), (10, 10, 59)])
def test_parts_add_up_to_the_batch(batch, kind, borders):
    model, maps, mask = batch
    whole, loss = gradients(objective(model, maps, kind, 1), maps, mask, [slice(0, len(maps))])
    edges = [0, *borders, len(maps)]
    parts = [slice(low, high) for low, high in pairwise(edges)]
    shared, total = gradients(objective(model, maps, kind, len(parts)), maps, mask, parts)
    assert total == pytest.approx(loss, rel=1e-5)
    for ours, theirs in zip(shared, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()))
    assert all(np.isfinite(value).all() for value in shared)
