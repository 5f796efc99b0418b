"""Modules refitted to the embeddings of a fit, without its counts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch

from spacex._config import Config
from spacex.embedding.context import FitContext
from spacex.embedding.coordinates import Coordinates
from spacex.embedding.fit import find_modules
from spacex.embedding.history import History
from spacex.embedding.modules import Assignment, sort_by_evidence


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


def refit_modules(coordinates: Coordinates, n_modules: int | Literal["auto"], config: Config, seed: int) -> Refit:
    """Fit modules to the coordinates of genes and null genes."""
    points, scale = coordinates
    history, context = History(), FitContext(torch.device("cpu"), seed)
    parameters = find_modules(points, scale.signal, n_modules, config, context, history)
    parameters, assignment = sort_by_evidence(points, parameters, config.min_module_prob)
    return Refit(assignment, parameters.n_modules, history)
