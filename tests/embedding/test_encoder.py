"""The encoder starts at the linear initialization, is position-aware, and accepts any grid."""

import numpy as np
import pytest
import torch

from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder, draw_mask
from spacex.embedding.transform import noise_variance, signal_strength


def grid(height, width, seed=0, share=1.0):
    """Return the pixels (P, 2) of a grid, of which a fraction is tissue."""
    return np.argwhere(np.random.default_rng(seed).random((height, width)) < share)


def build(pixel, patch=4, d=6, depth=1, live=True, seed=0):
    index, owner = patch_index(pixel, np.zeros(len(pixel), dtype=int), patch)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(pixel), d)))[0].astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(index, basis[:, :-2], np.ones(d - 2, np.float32), basis, d_model=8, n_layers=depth, n_heads=2)
        if live and depth:
            torch.nn.init.normal_(encoder.channel_weights, std=0.5)
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
    assert (index < len(pixel)).any(axis=1).all(), "patches without tissue are dropped"


def test_patches_do_not_cross_sections():
    pixel = grid(4, 4)
    twice = np.concatenate([pixel, pixel])
    section = np.repeat([0, 1], len(pixel))
    _, owner = patch_index(twice, section, 8)
    assert not set(owner[section == 0]) & set(owner[section == 1])


def test_untrained_encoder_is_linear():
    pixel = grid(13, 9, share=0.8)
    model, maps = build(pixel, live=False), maps_of(pixel)
    torch.testing.assert_close(model.encoder(maps), maps @ model.encoder.linear)
    linear = model.encoder.linear
    torch.testing.assert_close(model.reconstruct(model.encoder(maps)), maps @ linear @ linear.T)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_shuffling_the_patches_changes_the_embedding(depth):
    pixel = grid(12, 12)
    model, maps = build(pixel, depth=depth), maps_of(pixel)
    index = model.encoder.pixels_of_patch
    shuffled = maps.clone()
    shuffled[:, index.flatten()] = maps[:, index.roll(1, dims=0).flatten()]
    before, after = model.encoder(maps), model.encoder(shuffled)
    assert (before - after).norm() > 0.3 * before.norm()
    if depth:  # also the attention path alone
        linear = model.encoder.linear
        attention = (before - maps @ linear) - (after - shuffled @ linear)
        assert attention.norm() > 0.1 * (before - maps @ linear).norm()


def test_patch_size_need_not_divide_the_grid():
    pixel = grid(13, 7, share=0.8)
    model, maps = build(pixel, patch=5), maps_of(pixel, n=16)
    generator = torch.Generator().manual_seed(0)
    n_patches = len(model.encoder.pixels_of_patch)
    mask = draw_mask(model.patch_of_pixel, n_patches, 16, patch_mask=0.5, pixel_mask=0.3, generator=generator)
    loss = model.loss(maps, mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


def test_patches_are_masked_per_batch_and_pixels_per_map():
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


def test_masked_pixels_do_not_affect_the_embedding():
    pixel = grid(12, 12)
    model, maps = build(pixel), maps_of(pixel)
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(
        model.patch_of_pixel, len(model.encoder.pixels_of_patch), 5, patch_mask=0.5, pixel_mask=0.3, generator=generator
    )
    other = torch.where(mask.visible, maps, maps + 100.0)
    embedding = model.encoder(maps * mask.visible, visible_share=mask.share, patches=mask.patches)
    torch.testing.assert_close(
        embedding, model.encoder(other * mask.visible, visible_share=mask.share, patches=mask.patches)
    )


def test_masking_leaves_the_linear_path_unbiased():
    pixel = grid(12, 12)
    model, maps = build(pixel, depth=0), maps_of(pixel, n=1).repeat(4000, 1)
    generator = torch.Generator().manual_seed(0)
    mask = draw_mask(
        model.patch_of_pixel,
        len(model.encoder.pixels_of_patch),
        4000,
        patch_mask=0.0,
        pixel_mask=0.5,
        generator=generator,
    )
    mean = model.encoder(maps * mask.visible, visible_share=mask.share).mean(0)
    torch.testing.assert_close(mean, (maps[0] @ model.encoder.linear), atol=0.08, rtol=0.05)


def test_signal_strength_is_the_weighted_energy_in_units_of_noise():
    pixel = grid(6, 7, share=0.9)
    encoder = build(pixel, d=6, depth=0).encoder
    maps = maps_of(pixel)
    inside = maps @ encoder.basis
    flat = signal_strength(maps, encoder.basis, torch.ones(4))
    torch.testing.assert_close(flat, (inside**2).mean(1) / noise_variance(maps, inside))
    first = signal_strength(maps, encoder.basis, torch.tensor([2.0, 0, 0, 0]))
    torch.testing.assert_close(first, inside[:, 0] ** 2 / noise_variance(maps, inside))
    torch.testing.assert_close(signal_strength(3 * maps, encoder.basis, torch.ones(4)), flat)
