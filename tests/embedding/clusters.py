"""Points drawn from the mixture of modules and background, and its parameters, for the tests of mixtures."""

from __future__ import annotations

import numpy as np
import torch

from spacex.embedding.expectation import Points
from spacex.embedding.student_t import AMPLITUDES, Parameters, initial_parameters, module_variance


def random_parameters(
    k: int = 3, d: int = 4, n_levels: int = 2, seed: int = 0, *, nu: float = 8.0, spread: float = 0.02
) -> Parameters:
    """Return parameters of k modules in d dimensions, whose components and expression levels all differ."""
    rng = np.random.default_rng(seed)
    signal = torch.from_numpy(rng.dirichlet(np.full(d, 5.0)))
    nus = torch.linspace(nu, 2 * nu, n_levels, dtype=torch.float64)
    first = initial_parameters(torch.from_numpy(rng.normal(size=(k, d))), signal, nus, spread=spread)
    strong = first.chance_amplitude.numpy() > 1e-6
    chance_amplitude = np.where(strong, rng.uniform(1.0, 2.0, len(strong)), 1e-12)
    return first._replace(
        log_weight=torch.log(torch.from_numpy(rng.dirichlet(np.full(k, 5.0)))),
        mean_variance=torch.from_numpy(rng.uniform(0.0, 1e-3, (k, d))),
        log_amplitude=torch.log(torch.from_numpy(rng.dirichlet(np.full(len(AMPLITUDES), 2.0), size=n_levels))),
        background=torch.linspace(0.3, 0.7, n_levels, dtype=torch.float64),
        chance=torch.linspace(0.02, 0.1, n_levels, dtype=torch.float64),
        chance_module=torch.from_numpy(rng.dirichlet(np.full(k, 5.0))),
        chance_amplitude=torch.from_numpy(chance_amplitude / chance_amplitude.sum()),
    )


def draw_points(p: Parameters, n: int, n_null: int = 0, seed: int = 0) -> tuple[Points, np.ndarray]:
    """Draw n genes and n_null null genes from the mixture; return them and the module (n + n_null,), -1 for none."""
    rng = np.random.default_rng(seed)
    d = p.mean.shape[1]
    is_null = np.arange(n + n_null) >= n
    level = rng.integers(len(p.nu), size=n + n_null)
    in_background = is_null | (rng.random(n + n_null) < p.background.numpy()[level])
    is_noise = in_background & (rng.random(n + n_null) >= p.chance.numpy()[level])
    weight = np.where(in_background[:, None], p.chance_module.numpy(), p.log_weight.exp().numpy())
    prior = np.where(in_background[:, None], p.chance_amplitude.numpy(), p.log_amplitude.exp().numpy()[level])
    module, step = (np.array([rng.choice(len(row), p=row / row.sum()) for row in rows]) for rows in (weight, prior))
    amplitude = np.where(is_noise, 0.0, AMPLITUDES.numpy()[step])
    variance = np.stack([module_variance(p, a).numpy() for a in AMPLITUDES.tolist()])[step, module]
    variance = np.where(is_noise[:, None], 1.0, variance)
    nu = p.nu.numpy()[level][:, None]
    tail = np.sqrt(nu / rng.chisquare(nu))
    x = amplitude[:, None] * p.mean.numpy()[module] + tail * np.sqrt(variance) * rng.normal(size=(n + n_null, d))
    points = Points(torch.from_numpy(x), torch.from_numpy(level), torch.from_numpy(is_null))
    return points, np.where(in_background, -1, module)


def separated_parameters(
    k: int = 4, d: int = 12, n_levels: int = 2, *, background: float = 0.5, min_amplitude: float = 7.0
) -> Parameters:
    """Return parameters of k orthogonal modules of strong genes, beside a background that resembles no module."""
    signal = torch.full((d,), 1.0 / d, dtype=torch.float64)
    nu = torch.full((n_levels,), 20.0, dtype=torch.float64)
    p = initial_parameters(torch.eye(d, dtype=torch.float64)[:k], signal, nu, spread=0.02)
    prior = ((min_amplitude <= AMPLITUDES) & (AMPLITUDES < 100.0)).double() + 1e-12
    return p._replace(
        log_amplitude=torch.log(prior / prior.sum()).expand(n_levels, -1).clone(),
        background=torch.full((n_levels,), background, dtype=torch.float64),
        chance=torch.full((n_levels,), 1e-9, dtype=torch.float64),
    )


def calibration_error(probability: np.ndarray, is_right: np.ndarray, n_bins: int = 10) -> float:
    """Return the expected calibration error in bins of equally many points (Naeini et al. 2015)."""
    bins = np.array_split(np.argsort(probability, kind="stable"), n_bins)
    return float(sum(len(b) * abs(probability[b].mean() - is_right[b].mean()) for b in bins) / len(probability))
