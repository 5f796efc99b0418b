"""`SpaCEX`: the method as an estimator on gene images."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.cluster import KMeans
from torch import Tensor

from .._check import InputError, check_int
from .._config import Config
from ..grid import Grid
from ..raster import Canvas, GeneImages
from ..spectral import smooth_basis
from .autoencoder import MaskedAutoencoder
from .boosting import directions
from .encoder import Encoder, patch_index
from .history import History
from .mixture import Parameters, Prior, StudentMixture, e_step, start
from .training import Session, embed, pretrain, refine

logger = logging.getLogger("spacex")

FORMAT = 1


def resolve_device(device: str) -> torch.device:
    """The torch device that a name stands for; ``"auto"`` is the GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={device!r} cannot be used here; pass 'auto', 'cpu' or 'cuda'") from error
    return chosen


class SpaCEX:
    """Embeddings and modules of genes from their images.

    Parameters
    ----------
    config
        Settings of the method.
    n_modules
        Number of modules, or ``"auto"``: the number that best predicts held-out genes.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    seed
        Seed of every random choice; the global generators are not touched.
    progress
        Whether to show progress on stderr.

    Attributes
    ----------
    history_
        `History` of every stage.
    n_modules_
        Number of modules.

    Examples
    --------
    >>> import spacex as sx
    >>> adata = sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3)
    >>> images = sx.pp.gene_images(adata)
    >>> model = sx.SpaCEX(sx.Config(epochs=1), n_modules=3, progress=False).fit(images)
    >>> model.transform(images).shape, model.predict_proba(images).shape
    ((60, 48), (60, 4))
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        n_modules: int | Literal["auto"] = "auto",
        device: str = "auto",
        seed: int = 0,
        progress: bool = True,
    ):
        self.config = config or Config()
        self.n_modules = n_modules
        self.device = device
        self.seed = seed
        self.progress = progress

    # -- learning -----------------------------------------------------------------------------

    def fit(self, images: GeneImages) -> SpaCEX:
        """Fit encoder and mixture to the images of all genes, and return the estimator."""
        session = self._session()
        self.history_ = History()
        train, held = images.thin(1 - self.config.holdout, np.random.default_rng(self.seed))
        self.model_ = self._build(images.canvas, self._basis(train)).to(session.device)
        pretrain(self.model_, train, held, self.history_, session)
        self.fit_mixture(self._embed(images, session))
        if self.config.boost_rounds:
            refine(self.model_, self.mixture_, images, held, self.history_, session)
        return self

    def fit_mixture(self, z: np.ndarray) -> SpaCEX:
        """Fit the mixture alone, to embeddings (G, D), with this estimator's number of modules."""
        x, weight = directions(torch.from_numpy(z).double()), evidence(z)
        if self.n_modules == "auto":
            self.n_modules_ = self._choose_modules(x, weight)
        else:
            self.n_modules_ = check_int(self.n_modules, name="n_modules", low=1, high=len(z))
        self.mixture_ = self._fit_modules(x, weight, self.n_modules_)
        for step, value in enumerate(self.mixture_.objective_):
            self.history_.add("mixture", iteration=step, objective=value)
        return self
