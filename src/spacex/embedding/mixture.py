"""`StudentMixture`: MAP-EM for the mixture of `spacex.embedding.student_t`, in one or several processes."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spacex._config import Config
from spacex.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from spacex.embedding.student_t import (
    Parameters,
    Prior,
    Statistics,
    e_step,
    log_prior,
    m_step,
    module_log_weight,
    statistics,
)

logger = logging.getLogger("spacex")

MAX_RESEEDS = 2
"""Maximum number of times that empty components are re-seeded; a mixture with too many components keeps empty ones."""


class StudentMixture:
    """MAP-EM for a mixture of spherical Student's t distributions and a background.

    Parameters
    ----------
    covariance_type
        ``"tied"``: all modules share their scale and degrees of freedom; ``"spherical"``: each module has its own.
    prior
        Conjugate prior of the parameters.
    nu_range
        Bounds of the degrees of freedom.
    iterations, tolerance
        Maximum number of iterations, and the gain of the objective per point below which EM stops.

    Attributes
    ----------
    parameters_
        Fitted `Parameters`.
    objective_
        Log posterior after every iteration, up to a constant; it never decreases except after re-seeding.
    reseeded_
        Iterations at which empty components were re-seeded.
    """

    def __init__(
        self,
        *,
        covariance_type: Literal["tied", "spherical"] = "tied",
        prior: Prior | None = None,
        nu_range: tuple[float, float] = (3.0, 200.0),
        iterations: int = 200,
        tolerance: float = 1e-6,
    ):
        self.covariance_type = covariance_type
        self.prior = prior or Prior()
        self.nu_range = nu_range
        self.iterations = iterations
        self.tolerance = tolerance

    @classmethod
    def from_config(cls, config: Config) -> StudentMixture:
        """Create an unfitted mixture from the settings of the method."""
        return cls(
            covariance_type=config.covariance_type,
            prior=Prior(concentration=config.concentration),
            nu_range=config.nu_range,
            iterations=config.em_iterations,
            tolerance=config.em_tolerance,
        )

    def fit(
        self,
        x: Tensor,
        initial: Parameters,
        null: Tensor | None = None,
        *,
        iterations: int | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> StudentMixture:
        """Fit to points (N, D) from initial parameters; `null` as in `e_step`.

        `iterations` overrides that of the constructor; `resume` continues from there. In a process group each process
        passes its own points; the fit is that of all points, and the same in every process.
        """
        self.parameters_ = initial
        self.objective_: list[float] = []
        self.reseeded_: list[int] = []
        return self.resume(x, null, self.iterations if iterations is None else iterations, group=group)

    def resume(
        self, x: Tensor, null: Tensor | None, iterations: int, *, group: ProcessGroup = SINGLE_PROCESS
    ) -> StudentMixture:
        """Continue from the current parameters, up to this total number of iterations."""
        p, tied = self.parameters_, self.covariance_type == "tied"
        n_points = int(group.all_reduce(np.array([float(len(x))]))[0])
        log_resp, log_likelihood = e_step(x, p, null)
        for step in range(len(self.objective_), iterations):
            expected = Statistics(*all_reduce_tensors(group, *statistics(x, p, log_resp)))
            p = m_step(expected, p, self.prior, tied=tied, nu_range=self.nu_range)
            log_resp, log_likelihood = e_step(x, p, null)
            local_objective = log_likelihood.sum()
            if group.rank == 0:  # the prior is added once, so that the objective is identical in all processes
                local_objective = local_objective + log_prior(p, self.prior, tied=tied)
            objective, total = all_reduce_tensors(group, local_objective, log_resp[:, :-1].exp().sum(0))
            self.objective_.append(float(objective))
            empty = total < 1.0
            if bool(empty.any()) and len(self.reseeded_) < MAX_RESEEDS:
                p = self._reseed(_least_likely_points(x, log_likelihood, int(empty.sum()), group), p, empty, step)
                log_resp, log_likelihood = e_step(x, p, null)
            elif step and self.objective_[-1] - self.objective_[-2] < self.tolerance * n_points:
                break
        self.parameters_ = p
        return self

    def _reseed(self, points: Tensor, p: Parameters, empty: Tensor, step: int) -> Parameters:
        """Move empty components to the given points."""
        components = torch.nonzero(empty).flatten()[: len(points)]
        logger.info("mixture: %d empty component(s) re-seeded at iteration %d", len(components), step)
        self.reseeded_.append(step)
        mean, log_weight = p.mean.clone(), p.log_weight.clone()
        mean[components] = points
        log_weight[components] = log_weight[:-1].max()
        log_weight[:-1] = module_log_weight(log_weight[:-1], p)
        return p._replace(mean=mean, log_weight=log_weight)

    def log_resp(self, x: Tensor, null: Tensor | None = None) -> Tensor:
        """Return log responsibilities (N, K + 1) of points (N, D); the background is last; `null` as in `e_step`."""
        return e_step(x, self.parameters_, null)[0]


def _least_likely_points(x: Tensor, log_likelihood: Tensor, n: int, group: ProcessGroup) -> Tensor:
    """Return the n points of all processes with the lowest log likelihood, in increasing order."""
    order = torch.argsort(log_likelihood)[:n]
    values, points = group.all_gather(log_likelihood[order].cpu().numpy()), group.all_gather(x[order].cpu().numpy())
    return torch.from_numpy(points[np.argsort(values, kind="stable")[:n]]).to(x.device)


def all_reduce_tensors(group: ProcessGroup, *parts: Tensor) -> tuple[Tensor, ...]:
    """Sum tensors in double precision over a process group, in one exchange."""
    if group.size == 1:
        return parts
    flat = group.all_reduce(torch.cat([part.flatten() for part in parts]).cpu().numpy())
    pieces = torch.from_numpy(flat).to(parts[0].device).split([part.numel() for part in parts])
    return tuple(piece.view_as(part) for piece, part in zip(pieces, parts, strict=True))
