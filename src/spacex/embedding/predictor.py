"""`Predictor`: embeddings and modules of genes from a fitted state."""

from __future__ import annotations

import numpy as np
import torch

from spacex._infra.errors import InputError
from spacex.embedding.context import FitContext, resolve_device
from spacex.embedding.coordinates import expression_level
from spacex.embedding.expectation import Points, posterior
from spacex.embedding.modules import assign
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
            `GeneImages` on the same grid as those of `fit`, or residual images (G, H, W). The library sizes of the
            former are corrected as in the fit (`FittedState.library_factor`); the latter are used as they are.

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
        state, context = self._fitted_state(), self._context()
        maps = maps_from_input(images, state.layout, state.library_factor, context, state.config.batch_size)
        return embed_maps(state.autoencoder, maps, state.null_mean, context.group)

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
        context = self._context()
        maps = maps_from_input(images, state.layout, state.library_factor, context, state.config.batch_size)
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

    def dimension_weights(self) -> np.ndarray:
        """Return the weight of each dimension in the embeddings.

        Returns
        -------
        (D,) weights, at most one if the encoder is not trained: the share of the signal in the variance.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.dimension_weights().shape == (model.embedding_.shape[1],)
        True
        """
        linear = self._fitted_state().autoencoder.encoder.linear
        weights: np.ndarray = torch.linalg.vector_norm(linear, dim=0).numpy(force=True)
        return weights

    def predict(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Predict the modules of genes.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (G,) int, the most probable module; -1 where its probability is at most `Config.min_module_prob`.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> bool((model.predict(images) == model.labels_).all())
        True
        """
        return assign(self._log_posterior(images), self._fitted_state().config.min_module_prob).labels

    def predict_proba(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Compute posterior probabilities of modules and background.

        Parameters
        ----------
        images
            As for `transform`.

        Returns
        -------
        (G, K + 1) probabilities: the modules in order and, last, that of no module. To assign every gene to a module,
        take the most probable one of the first K.

        For residual images (G, H, W), whose counts are unknown, an intermediate expression level is assumed.

        Examples
        --------
        >>> import spacex as sx
        >>> images = sx.pp.gene_images(sx.datasets.toy())
        >>> model = sx.SpaCEX(n_modules=4, progress=False).fit(images)
        >>> model.predict_proba(images).sum(axis=1).round(6).min()
        np.float64(1.0)
        """
        return self._log_posterior(images).exp().numpy()

    def _log_posterior(self, images: GeneImages | np.ndarray) -> torch.Tensor:
        """Compute the log posterior (G, K + 1)."""
        state, z = self._fitted_state(), self.transform(images)
        n_levels = len(state.level_bounds) + 1
        level = np.full(len(z), n_levels // 2)
        if isinstance(images, GeneImages):
            level = expression_level(images.totals.sum(axis=0), state.level_bounds)
        x = state.scale.coordinates(torch.from_numpy(z))
        return posterior(Points(x, torch.from_numpy(level), torch.zeros(len(z), dtype=torch.bool)), state.mixture)

    def _context(self) -> FitContext:
        return FitContext(resolve_device(self.device), self.seed, self.progress)

    def _fitted_state(self) -> FittedState:
        if not hasattr(self, "state_"):
            raise InputError("this SpaCEX is not fitted; call fit(images) or SpaCEX.load(directory)")
        return self.state_
