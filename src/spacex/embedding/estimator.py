"""`SpaCEX`: the method as an estimator on gene images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.settings import resolve_settings
from spacex._infra.validation import check_bool, check_n_modules, check_seed
from spacex.embedding.context import resolve_device
from spacex.embedding.history import History
from spacex.embedding.launch import launch
from spacex.embedding.params import ParamsMixin
from spacex.embedding.predictor import Predictor
from spacex.embedding.state import FittedState, load, save
from spacex.imaging.gene_images import GeneImages


class SpaCEX(ParamsMixin, Predictor):
    """Embeddings and modules of genes from their images, with the interface of a scikit-learn estimator.

    Parameters
    ----------
    config
        Settings of the method.
    n_modules
        Number of modules, or ``"auto"``: the number that predicts held-out genes well, without modules that genes
        without a pattern form by chance.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    seed
        Seed of every random choice; global random generators are not used.
    progress
        Whether to show progress on stderr.

    Attributes
    ----------
    labels_
        (G,) int, module of every gene; -1 for genes without a module.
    probabilities_
        (G,) probability that the label is right.
    levels_
        (G,) int, expression level of every gene.
    embedding_
        (G, D) float32 embeddings of the genes.
    n_modules_
        Number of modules.
    history_
        `History` of every stage.
    state_
        `FittedState` from which the other attributes are taken.

    Examples
    --------
    >>> import spacex as sx
    >>> images = sx.pp.gene_images(sx.datasets.toy())
    >>> model = sx.SpaCEX(sx.Config(n_dims=8, genes_per_dim=5, fine_dims=4), n_modules=4, progress=False).fit(images)
    >>> model.transform(images).shape, model.predict_proba(images).shape
    ((120, 12), (120, 5))
    """

    labels_: np.ndarray
    probabilities_: np.ndarray
    levels_: np.ndarray
    embedding_: np.ndarray
    n_modules_: int
    history_: History

    def __init__(
        self,
        config: Config | None = None,
        *,
        n_modules: int | Literal["auto"] = "auto",
        device: str = "auto",
        seed: int = 0,
        progress: bool = True,
    ):
        self.config = resolve_settings(config, Config, name="config")
        self.n_modules = check_n_modules(n_modules)
        self.device = device
        self.seed = check_seed(seed)
        self.progress = check_bool(progress, name="progress")

    def fit(self, images: GeneImages) -> SpaCEX:
        """Fit encoder and mixture to the images of all genes.

        Parameters
        ----------
        images
            Images of G genes, from `spacex.pp.gene_images`.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        InputError
            If `images` are not `GeneImages`, or devices or machines required by the settings are missing.
        WorkerError
            If one of several processes was killed or failed.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.n_modules_
        4
        """
        if not isinstance(images, GeneImages):
            raise InputError(f"images is a {type(images).__name__}; pass GeneImages: sx.pp.gene_images(adata)")
        check_n_modules(self.n_modules, high=images.n_genes)
        return self._with_state(launch(images, self.config, self._context(), n_modules=self.n_modules))

    def fit_transform(self, images: GeneImages) -> np.ndarray:
        """Fit encoder and mixture, and return the embeddings.

        Parameters
        ----------
        images
            As for `fit`.

        Returns
        -------
        (G, D) float32, as from `transform`.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> sx.SpaCEX(n_modules=4, progress=False).fit_transform(images).shape[0]
        120
        """
        return self.fit(images).embedding_

    def fit_predict(self, images: GeneImages) -> np.ndarray:
        """Fit encoder and mixture, and return the modules.

        Parameters
        ----------
        images
            As for `fit`.

        Returns
        -------
        (G,) int, as from `predict`.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> sx.SpaCEX(n_modules=4, progress=False).fit_predict(images).shape
        (120,)
        """
        return self.fit(images).labels_

    def save(self, directory: str | Path) -> None:
        """Write the fitted model to a folder: ``config.json`` and ``model.safetensors``.

        Parameters
        ----------
        directory
            The folder; it is created if missing.

        Raises
        ------
        InputError
            If the model is not fitted, or the folder contains a ``config.json`` that is not a model.

        Examples
        --------
        >>> import tempfile, spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     sx.SpaCEX.load(folder).n_modules_
        4
        """
        save(self._fitted_state(), directory)

    @classmethod
    def load(cls, directory: str | Path, *, device: str = "auto") -> SpaCEX:
        """Read a model that `save` wrote.

        Parameters
        ----------
        directory
            The folder.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        The fitted `SpaCEX`.

        Raises
        ------
        InputError
            If the folder does not contain a valid model.

        Examples
        --------
        >>> import tempfile, spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     again = sx.SpaCEX.load(folder)
        >>> bool((again.transform(images) == model.transform(images)).all())
        True
        """
        state = load(directory, resolve_device(device))
        return cls(state.config, n_modules=state.n_modules, device=device, seed=state.seed)._with_state(state)

    def _with_state(self, state: FittedState) -> SpaCEX:
        """Set the fitted attributes."""
        self.state_ = state
        for name in ("labels", "probabilities", "levels", "embedding", "n_modules", "history"):
            setattr(self, f"{name}_", getattr(state, name))
        return self
