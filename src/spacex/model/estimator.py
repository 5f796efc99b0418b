"""`SpaCEX`: the method as an estimator on gene images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .._check import InputError, check_instance, check_int
from .._config import Config
from ..linear_start import linear_start
from ..raster import GeneImages
from ..spectral import smooth_basis
from . import store
from .autoencoder import MaskedAutoencoder
from .boosting import directions
from .embedding import embed_maps, strength
from .encoder import Encoder, patch_index
from .history import History
from .mixture import StudentMixture
from .modules import by_size, choose_n_modules, fit_modules, null_probability, posterior
from .sections import embed_sections
from .session import Session
from .training import pretrain, refine


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
    >>> model = sx.SpaCEX(sx.Config(n_dims=8, genes_per_dim=5, fine_dims=4), n_modules=3, progress=False).fit(images)
    >>> model.transform(images).shape, model.predict_proba(images).shape
    ((60, 12), (60, 4))
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
        self.config = config if config is not None else Config()
        check_instance(self.config, Config, name="config")
        self.n_modules = n_modules
        self.device = device
        self.seed = check_int(seed, name="seed", low=0, high=2**32 - 1)
        self.progress = progress

    # -- learning -----------------------------------------------------------------------------

    def fit(self, images: GeneImages) -> SpaCEX:
        """Fit encoder and mixture to the images of all genes, and return the estimator."""
        if self.n_modules != "auto":
            check_int(self.n_modules, name="n_modules", low=1, high=images.n_genes)
        session = self._session()
        self.history_, self.canvas_ = History(), images.canvas
        train = held = images
        if self.config.learns:
            # A loop will ask the held-out counts: the linear start must not have seen them.
            train, held = images.thin(1 - self.config.holdout, np.random.default_rng(self.seed))
        self.model_ = self._build(images, train).to(session.device)
        if self.config.epochs:
            pretrain(self.model_, train, held, self.history_, session)
        self._calibrate(images)
        z, null = self._embed(images, session)
        self.n_modules_ = (
            choose_n_modules(z, null, self.config, self.seed, self.history_)
            if self.n_modules == "auto"
            else int(self.n_modules)
        )
        self.mixture_ = fit_modules(z, null, self.n_modules_, self.config, self.seed)
        for step, value in enumerate(self.mixture_.objective_):
            self.history_.add("mixture", iteration=step, objective=value)
        if self.config.boost_rounds:
            refine(self.model_, self.mixture_, train, held, torch.from_numpy(null), self.history_, session)
            z, null = self._embed(images, session)
        by_size(self.mixture_, z, null, self.config.unassigned)
        return self

    def _session(self) -> Session:
        return Session.open(self.config, self.device, self.seed, progress=self.progress)

    def _build(self, images: GeneImages, train: GeneImages) -> MaskedAutoencoder:
        """The autoencoder at its linear start, taken from the counts that it will train on."""
        config, canvas = self.config, images.canvas
        start = linear_start(train, config, self.seed)
        index, owner = patch_index(canvas.pixel, canvas.section, config.patch)
        # The layers draw their first weights from torch's global generator: lend it our seed, then give it back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            encoder = Encoder(index, start.smooth, start.trust, start.linear, **attention_sizes(config))
        return MaskedAutoencoder(encoder, owner)

    def _calibrate(self, images: GeneImages) -> None:
        """Learn the norms of genes without a pattern: those of real genes whose pixels are shuffled.

        They are measured in a basis that they took part in, as genes do in theirs: a basis leans towards the noise of
        the maps it was fitted to, the more so the fewer they are.
        """
        rng, config = np.random.default_rng(self.seed), self.config
        genes = rng.choice(images.n_genes, min(config.n_null, images.n_genes), replace=False)
        copies = -(-config.n_null // len(genes))
        null = np.concatenate([rng.permuted(images.residuals(genes), axis=1) for _ in range(copies)])
        trust = self.model_.encoder.trust.cpu()
        basis, _ = smooth_basis(
            images, sigma=config.sigma, n_components=len(trust), seed=self.seed, further=null.astype(np.float64)
        )
        square = strength(torch.from_numpy(null), torch.from_numpy(basis), trust).numpy()
        self.null_mean_ = float(square.mean())
        self.null_shape_ = float(square.mean() ** 2 / max(square.var(), 1e-12))

    # -- using --------------------------------------------------------------------------------

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
        """
        self._check_fitted()
        session = self._session()
        section = torch.from_numpy(self.canvas_.section).to(session.device)
        parts = [
            embed_sections(self.model_, session.tensor(maps), section, len(self.canvas_.grids)).cpu()
            for maps in self._maps(images)
        ]
        return torch.cat(parts, dim=1).numpy().astype(np.float32)

    def components(self) -> np.ndarray:
        """Weighted components (P, D) of the linear path at the tissue pixels: what each dimension measures in a map."""
        self._check_fitted()
        return self.model_.encoder.linear.detach().cpu().numpy()

    def predict_proba(self, images: GeneImages | np.ndarray) -> np.ndarray:
        """Posterior probabilities (G, K) of the components: the modules in order and, last, the background."""
        self._check_fitted()
        return posterior(self.mixture_, *self._embed(images, self._session())).exp().numpy()

    def _embed(self, images: GeneImages | np.ndarray, session: Session) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings (G, D) and null probabilities (G,)."""
        parts, squares = [], []
        for maps in self._maps(images):
            z, square = embed_maps(self.model_, session.tensor(maps))
            parts.append(z.cpu())
            squares.append(square.cpu().numpy())
        norm = np.sqrt(np.concatenate(squares) / self.null_mean_)
        direction = directions(torch.cat(parts)).numpy()
        return (direction * norm[:, None]).astype(np.float32), null_probability(norm, self.null_shape_)

    def _maps(self, images: GeneImages | np.ndarray) -> Iterator[np.ndarray]:
        canvas = self.canvas_
        if isinstance(images, GeneImages):
            if images.shape != canvas.shape or not np.array_equal(images.canvas.flat, canvas.flat):
                raise InputError(
                    f"the images lie on a grid of {images.shape} with {images.n_pixels} pixels, the model on one of "
                    f"{canvas.shape} with {len(canvas.section)}; fit a model to these images: SpaCEX(...).fit(images)"
                )
            yield from (maps for _, maps in images.batches(self.config.batch))
            return
        images = np.asarray(images, dtype=np.float32)
        if images.ndim != 3 or images.shape[1:] != canvas.shape:
            raise InputError(f"images has shape {images.shape}; pass GeneImages or an array (G, H, W), {canvas.shape}")
        flat = images.reshape(len(images), -1)
        for start in range(0, len(images), self.config.batch):
            yield np.ascontiguousarray(flat[start : start + self.config.batch, canvas.flat])

    def _check_fitted(self) -> None:
        if not hasattr(self, "mixture_"):
            raise InputError("this SpaCEX is not fitted; call fit(images) or SpaCEX.load(directory)")

    # -- keeping ------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> None:
        """Write the fitted model to a folder: ``config.json`` and ``model.safetensors``."""
        self._check_fitted()
        settings = {
            "config": self.config.to_dict(),
            "seed": self.seed,
            "n_modules": self.n_modules_,
            "null_mean": self.null_mean_,
            "null_shape": self.null_shape_,
            "canvas": store.canvas_settings(self.canvas_),
            "history": self.history_.to_dict(),
        }
        arrays = {f"model.{key}": value for key, value in self.model_.state_dict().items()}
        arrays |= {f"mixture.{key}": value for key, value in self.mixture_.parameters_._asdict().items()}
        arrays["canvas.section"] = torch.from_numpy(self.canvas_.section)
        arrays["canvas.pixel"] = torch.from_numpy(self.canvas_.pixel)
        store.write(directory, settings, arrays)

    @classmethod
    def load(cls, directory: str | Path, *, device: str = "auto") -> SpaCEX:
        """Read a model that `save` wrote."""
        settings, arrays = store.read(directory)
        try:
            return cls._assembled(settings, arrays, device)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"the model in {directory} is not one that save() wrote ({reason}); save it again"
            ) from error

    @classmethod
    def _assembled(cls, settings: dict[str, Any], arrays: dict[str, Tensor], device: str) -> SpaCEX:
        """The model that settings and arrays from `store.read` describe."""
        config, n_modules = Config.from_dict(settings["config"]), settings["n_modules"]
        model = cls(config, n_modules=n_modules, device=device, seed=settings["seed"])
        session = model._session()
        model.n_modules_ = check_int(n_modules, name="n_modules", low=1)
        model.null_mean_, model.null_shape_ = (positive(settings, name) for name in ("null_mean", "null_shape"))
        model.canvas_ = store.canvas_of(settings["canvas"], arrays)
        model.history_ = History(settings["history"])
        model.model_ = store.autoencoder_of(arrays, **attention_sizes(config)).to(session.device)
        model.mixture_ = StudentMixture(scale=config.scale)
        model.mixture_.parameters_ = store.parameters_of(arrays)
        store.check_sizes(model.canvas_, model.model_, model.mixture_.parameters_, n_modules)
        return model


def attention_sizes(config: Config) -> dict[str, int]:
    """Sizes of the encoder's attention path; without learning there is none."""
    return {"width": config.width, "depth": config.depth if config.learns else 0, "heads": config.heads}


def positive(settings: dict[str, Any], name: str) -> float:
    """A setting that must be a positive number."""
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise InputError(f"the model's {name}={value!r} is not a positive number; save the model again")
    return float(value)
