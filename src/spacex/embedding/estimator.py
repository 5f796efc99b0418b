"""`SpaCEX`: the method as an estimator on gene images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.validation import check_bool, check_instance, check_n_modules, check_seed
from spacex.embedding.context import FitContext
from spacex.embedding.history import History
from spacex.embedding.launch import fit
from spacex.embedding.mixture import StudentMixture
from spacex.embedding.modules import null_probability, posterior
from spacex.embedding.refinement.autoencoder import MaskedAutoencoder
from spacex.embedding.refinement.boosting import l2_normalize_tensor
from spacex.embedding.sections import embed_sections
from spacex.embedding.state import keep, restore
from spacex.embedding.transform import check_fit, embed_maps, maps_of
from spacex.imaging.gene_images import GeneImages
from spacex.imaging.layout import SectionLayout


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
    >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
    >>> model = sx.SpaCEX(sx.Config(n_dims=8, genes_per_dim=5, fine_dims=4), n_modules=3, progress=False).fit(images)
    >>> model.transform(images).shape, model.predict_proba(images).shape
    ((60, 12), (60, 4))
    """

    history_: History
    layout_: SectionLayout
    model_: MaskedAutoencoder
    null_mean_: float
    null_shape_: float
    n_modules_: int
    mixture_: StudentMixture

    def __init__(
        self,
        config: Config | None = None,
        *,
        n_modules: int | Literal["auto"] = "auto",
        device: str = "auto",
        seed: int = 0,
        progress: bool = True,
    ):
        self.config = config if config is not None else Config()
        check_instance(self.config, Config, name="config")
        self.n_modules = check_n_modules(n_modules)
        self.device = device
        self.seed = check_seed(seed)
        self.progress = check_bool(progress, name="progress")

    def fit(self, images: GeneImages) -> SpaCEX:
        """Fit encoder and mixture to the images of all genes.

        Parameters
        ----------
        images
            Those of `spacex.pp.gene_images`.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        InputError
            If several devices or machines are asked for that are not there.
        WorkerError
            If one of several processes was killed or failed; a kind of `RuntimeError`.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> model.n_modules_
        3
        """
        self.fit_transform(images)
        return self

    def fit_transform(self, images: GeneImages) -> np.ndarray:
        """Fit encoder and mixture, and return the embeddings that they were fitted to: `fit`, then `transform`.

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
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> sx.SpaCEX(n_modules=3, progress=False).fit_transform(images).shape[0]
        60
        """
        check_fit(images, self.n_modules)
        return fit(self, images)

    def _session(self) -> FitContext:
        return FitContext.open(self.config, self.device, self.seed, progress=self.progress)

    def transform(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Embeddings of genes.

        Parameters
        ----------
        images
            `GeneImages` on the same grid as those of `fit`, or residual images (G, H, W).

        Returns
        -------
        (G, D) float32. The direction is the gene's pattern; the norm is the strength of its spatial signal, whose
        square is one on average over genes without a pattern.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> model.transform(images.images(slice(0, 5))).shape[0]
        5
        """
        self._check_fitted()
        return self._embed(images, self._session())[0]

    def transform_sections(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Embeddings of genes in each section apart, in the space of all.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (n_sections, G, D) float32: what `transform` gives where only the pixels of one section count. A gene that
        changes its place between sections changes its direction; coordinates need not align.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> model.transform_sections(images).shape[:2]
        (1, 60)
        """
        self._check_fitted()
        maps = maps_of(images, self.layout_, self._session())
        return embed_sections(self.model_, maps, self.layout_).numpy().astype(np.float32)

    def components(self) -> np.ndarray:
        """What each dimension measures in a map.

        Returns
        -------
        Weighted components (P, D) of the linear path at the tissue pixels.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> model.components().shape[0] == images.n_pixels
        True
        """
        self._check_fitted()
        return self.model_.encoder.linear.detach().cpu().numpy()

    def predict_proba(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Posterior probabilities of the components.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (G, K) probabilities: the modules in order and, last, the background.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> model.predict_proba(images).sum(axis=1).round(6).min()
        np.float64(1.0)
        """
        self._check_fitted()
        return posterior(self.mixture_, *self._embed(images, self._session())).exp().numpy()

    def _embed(self, images: GeneImages | np.ndarray, session: FitContext) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (G, D) and null probabilities (G,); the processes share the genes, each gets all."""
        parts, squares = [], []
        for maps in maps_of(images, self.layout_, session):
            z, square = embed_maps(self.model_, maps)
            parts.append(z)
            squares.append(square)
        # What was computed leaves the device at the end, once.
        energy, vectors = (session.group.all_gather(torch.cat(all_).cpu().numpy()) for all_ in (squares, parts))
        norm = np.sqrt(energy / self.null_mean_)
        direction = l2_normalize_tensor(torch.from_numpy(vectors)).numpy()
        return (direction * norm[:, None]).astype(np.float32), null_probability(norm, self.null_shape_)

    def _check_fitted(self) -> None:
        if not hasattr(self, "mixture_"):
            raise InputError("this SpaCEX is not fitted; call fit(images) or SpaCEX.load(directory)")

    def save(self, directory: str | Path) -> None:
        """Write the fitted model to a folder: ``config.json`` and ``model.safetensors``.

        Parameters
        ----------
        directory
            The folder; it is made if it is not there.

        Examples
        --------
        >>> import tempfile, spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     sx.SpaCEX.load(folder).n_modules_
        3
        """
        self._check_fitted()
        keep(self, directory)

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
            If the folder does not hold such a model.

        Examples
        --------
        >>> import tempfile, spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.simulate_section(n_genes=60, n_spots=300, n_modules=3))
        >>> model = sx.SpaCEX(n_modules=3, progress=False).fit(images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     again = sx.SpaCEX.load(folder)
        >>> bool((again.transform(images) == model.transform(images)).all())
        True
        """
        return restore(cls, directory, device)
