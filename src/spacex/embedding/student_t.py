"""Formulas of a mixture of spherical Student's t distributions with a fixed background component.

Points are directions of gene embeddings on the unit sphere. Modules are heavy-tailed clusters; the background, for
genes without a pattern, whose directions are isotropic, is centered at the origin with fixed scale and weight.
Everything is in log space and double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.optimize import brentq
from scipy.special import digamma
from torch import Tensor

BACKGROUND_NU = 1000.0
"""Degrees of freedom of the background: practically a normal distribution."""
INITIAL_NU = 30.0


class Parameters(NamedTuple):
    """Parameters of K + 1 components in D dimensions: the modules and, last, the background."""

    log_weight: Tensor  # (K + 1,)
    mean: Tensor  # (K + 1, D)
    log_scale: Tensor  # (K + 1,) log of the squared scale
    nu: Tensor  # (K + 1,)


class Statistics(NamedTuple):
    """Expected sufficient statistics of the complete data (Peel & McLachlan 2000, section 4)."""

    total: Tensor  # (K + 1,) sum of responsibilities
    weight: Tensor  # (K + 1,) sum of responsibilities times latent precision
    first: Tensor  # (K + 1, D)
    second: Tensor  # (K + 1,)
    tail: Tensor  # (K + 1,) sum of responsibilities times (log u - u)


@dataclass(frozen=True)
class Prior:
    """Conjugate prior of the modules.

    Attributes
    ----------
    concentration
        Of the Dirichlet distribution of the weights.
    mean_strength
        Precision of the normal distribution of the means, relative to that of a point.
    scale_shape, scale_rate
        Of the inverse gamma distribution of the squared scales.
    """

    concentration: float = 2.0
    mean_strength: float = 0.01
    scale_shape: float = 2.0
    scale_rate: float = 0.01


def l2_normalize_tensor(z: Tensor) -> Tensor:
    """Scale the rows of a tensor (N, D) to unit length; rows of zeros stay zero. See `spacex.stats.l2_normalize`."""
    return z / torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp(min=1e-12)


def squared_distance(x: Tensor, p: Parameters) -> Tensor:
    """Return squared Mahalanobis distances (N, K + 1) of points (N, D)."""
    square = (x**2).sum(1, keepdim=True) - 2 * x @ p.mean.T + (p.mean**2).sum(1)
    return square.clamp(min=0.0) * torch.exp(-p.log_scale)


def log_density(x: Tensor, p: Parameters) -> Tensor:
    """Return the log density (N, K + 1) of the multivariate t distribution with scale matrix scale^2 I.

    Kotz & Nadarajah 2004, equation 1.1; equals ``scipy.stats.multivariate_t.logpdf``.
    """
    d = x.shape[1]
    half = 0.5 * (p.nu + d)
    constant = torch.lgamma(half) - torch.lgamma(0.5 * p.nu) - 0.5 * d * (torch.log(p.nu * math.pi) + p.log_scale)
    return constant - half * torch.log1p(squared_distance(x, p) / p.nu)


def e_step(x: Tensor, p: Parameters, null: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return log responsibilities (N, K + 1) and log likelihood (N,) of points (N, D).

    `null` (N,) in (0, 1) is a second observation of each point, the p-value of its signal strength without a pattern;
    given the component it is independent of the direction. Its likelihood is `null` under the background and 1 - `null`
    under every module.
    """
    joint = p.log_weight + log_density(x, p)
    if null is not None:
        strength = torch.log1p(-null)[:, None].expand(-1, joint.shape[1] - 1)
        joint = joint + torch.cat([strength, torch.log(null)[:, None]], dim=1)
    log_likelihood = torch.logsumexp(joint, dim=1)
    return joint - log_likelihood[:, None], log_likelihood


def statistics(x: Tensor, p: Parameters, log_resp: Tensor) -> Statistics:
    """Return expected sufficient statistics; u = (nu + D) / (nu + distance) (Peel & McLachlan 2000, eq. 18)."""
    resp = log_resp.exp()
    u = (p.nu + x.shape[1]) / (p.nu + squared_distance(x, p))
    weighted = resp * u
    second = weighted.T @ (x**2).sum(1)
    tail = (resp * (torch.log(u) - u)).sum(0)
    return Statistics(resp.sum(0), weighted.sum(0), weighted.T @ x, second, tail)


def solve_nu(tail: float, old: float, d: int, bounds: tuple[float, float]) -> float:
    """Return the degrees of freedom that maximize the expected log likelihood, within bounds.

    Root of Peel & McLachlan 2000, eq. 30. `tail` is the mean of log u - u under the responsibilities. The derivative
    decreases with nu, so that the nearer bound is the maximum if the root is outside.
    """
    rest = 1 + tail + digamma((old + d) / 2) - math.log((old + d) / 2)

    def derivative(nu: float) -> float:
        return float(-digamma(nu / 2) + math.log(nu / 2) + rest)

    low, high = bounds
    if derivative(low) <= 0:
        return low
    if derivative(high) >= 0:
        return high
    return float(brentq(derivative, low, high, xtol=1e-10))


def module_log_weight(free: Tensor, p: Parameters) -> Tensor:
    """Return log weights (K,) of the modules, proportional to exp(free), for the fixed weight of the background."""
    return torch.log_softmax(free, 0) + torch.log1p(-p.log_weight[-1].exp())


def m_step(s: Statistics, p: Parameters, prior: Prior, *, tied: bool, nu_range: tuple[float, float]) -> Parameters:
    """Return the posterior mode of the parameters given the expected statistics; the background is unchanged."""
    d = p.mean.shape[1]
    weight = s.total[:-1] + prior.concentration - 1
    log_weight = torch.cat([module_log_weight(torch.log(weight), p), p.log_weight[-1:]])
    mean = s.first[:-1] / (s.weight[:-1] + prior.mean_strength)[:, None]
    spread = s.second[:-1] - 2 * (mean * s.first[:-1]).sum(1) + s.weight[:-1] * (mean**2).sum(1)
    spread = spread.clamp(min=0.0) + prior.mean_strength * (mean**2).sum(1)
    count, dims = s.total[:-1], float(d)
    if tied:
        # The prior of the shared scale enters once, those of the means once per component.
        freedom = count.sum() * dims + len(count) * dims + 2 * prior.scale_shape + 2
        square = ((spread.sum() + 2 * prior.scale_rate) / freedom).expand(len(count))
    else:
        square = (spread + 2 * prior.scale_rate) / (count * dims + dims + 2 * prior.scale_shape + 2)
    nu = _new_nu(s, p, d, tied, nu_range)
    return Parameters(
        log_weight,
        torch.cat([mean, p.mean[-1:]]),
        torch.cat([torch.log(square), p.log_scale[-1:]]),
        torch.cat([nu, p.nu[-1:]]),
    )


def _new_nu(s: Statistics, p: Parameters, d: int, tied: bool, bounds: tuple[float, float]) -> Tensor:
    """Return degrees of freedom (K,) of the modules: from one equation for all if tied, else from one each."""
    old, count, tail = p.nu[:-1].tolist(), s.total[:-1], s.tail[:-1]
    if tied:
        shared = solve_nu(float(tail.sum() / count.sum().clamp(min=1e-12)), old[0], d, bounds)
        return p.nu.new_full((len(old),), shared)
    mean_tail = (tail / count.clamp(min=1e-12)).tolist()
    return p.nu.new_tensor([solve_nu(t, o, d, bounds) for t, o in zip(mean_tail, old, strict=True)])


def log_prior(p: Parameters, prior: Prior, *, tied: bool) -> Tensor:
    """Return the log prior density of the parameters of the modules, up to a constant."""
    mean, log_scale = p.mean[:-1], p.log_scale[:-1]
    d = mean.shape[1]
    weights = (prior.concentration - 1) * p.log_weight[:-1].sum()
    means = -0.5 * (prior.mean_strength * (mean**2).sum(1) * torch.exp(-log_scale) + d * log_scale).sum()
    scale = log_scale[:1] if tied else log_scale
    scales = (-(prior.scale_shape + 1) * scale - prior.scale_rate * torch.exp(-scale)).sum()
    return weights + means + scales


def initial_parameters(centers: Tensor, x: Tensor, *, background: float = 0.05) -> Parameters:
    """Return initial parameters from centers (K, D), points (N, D) and the weight of the background.

    The scale is that of the points around their nearest center.
    """
    k, d = centers.shape
    nearest = torch.cdist(x, centers).min(dim=1).values.pow(2).median().clamp(min=1e-6) / d
    mean = torch.cat([centers, centers.new_zeros(1, d)])
    log_scale = torch.log(torch.cat([nearest.expand(k), centers.new_full((1,), 1.0 / d)]))
    nu = torch.cat([centers.new_full((k,), INITIAL_NU), centers.new_full((1,), BACKGROUND_NU)])
    log_weight = torch.log(
        torch.cat([centers.new_full((k,), (1 - background) / k), centers.new_full((1,), background)])
    )
    return Parameters(log_weight, mean, log_scale, nu)
