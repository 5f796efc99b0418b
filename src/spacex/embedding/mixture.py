"""A mixture of spherical Student's t distributions, fitted by MAP-EM, with a background component.

The formulas are free functions on a tuple of parameters; `StudentMixture` owns the story of a fit.
All is in log space and double precision. Directions of genes are points on the unit sphere: modules are
heavy-tailed clouds on it, and genes without a pattern, whose directions are isotropic, belong to the background,
a component centred at the origin whose place, scale and weight are given and stay as they are.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import digamma
from torch import Tensor

from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup

logger = logging.getLogger("spacex")

BACKGROUND_NU = 1000.0


class Parameters(NamedTuple):
    """Parameters of K modules and, last, the background: K + 1 components in D dimensions."""

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
    """Conjugate prior: Dirichlet on weights, normal on means, inverse gamma on squared scales."""

    concentration: float = 2.0
    mean_strength: float = 0.01
    scale_shape: float = 2.0
    scale_rate: float = 0.01


def squared_distance(x: Tensor, p: Parameters) -> Tensor:
    """Mahalanobis distances (N, K + 1) of points (N, D)."""
    square = (x**2).sum(1, keepdim=True) - 2 * x @ p.mean.T + (p.mean**2).sum(1)
    return square.clamp(min=0.0) * torch.exp(-p.log_scale)


def log_density(x: Tensor, p: Parameters) -> Tensor:
    """Log density (N, K + 1) of the multivariate t distribution with covariance scale^2 I.

    Kotz & Nadarajah 2004, equation 1.1; equals ``scipy.stats.multivariate_t.logpdf``.
    """
    d = x.shape[1]
    half = 0.5 * (p.nu + d)
    constant = torch.lgamma(half) - torch.lgamma(0.5 * p.nu) - 0.5 * d * (torch.log(p.nu * math.pi) + p.log_scale)
    return constant - half * torch.log1p(squared_distance(x, p) / p.nu)


def e_step(x: Tensor, p: Parameters, null: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Log responsibilities (N, K + 1) and log likelihood (N,) of points (N, D).

    `null` (N,) in (0, 1) is a second observation of each point, independent of its direction given the component: how
    well the background explains the strength of its signal. Its likelihood is `null` under the background and
    1 - `null` under every module.
    """
    joint = p.log_weight + log_density(x, p)
    if null is not None:
        strength = torch.log1p(-null)[:, None].expand(-1, joint.shape[1] - 1)
        joint = joint + torch.cat([strength, torch.log(null)[:, None]], dim=1)
    evidence = torch.logsumexp(joint, dim=1)
    return joint - evidence[:, None], evidence


def statistics(x: Tensor, p: Parameters, log_resp: Tensor) -> Statistics:
    """Expected sufficient statistics; u = (nu + D) / (nu + distance) (Peel & McLachlan 2000, eq. 18)."""
    resp = log_resp.exp()
    u = (p.nu + x.shape[1]) / (p.nu + squared_distance(x, p))
    weighted = resp * u
    second = weighted.T @ (x**2).sum(1)
    tail = (resp * (torch.log(u) - u)).sum(0)
    return Statistics(resp.sum(0), weighted.sum(0), weighted.T @ x, second, tail)


def summed(group: ProcessGroup, *parts: Tensor) -> tuple[Tensor, ...]:
    """Sums over a process group of tensors in double precision, by one exchange through the processor's memory."""
    if group.size == 1:
        return parts
    flat = group.all_reduce(torch.cat([part.flatten() for part in parts]).cpu().numpy())
    pieces = torch.from_numpy(flat).to(parts[0].device).split([part.numel() for part in parts])
    return tuple(piece.view_as(part) for piece, part in zip(pieces, parts, strict=True))


def solve_nu(tail: float, old: float, d: int, bounds: tuple[float, float]) -> float:
    """Degrees of freedom that maximise the expected log likelihood, within bounds.

    `tail` is the mean of log u - u under the responsibilities. Root of Peel & McLachlan 2000, eq. 30; the left side
    falls with nu, so that outside the bounds the nearer bound is the maximum.
    """
    rest = 1 + tail + digamma((old + d) / 2) - math.log((old + d) / 2)

    def slope(nu: float) -> float:
        return float(-digamma(nu / 2) + math.log(nu / 2) + rest)

    low, high = bounds
    if slope(low) <= 0:
        return low
    if slope(high) >= 0:
        return high
    return float(brentq(slope, low, high, xtol=1e-10))


def module_log_weight(free: Tensor, p: Parameters) -> Tensor:
    """Log weights (K,) of the modules, proportional to exp(free), that leave the background its weight."""
    return torch.log_softmax(free, 0) + torch.log1p(-p.log_weight[-1].exp())


def m_step(s: Statistics, p: Parameters, prior: Prior, *, tied: bool, nu_range: tuple[float, float]) -> Parameters:
    """Posterior mode of the parameters given the expected statistics; the background is kept."""
    d = p.mean.shape[1]
    weight = s.total[:-1] + prior.concentration - 1
    log_weight = torch.cat([module_log_weight(torch.log(weight), p), p.log_weight[-1:]])
    mean = s.first[:-1] / (s.weight[:-1] + prior.mean_strength)[:, None]
    spread = s.second[:-1] - 2 * (mean * s.first[:-1]).sum(1) + s.weight[:-1] * (mean**2).sum(1)
    spread = spread.clamp(min=0.0) + prior.mean_strength * (mean**2).sum(1)
    count, dims = s.total[:-1], float(d)
    if tied:
        # One scale: the prior on it enters once, the priors on the means once a component.
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
    """Degrees of freedom (K,) of the modules: one equation for all where tied, else one each."""
    old, count, tail = p.nu[:-1].tolist(), s.total[:-1], s.tail[:-1]
    if tied:
        shared = solve_nu(float(tail.sum() / count.sum().clamp(min=1e-12)), old[0], d, bounds)
        return p.nu.new_full((len(old),), shared)
    mean_tail = (tail / count.clamp(min=1e-12)).tolist()
    return p.nu.new_tensor([solve_nu(t, o, d, bounds) for t, o in zip(mean_tail, old, strict=True)])


def log_prior(p: Parameters, prior: Prior, *, tied: bool) -> Tensor:
    """Log density of the prior at the parameters of the modules, up to a constant."""
    mean, log_scale = p.mean[:-1], p.log_scale[:-1]
    d = mean.shape[1]
    weights = (prior.concentration - 1) * p.log_weight[:-1].sum()
    means = -0.5 * (prior.mean_strength * (mean**2).sum(1) * torch.exp(-log_scale) + d * log_scale).sum()
    scale = log_scale[:1] if tied else log_scale
    scales = (-(prior.scale_shape + 1) * scale - prior.scale_rate * torch.exp(-scale)).sum()
    return weights + means + scales


def start(centers: Tensor, x: Tensor, *, background: float = 0.05) -> Parameters:
    """First parameters: given centres, the scale of the points around the nearest, a background of given weight."""
    k, d = centers.shape
    nearest = torch.cdist(x, centers).min(dim=1).values.pow(2).median().clamp(min=1e-6) / d
    mean = torch.cat([centers, centers.new_zeros(1, d)])
    log_scale = torch.log(torch.cat([nearest.expand(k), centers.new_full((1,), 1.0 / d)]))
    nu = torch.cat([centers.new_full((k,), 30.0), centers.new_full((1,), BACKGROUND_NU)])
    log_weight = torch.log(
        torch.cat([centers.new_full((k,), (1 - background) / k), centers.new_full((1,), background)])
    )
    return Parameters(log_weight, mean, log_scale, nu)


class StudentMixture:
    """MAP-EM for a mixture of spherical Student's t distributions and a background.

    Parameters
    ----------
    scale
        ``"tied"``: one scale and one number of degrees of freedom for all modules; ``"spherical"``: one each.
    prior
        Conjugate prior of the parameters.
    nu_range
        Bounds of the degrees of freedom.
    iterations, tolerance
        Most iterations, and the gain of the objective per point at which they stop.

    Attributes
    ----------
    parameters_
        Fitted `Parameters`.
    objective_
        Log posterior after every iteration, up to a constant; it never falls except where a component was re-seeded.
    reseeded_
        Iterations at which an empty component was placed anew.
    """

    def __init__(
        self,
        *,
        scale: Literal["tied", "spherical"] = "tied",
        prior: Prior | None = None,
        nu_range: tuple[float, float] = (3.0, 200.0),
        iterations: int = 200,
        tolerance: float = 1e-6,
    ):
        self.scale = scale
        self.prior = prior or Prior()
        self.nu_range = nu_range
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(
        self,
        x: Tensor,
        first: Parameters,
        null: Tensor | None = None,
        *,
        iterations: int | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> StudentMixture:
        """Fit to points (N, D) from the parameters `first`, as `start` gives them; `null` as in `e_step`.

        `iterations`, where given, stands in for that of the constructor: `resume` can go on from there. In a process
        group each
        process hands in points of its own; the fit is that of all of them, and the same in every process.
        """
        self.parameters_ = first
        self.objective_: list[float] = []
        self.reseeded_: list[int] = []
        return self.resume(x, null, self.iterations if iterations is None else iterations, group=group)

    def resume(
        self, x: Tensor, null: Tensor | None, iterations: int, *, group: ProcessGroup = SINGLE_PROCESS
    ) -> StudentMixture:
        """Go on from the present parameters, to at most so many iterations in all."""
        p, tied = self.parameters_, self.scale == "tied"
        n_points = int(group.all_reduce(np.array([float(len(x))]))[0])
        log_resp, evidence = e_step(x, p, null)
        for step in range(len(self.objective_), iterations):
            expected = Statistics(*summed(group, *statistics(x, p, log_resp)))
            p = m_step(expected, p, self.prior, tied=tied, nu_range=self.nu_range)
            log_resp, evidence = e_step(x, p, null)
            own = evidence.sum()
            if group.rank == 0:  # the prior counts once, and its last bit is the first process's for all
                own = own + log_prior(p, self.prior, tied=tied)
            objective, total = summed(group, own, log_resp[:, :-1].exp().sum(0))
            self.objective_.append(float(objective))
            empty = total < 1.0
            # Twice at most: a mixture with more components than the points carry keeps empty ones.
            if bool(empty.any()) and len(self.reseeded_) < 2:
                p = self._reseed(_worst(x, evidence, int(empty.sum()), group), p, empty, step)
                log_resp, evidence = e_step(x, p, null)
            elif step and self.objective_[-1] - self.objective_[-2] < self.tolerance * n_points:
                break
        self.parameters_ = p
        return self

    def _reseed(self, worst: Tensor, p: Parameters, empty: Tensor, step: int) -> Parameters:
        """Move empty components to the points that the mixture explains worst."""
        which = torch.nonzero(empty).flatten()[: len(worst)]
        logger.info("mixture: %d empty component(s) placed anew at iteration %d", len(which), step)
        self.reseeded_.append(step)
        mean, log_weight = p.mean.clone(), p.log_weight.clone()
        mean[which] = worst
        log_weight[which] = log_weight[:-1].max()
        log_weight[:-1] = module_log_weight(log_weight[:-1], p)
        return p._replace(mean=mean, log_weight=log_weight)

    def log_resp(self, x: Tensor, null: Tensor | None = None) -> Tensor:
        """Log responsibilities (N, K + 1) of points (N, D); the background is last; `null` as in `e_step`."""
        return e_step(x, self.parameters_, null)[0]


def _worst(x: Tensor, evidence: Tensor, n: int, group: ProcessGroup) -> Tensor:
    """The n points of all processes with the least evidence, the least first."""
    own = torch.argsort(evidence)[:n]
    known, points = group.all_gather(evidence[own].cpu().numpy()), group.all_gather(x[own].cpu().numpy())
    return torch.from_numpy(points[np.argsort(known, kind="stable")[:n]]).to(x.device)
