"""Modules refitted to the embeddings of a fit, without its counts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import fit_noise_scale
from spacex.embedding.expectation import Points, posterior
from spacex.embedding.fit import find_modules
from spacex.embedding.history import History
from spacex.embedding.modules import Assignment, assign, sort_by_evidence


class NullGenes(NamedTuple):
    """Embeddings (N, D) and expression levels (N,) of null genes, and the number of smooth dimensions (the first)."""

    embedding: np.ndarray
    level: np.ndarray
    n_smooth: int


class Refit(NamedTuple):
    """Modules of the genes, their number, and the history of the fit."""

    assignment: Assignment
    n_modules: int
    history: History


def refit_modules(
    z: np.ndarray, level: np.ndarray, null: NullGenes, n_modules: int | Literal["auto"], config: Config, seed: int
) -> Refit:
    """Fit modules to embeddings (G, D) of genes of expression levels (G,), and to those of the null genes."""
    scale = fit_noise_scale(z, null.embedding, null.n_smooth)
    x = scale.coordinates(torch.from_numpy(np.concatenate([z, null.embedding])))
    levels = torch.from_numpy(np.concatenate([level, null.level]))
    points = Points(x, levels, torch.arange(len(x)) >= len(z))
    history, context = History(), FitContext(torch.device("cpu"), seed)
    parameters = find_modules(points, scale.signal, n_modules, config, context, history)
    parameters = sort_by_evidence(points, parameters, config.min_module_prob)
    assignment = assign(posterior(points.take(slice(len(z))), parameters), config.min_module_prob)
    return Refit(assignment, parameters.n_modules, history)
