"""The target distribution of boosting, and the gradient of its loss."""

import numpy as np
import torch

from spacex.embedding.encoder import Encoder, patch_index
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.boosting import boosting_loss, target_distribution
from spacex.embedding.student_t import initial_parameters, l2_normalize_tensor, log_posterior

LEVEL = torch.arange(40) % 2


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
        x = coordinates(model, maps)
        signal, nu = torch.full((d,), 1 / d, dtype=torch.float64), torch.tensor([8.0, 20.0], dtype=torch.float64)
        p = initial_parameters(x[:k].clone(), signal, nu)
        target = target_distribution(log_posterior(x, LEVEL, p), 2.0)
    return model, maps, p, target


def coordinates(model, maps):
    """Return coordinates (N, D) of patterns of strengths from 1 to 12."""
    strength = torch.linspace(1.0, 12.0, len(maps), dtype=torch.float64)
    return l2_normalize_tensor(model.encoder(maps)) * strength[:, None]


def loss_of(model, maps, p, target):
    return boosting_loss(coordinates(model, maps), LEVEL, p, target)


def test_target_is_sharper_and_keeps_the_background():
    model, maps, p, target = setting()
    with torch.no_grad():
        posterior = log_posterior(coordinates(model, maps), LEVEL, p).exp()
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
        x = coordinates(model, maps)
        assert abs(float(boosting_loss(x, LEVEL, p, log_posterior(x, LEVEL, p).exp()))) < 1e-12
        assert float(boosting_loss(x, LEVEL, p, target)) > 0
        whole = float(boosting_loss(x, LEVEL, p, target))
        parts = [
            boosting_loss(x[part], LEVEL[part], p, target[part], n_genes=40) for part in (slice(15), slice(15, 40))
        ]
        np.testing.assert_allclose(sum(map(float, parts)), whole)


def test_gradient_reaches_all_weights_of_encoder_and_mixture():
    model, maps, p, target = setting()
    free = [p.log_weight.clone().requires_grad_(), p.mean.clone().requires_grad_()]
    loss_of(model, maps, p._replace(log_weight=free[0], mean=free[1]), target).backward()
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
