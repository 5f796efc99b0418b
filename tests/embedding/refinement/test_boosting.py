"""The target distribution of boosting, and the gradient of its loss."""

import numpy as np
import torch

from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.boosting import boosting_loss, target_distribution
from spacex.embedding.student_t import Parameters, e_step, initial_parameters, l2_normalize_tensor


def setting(seed=0, n=40, side=9, d=5, k=3):
    """Return a small autoencoder in double precision with a non-zero attention path, maps, a mixture and a target."""
    rng = np.random.default_rng(seed)
    pixel = np.argwhere(np.ones((side, side - 2)))
    index, owner = patch_index(pixel, np.zeros(len(pixel), dtype=int), 4)
    basis = np.linalg.qr(rng.normal(size=(len(pixel), d)))[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(index, basis[:, :3], np.ones(3), basis, d_model=8, n_layers=1, n_heads=2)
        model = MaskedAutoencoder(encoder, owner).double()
        torch.nn.init.normal_(model.encoder.channel_weights, std=0.1)
    maps = torch.from_numpy(rng.normal(size=(n, len(pixel))))
    with torch.no_grad():
        x = l2_normalize_tensor(model.encoder(maps))
        p = initial_parameters(x[:k].clone(), x, background=0.2)
        target = target_distribution(e_step(x, p)[0], 2.0)
    return model, maps, p, target


def loss_of(model, maps, p, target):
    return boosting_loss(model.encoder(maps), p, target)


def test_target_is_sharper_and_keeps_the_background():
    model, maps, p, target = setting()
    with torch.no_grad():
        posterior = e_step(l2_normalize_tensor(model.encoder(maps)), p)[0].exp()
    np.testing.assert_allclose(target.sum(1), 1.0, atol=1e-12)
    np.testing.assert_allclose(target[:, -1], posterior[:, -1], atol=1e-12)

    def entropy(q):
        modules = q[:, :-1] / q[:, :-1].sum(1, keepdim=True)
        return -torch.special.xlogy(modules, modules).sum(1).mean()

    assert entropy(target) < entropy(posterior)


def test_target_equals_the_published_formula_without_background():
    q = torch.tensor([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]], dtype=torch.float64)
    log_resp = torch.cat([torch.log(q), torch.full((3, 1), -torch.inf, dtype=torch.float64)], dim=1)
    weight = q**2 / q.sum(0)
    np.testing.assert_allclose(target_distribution(log_resp, 2.0)[:, :-1], weight / weight.sum(1, keepdim=True))


def test_loss_is_zero_at_the_posterior_and_positive_elsewhere():
    model, maps, p, target = setting()
    with torch.no_grad():
        z = model.encoder(maps)
        assert abs(float(boosting_loss(z, p, e_step(l2_normalize_tensor(z), p)[0].exp()))) < 1e-12
        assert float(boosting_loss(z, p, target)) > 0


def test_gradient_reaches_all_weights_of_encoder_and_mixture():
    model, maps, p, target = setting()
    free = [
        p.log_weight.clone().requires_grad_(),
        p.mean.clone().requires_grad_(),
        p.log_scale.clone().requires_grad_(),
    ]
    loss_of(model, maps, Parameters(*free, p.nu), target).backward()
    for name, weight in model.encoder.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name
    for value in free:
        assert float(value.grad.abs().max()) > 0


def test_gradient_agrees_with_finite_differences():
    model, maps, p, target = setting()
    mean = p.mean.clone().requires_grad_()
    loss_of(model, maps, p._replace(mean=mean), target).backward()
    weights = {
        "linear": model.encoder.linear,
        "channel_weights": model.encoder.channel_weights,
        "qkv": model.encoder.blocks[0].qkv.weight,
    }
    with torch.no_grad():
        for name, value, gradient in [(n, w, w.grad) for n, w in weights.items()] + [("mean", p.mean, mean.grad)]:
            at = np.unravel_index(int(gradient.abs().argmax()), gradient.shape)
            step, old = 1e-6, float(value[at])
            value[at] = old + step
            up = float(loss_of(model, maps, p, target))
            value[at] = old - step
            down = float(loss_of(model, maps, p, target))
            value[at] = old
            assert abs((up - down) / (2 * step) - float(gradient[at])) < 1e-6 + 1e-4 * abs(float(gradient[at])), name
