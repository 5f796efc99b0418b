"""E-step of the mixture of `spacex.embedding.student_t`: expected statistics and posterior, in blocks of genes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spacex.embedding.student_t import (
    AMPLITUDES,
    Parameters,
    log_joint,
    log_posterior,
    module_variance,
    squared_distance,
)

MAX_BLOCK_VALUES = 2**21
"""Maximum number of values (genes x modules x amplitudes) in memory at once."""


class Points(NamedTuple):
    """Genes and null genes in the coordinates of the mixture.

    Attributes
    ----------
    x
        (N, D) coordinates, in double precision.
    level
        (N,) int64, expression level.
    is_null
        (N,) bool, whether the gene was redrawn without a pattern.
    """

    x: Tensor
    level: Tensor
    is_null: Tensor

    def take(self, index: np.ndarray | slice) -> Points:
        """Return selected points."""
        chosen = index if isinstance(index, slice) else torch.from_numpy(index)
        return Points(*(part[chosen] for part in self))

    def to(self, device: torch.device | None) -> Points:
        """Return the points on a device."""
        return Points(*(part.to(device) for part in self))


class Statistics(NamedTuple):
    """Expected sufficient statistics of the complete data; names of the sums over genes as in `Parameters`."""

    weight: Tensor  # (K,)
    amplitude: Tensor  # (L, J)
    first: Tensor  # (K, D) sum of coordinates, weighted by amplitude and precision
    precision: Tensor  # (K, D)
    chance: Tensor  # (L,) null genes only, as the next two
    chance_module: Tensor  # (K,)
    chance_amplitude: Tensor  # (J,)
    objective: Tensor  # () log likelihood


def expectation(points: Points, p: Parameters) -> tuple[Statistics, Tensor]:
    """Return the expected statistics and the scores (N,) of the points, in blocks of bounded memory."""
    total: Statistics | None = None
    scores = []
    for block in _blocks(points, p):
        statistics, score = _expectation_of_block(block, p)
        total = statistics if total is None else Statistics(*(a + b for a, b in zip(total, statistics, strict=True)))
        scores.append(score)
    assert total is not None
    return total, torch.cat(scores)


def _expectation_of_block(points: Points, p: Parameters) -> tuple[Statistics, Tensor]:
    x, level, is_null = points
    squares = [squared_distance(x, p, amplitude) for amplitude in AMPLITUDES.tolist()]
    joint = log_joint(x, level, p, squares)
    likelihood = joint.log_likelihood
    resp = torch.exp(joint.module + (torch.log1p(-joint.weight) - likelihood)[:, None, None])  # (N, K, J)
    n_levels = len(p.nu)
    by_level = resp.new_zeros(n_levels, resp.shape[2]).index_add_(0, level, resp.sum(1))
    first, precision = _mean_statistics(x, level, resp, p, squares)
    null_resp = torch.exp(joint.chance[is_null] - joint.background[is_null][:, None, None])
    by_chance = resp.new_zeros(n_levels).index_add_(0, level[is_null], null_resp.sum((1, 2)))
    return Statistics(
        resp.sum((0, 2)), by_level, first, precision,
        by_chance, null_resp.sum((0, 2)), null_resp.sum((0, 1)), likelihood.sum(),
    ), joint.score  # fmt: skip


def _mean_statistics(
    x: Tensor, level: Tensor, resp: Tensor, p: Parameters, squares: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return weighted sums (K, D) for the means; latent precisions as in Peel & McLachlan 2000, equation 18."""
    first, precision = torch.zeros_like(p.mean), torch.zeros_like(p.mean)
    no_uncertainty = p._replace(mean_variance=torch.zeros_like(p.mean_variance))
    nu = p.nu[level][:, None]
    for j, amplitude in enumerate(AMPLITUDES.tolist()):
        latent = (nu + x.shape[1]) / (nu + squares[j])
        weighted = resp[:, :, j] * latent
        inverse = 1.0 / module_variance(no_uncertainty, amplitude)
        first += amplitude * (weighted.T @ x) * inverse
        precision += amplitude**2 * weighted.sum(0)[:, None] * inverse
    return first, precision


def log_likelihood(points: Points, p: Parameters) -> Tensor:
    """Return the log likelihood (N,) of points."""
    return log_joint(points.x, points.level, p).log_likelihood


def posterior(points: Points, p: Parameters) -> Tensor:
    """Return the log posterior (N, K + 1) of points, in blocks of bounded memory."""
    return torch.cat([log_posterior(block.x, block.level, p) for block in _blocks(points, p)])


def _blocks(points: Points, p: Parameters) -> Iterator[Points]:
    """Yield the points in blocks of at most `MAX_BLOCK_VALUES` values; one empty block if there are none."""
    size = max(1, MAX_BLOCK_VALUES // (p.n_modules * len(AMPLITUDES)))
    for start in range(0, max(len(points.x), 1), size):
        yield points.take(slice(start, start + size))
