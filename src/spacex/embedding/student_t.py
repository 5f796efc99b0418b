"""Formulas of a mixture of Student's t distributions for modules of genes and a background without a pattern.

A point x is the pattern of a gene in coordinates in which genes without a pattern have mean zero and variance one
(`spacex.embedding.coordinates`). Module k has a mean μ_k, and a gene of the module an unknown amplitude a:

    x | k, a ~ t_ν(a μ_k, diag(1 + a² (τ² s + v_k + δ² μ_k²)))
    x | background ~ t_ν(0, I), or, by chance, as in a module

Relative to the noise variance of one, τ² is the spread of genes around the mean of their module, with a share s of
each dimension; v_k is the variance of the estimate of μ_k; δ² is the variance of the logarithm of the amplitude within
a step of the grid over which amplitudes are integrated. Strength and direction of a pattern thus enter one likelihood
ratio, which is bounded only by the probability that a gene without a pattern resembles the module. The degrees of
freedom ν, the prior of the amplitudes and the weight of the background depend on the expression level. Everything is in
log space and double precision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

AMPLITUDES = torch.from_numpy(np.geomspace(2.0, 512.0, 10))
"""Grid of amplitudes (J,), in standard deviations of the noise."""
STEP_VARIANCE = math.log(AMPLITUDES[1] / AMPLITUDES[0]) ** 2 / 12.0
"""Variance of the logarithm of an amplitude that is uniform within a step of the grid."""
MIN_CHANCE_AMPLITUDE = 5.0
"""Minimum amplitude of the part of the background that resembles a module; weaker ones do not differ from noise."""


class Parameters(NamedTuple):
    """Parameters of K modules in D dimensions, for L expression levels and J amplitudes."""

    log_weight: Tensor  # (K,) weights of the modules
    mean: Tensor  # (K, D)
    mean_variance: Tensor  # (K, D) variance of the estimated means
    spread: Tensor  # () squared spread of genes around the mean of their module, relative to the amplitude
    signal: Tensor  # (D,) share of each dimension in the variance of the signal
    log_amplitude: Tensor  # (L, J) prior of the amplitudes
    nu: Tensor  # (L,) degrees of freedom
    background: Tensor  # (L,) weight of the background
    chance: Tensor  # (L,) probability that a gene without a pattern resembles a module
    chance_module: Tensor  # (K,) which module
    chance_amplitude: Tensor  # (J,) with which amplitude

    @property
    def n_modules(self) -> int:
        """Number of modules K."""
        return len(self.log_weight)


def l2_normalize_tensor(z: Tensor) -> Tensor:
    """Scale the rows of a tensor (N, D) to unit length; rows of zeros stay zero. See `spacex.stats.l2_normalize`."""
    return z / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp(min=1e-12)


def module_variance(p: Parameters, amplitude: float) -> Tensor:
    """Return the variances (K, D) of a module at one amplitude: noise, spread, and uncertainty of mean and amplitude.

    Strong genes deviate from their module in all dimensions, hence the root of the signal: without it, MBP was in
    another module than PLP1 and MOBP on a section of the cortex, at a weighted cosine of 0.998.
    """
    share = p.signal.sqrt()
    relative = p.spread * share / share.sum() + p.mean_variance + STEP_VARIANCE * p.mean**2
    return 1.0 + amplitude**2 * relative


def squared_distance(x: Tensor, p: Parameters, amplitude: float) -> Tensor:
    """Return squared Mahalanobis distances (N, K) of points (N, D) from the modules at one amplitude."""
    precision = 1.0 / module_variance(p, amplitude)
    scaled = p.mean * precision
    square = (x**2) @ precision.T - 2 * amplitude * x @ scaled.T + amplitude**2 * (p.mean * scaled).sum(1)
    return square.clamp(min=0.0)


def log_t(square: Tensor, nu: Tensor, n_dims: int) -> Tensor:
    """Return the log density of a multivariate t distribution with unit scale, from squared distances (N, ...).

    `nu` (N,) are degrees of freedom. Kotz & Nadarajah 2004, equation 1.1; equals ``scipy.stats.multivariate_t.logpdf``.
    """
    nu = nu.reshape(-1, *[1] * (square.ndim - 1))
    half = 0.5 * (nu + n_dims)
    constant = torch.lgamma(half) - torch.lgamma(0.5 * nu) - 0.5 * n_dims * torch.log(nu * math.pi)
    return constant - half * torch.log1p(square / nu)


def log_module_density(x: Tensor, level: Tensor, p: Parameters, squares: list[Tensor] | None = None) -> Tensor:
    """Return the log density (N, K, J) of points (N, D) of expression levels (N,) for each module and amplitude.

    `squares` are the results of `squared_distance` for every amplitude, if known.
    """
    parts = []
    for j, amplitude in enumerate(AMPLITUDES.tolist()):
        square = squared_distance(x, p, amplitude) if squares is None else squares[j]
        log_determinant = torch.log(module_variance(p, amplitude)).sum(1)
        parts.append(log_t(square, p.nu[level], x.shape[1]) - 0.5 * log_determinant)
    return torch.stack(parts, dim=2)


def log_chance(density: Tensor, level: Tensor, p: Parameters) -> Tensor:
    """Return the log density (N, K, J) of genes without a pattern that resemble a module."""
    share = torch.log(p.chance)[level][:, None, None]
    return density + share + torch.log(p.chance_module)[:, None] + torch.log(p.chance_amplitude)


def log_noise(x: Tensor, level: Tensor, p: Parameters) -> Tensor:
    """Return the log density (N,) of genes without a pattern that resemble no module."""
    return log_t((x**2).sum(1), p.nu[level], x.shape[1]) + torch.log1p(-p.chance)[level]


class LogJoint(NamedTuple):
    """Log densities of points under the modules, with the weights of modules and amplitudes, and the background."""

    module: Tensor  # (N, K, J)
    background: Tensor  # (N,)
    chance: Tensor  # (N, K, J) part of the background that resembles a module
    weight: Tensor  # (N,) weight of the background

    @property
    def score(self) -> Tensor:
        """Log likelihood ratio (N,) of all modules to the background."""
        return torch.logsumexp(self.module.flatten(1), dim=1) - self.background

    @property
    def log_likelihood(self) -> Tensor:
        """Log likelihood (N,) of the mixture of modules and background."""
        modules = self.background + self.score + torch.log1p(-self.weight)
        return torch.logaddexp(modules, self.background + torch.log(self.weight))


def log_joint(x: Tensor, level: Tensor, p: Parameters, squares: list[Tensor] | None = None) -> LogJoint:
    """Return the log densities of points (N, D) of expression levels (N,); `squares` as in `log_module_density`."""
    density = log_module_density(x, level, p, squares)
    chance = log_chance(density, level, p)
    background = torch.logaddexp(log_noise(x, level, p), torch.logsumexp(chance.flatten(1), dim=1))
    module = density + p.log_weight[:, None] + p.log_amplitude[level][:, None, :]
    return LogJoint(module, background, chance, p.background[level])


def log_posterior(x: Tensor, level: Tensor, p: Parameters) -> Tensor:
    """Return the log posterior (N, K + 1) of the modules and, last, the background."""
    joint = log_joint(x, level, p)
    modules = torch.logsumexp(joint.module, dim=2) + torch.log1p(-joint.weight)[:, None]
    background = joint.background + torch.log(joint.weight)
    return torch.log_softmax(torch.cat([modules, background[:, None]], dim=1), dim=1)


def normalized_chance_amplitude(weight: Tensor) -> Tensor:
    """Return probabilities (J,) from weights (J,) of amplitudes; those below `MIN_CHANCE_AMPLITUDE` get none."""
    strong = (AMPLITUDES.to(weight) >= MIN_CHANCE_AMPLITUDE).to(weight)
    return (weight * strong + 1e-12) / (weight * strong + 1e-12).sum()


def initial_parameters(centers: Tensor, signal: Tensor, nu: Tensor, *, spread: float = 0.02) -> Parameters:
    """Return initial parameters from centers (K, D), signal shares (D,) and degrees of freedom (L,) of the noise."""
    k, n_levels, n_amplitudes = len(centers), len(nu), len(AMPLITUDES)
    return Parameters(
        log_weight=centers.new_full((k,), -math.log(k)),
        mean=l2_normalize_tensor(centers),
        mean_variance=torch.zeros_like(centers),
        spread=centers.new_tensor(spread),
        signal=signal,
        log_amplitude=centers.new_full((n_levels, n_amplitudes), -math.log(n_amplitudes)),
        nu=nu,
        background=centers.new_full((n_levels,), 0.5),
        chance=centers.new_full((n_levels,), 0.05),
        chance_module=centers.new_full((k,), 1.0 / k),
        chance_amplitude=normalized_chance_amplitude(centers.new_ones(n_amplitudes)),
    )
