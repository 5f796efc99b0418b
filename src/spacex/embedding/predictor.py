"""`Predictor`: embeddings and modules of genes from a fitted state."""

from __future__ import annotations

import numpy as np

from spacex._infra.errors import InputError
from spacex.embedding.context import FitContext, resolve_device
from spacex.embedding.modules import assign_modules, null_probability, posterior
from spacex.embedding.sections import embed_sections
from spacex.embedding.state import FittedState
from spacex.embedding.transform import embed_maps, maps_from_input
from spacex.imaging.gene_images import GeneImages


class Predictor:
    """Methods of `SpaCEX` that use the fitted state and do not change it."""

    state_: FittedState
    device: str
    seed: int
    progress: bool

    def transform(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Compute embeddings of genes.

        Parameters
        ----------
        images
            `GeneImages` on the same grid as those of `fit`, or residual images (G, H, W).

        Returns
        -------
        (G, D) float32. The direction is the pattern of the gene; the norm is the strength of its spatial signal, with
        an expected square of one for genes without a pattern.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.transform(images.images(slice(0, 5))).shape[0]
        5
        """
        return self._embed(images)[0]

    def transform_sections(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Compute embeddings of genes in each section separately, in the common space of all sections.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (n_sections, G, D) float32. Each is computed from the pixels of one section only. The coordinates of the
        sections need not be aligned.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.transform_sections(images).shape[:2]
        (1, 120)
        """
        state = self._fitted_state()
        maps = maps_from_input(images, state.layout, self._context(), state.config.batch_size)
        return embed_sections(state.autoencoder, maps, state.layout).numpy().astype(np.float32)

    def components(self) -> np.ndarray:
        """Return the pattern that each embedding dimension measures.

        Returns
        -------
        (P, D) weighted components of the linear path at the tissue pixels.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.components().shape[0] == images.n_pixels
        True
        """
        return self._fitted_state().autoencoder.encoder.linear.detach().cpu().numpy()

    def predict(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Predict the modules of genes.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (G,) int, the most probable module; -1 where the posterior of the background is above
        `Config.background_threshold`.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> bool((model.predict(images) == model.labels_).all())
        True
        """
        state = self._fitted_state()
        threshold = state.config.background_threshold
        return assign_modules(state.mixture, self.transform(images), state.null_shape, threshold)[0]

    def predict_proba(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Compute posterior probabilities of modules and background.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (G, K + 1) probabilities: the modules in order and, last, the background.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.predict_proba(images).sum(axis=1).round(6).min()
        np.float64(1.0)
        """
        state, (z, norm) = self._fitted_state(), self._embed(images)
        return posterior(state.mixture, z, null_probability(norm, state.null_shape)).exp().numpy()

    def _context(self) -> FitContext:
        return FitContext(resolve_device(self.device), self.seed, self.progress)

    def _fitted_state(self) -> FittedState:
        if not hasattr(self, "state_"):
            raise InputError("this SpaCEX is not fitted; call fit(images) or SpaCEX.load(directory)")
        return self.state_

    def _embed(self, images: GeneImages | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute embeddings (G, D) and their norms (G,)."""
        state, context = self._fitted_state(), self._context()
        maps = maps_from_input(images, state.layout, context, state.config.batch_size)
        return embed_maps(state.autoencoder, maps, state.null_mean, context.group)
