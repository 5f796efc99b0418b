"""The encoder starts at the linear optimum, knows where things are, and takes any grid."""

import numpy as np
import pytest
import torch

from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder, draw_mask
from spacex.embedding.transform import noise, strength


def grid(height, width, seed=0, share=1.0):
    """Pixels (P, 2) of a grid of which a share is tissue."""
    keep = np.random.default_rng(seed).random((height, width)) < share
    return np.argwhere(keep)


def build(pixel, patch=4, d=6, depth=1, live=True, seed=0):
    index, owner = patch_index(pixel, np.zeros(len(pixel), dtype=int), patch)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(pixel), d)))[0].astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(index, basis[:, :-2], np.ones(d - 2, np.float32), basis, width=8, depth=depth, heads=2)
        if live and depth:
            torch.nn.init.normal_(encoder.what, std=0.5)
    return MaskedAutoencoder(encoder, owner)


def maps_of(pixel, n=5, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, len(pixel))).astype(np.float32))


@pytest.mark.parametrize(("height", "width", "patch"), [(7, 11, 4), (13, 5, 8), (3, 3, 8), (16, 16, 4), (1, 20, 8)])
def test_every_tissue_pixel_is_in_one_patch_of_any_grid(height, width, patch):
    pixel = grid(height, width, share=0.7)
    index, owner = patch_index(pixel, np.zeros(len(pixel), dtype=int), patch)
    inside = index[index < len(pixel)]
    assert sorted(inside) == list(range(len(pixel)))
    assert all(p in index[owner[p]] for p in range(len(pixel)))
    assert (index < len(pixel)).any(axis=1).all(), "a patch without tissue is no token"


def test_patches_do_not_cross_sections():
    pixel = grid(4, 4)
    twice = np.concatenate([pixel, pixel])
    section = np.repeat([0, 1], len(pixel))
    _, owner = patch_index(twice, section, 8)
    assert not set(owner[section == 0]) & set(owner[section == 1])


def test_it_starts_at_the_linear_optimum():
    pixel = grid(13, 9, share=0.8)
    model, maps = build(pixel, live=False), maps_of(pixel)
    torch.testing.assert_close(model.encoder(maps), maps @ model.encoder.linear)
    start = model.encoder.linear
    torch.testing.assert_close(model.reconstruct(model.encoder(maps)), maps @ start @ start.T)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_shuffling_the_patches_changes_the_embedding(depth):
    pixel = grid(12, 12)
    model, maps = build(pixel, depth=depth), maps_of(pixel)
    index = model.encoder.index
    shuffled = maps.clone()
    shuffled[:, index.flatten()] = maps[:, index.roll(1, dims=0).flatten()]
    before, after = model.encoder(maps), model.encoder(shuffled)
    assert (before - after).norm() > 0.3 * before.norm()
    if depth:  # the attention path alone sees it too
        linear = model.encoder.linear
        attention = (before - maps @ linear) - (after - shuffled @ linear)
        assert attention.norm() > 0.1 * (before - maps @ linear).norm()


def test_a_grid_that_no_patch_divides_trains():
    pixel = grid(13, 7, share=0.8)
    model, maps = build(pixel, patch=5), maps_of(pixel, n=16)
    generator = torch.Generator().manual_seed(0)
    n_patches = len(model.encoder.index)
    mask = draw_mask(model.owner, n_patches, 16, patch_mask=0.5, pixel_mask=0.3, generator=generator)
    loss = model.loss(maps, mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


def test_masks_hide_patches_for_all_and_pixels_for_each():
    pixel = grid(16, 16)
    index, owner = patch_index(pixel, np.zeros(len(pixel), dtype=int), 4)
    owner = torch.from_numpy(owner)
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(owner, len(index), 200, patch_mask=0.5, pixel_mask=0.25, generator=generator)
    assert len(mask.patches) == 8
    hidden = ~torch.isin(owner, mask.patches)
    assert not mask.visible[:, hidden].any()
    assert abs(float(mask.visible[:, ~hidden].float().mean()) - 0.75) < 0.01
    assert (mask.visible[0] != mask.visible[1]).any()
    torch.testing.assert_close(mask.share[:, 0], mask.visible.float().mean(1))


def test_what_is_hidden_is_not_seen():
    pixel = grid(12, 12)
    model, maps = build(pixel), maps_of(pixel)
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(model.owner, len(model.encoder.index), 5, patch_mask=0.5, pixel_mask=0.3, generator=generator)
    other = torch.where(mask.visible, maps, maps + 100.0)
    seen = model.encoder(maps * mask.visible, keep=mask.share, patches=mask.patches)
    torch.testing.assert_close(seen, model.encoder(other * mask.visible, keep=mask.share, patches=mask.patches))


def test_masking_leaves_the_linear_path_unbiased():
    pixel = grid(12, 12)
    model, maps = build(pixel, depth=0), maps_of(pixel, n=1).repeat(4000, 1)
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(model.owner, len(model.encoder.index), 4000, patch_mask=0.0, pixel_mask=0.5, generator=generator)
    mean = model.encoder(maps * mask.visible, keep=mask.share).mean(0)
    torch.testing.assert_close(mean, (maps[0] @ model.encoder.linear), atol=0.08, rtol=0.05)


def test_strength_is_the_trusted_energy_in_units_of_noise():
    pixel = grid(6, 7, share=0.9)
    encoder = build(pixel, d=6, depth=0).encoder
    maps = maps_of(pixel)
    inside = maps @ encoder.basis
    flat = strength(maps, encoder.basis, torch.ones(4))
    torch.testing.assert_close(flat, (inside**2).mean(1) / noise(maps, inside))
    first = strength(maps, encoder.basis, torch.tensor([2.0, 0, 0, 0]))
    torch.testing.assert_close(first, inside[:, 0] ** 2 / noise(maps, inside))
    torch.testing.assert_close(strength(3 * maps, encoder.basis, torch.ones(4)), flat)
