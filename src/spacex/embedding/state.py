"""A fitted estimator as settings and arrays, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spacex._config import Config
from spacex._infra.errors import InputError
from spacex._infra.validation import check_int
from spacex.embedding import serialization as store
from spacex.embedding.context import FitContext
from spacex.embedding.history import History
from spacex.embedding.modules import unfitted

if TYPE_CHECKING:
    from spacex.embedding.estimator import SpaCEX


def keep(model: SpaCEX, directory: str | Path) -> None:
    """Write a fitted model to a folder."""
    settings = {
        "config": model.config.to_dict(),
        "seed": model.seed,
        "n_modules": model.n_modules_,
        "null_mean": model.null_mean_,
        "null_shape": model.null_shape_,
        "canvas": store.layout_settings(model.layout_),
        "history": model.history_.to_dict(),
    }
    arrays = {f"model.{key}": value for key, value in model.model_.state_dict().items()}
    arrays |= {f"mixture.{key}": value for key, value in model.mixture_.parameters_._asdict().items()}
    arrays["canvas.section"] = torch.from_numpy(model.layout_.section)
    arrays["canvas.pixel"] = torch.from_numpy(model.layout_.pixel)
    store.write(directory, settings, arrays)


def restore(kind: type[SpaCEX], directory: str | Path, device: str) -> SpaCEX:
    """The model that `keep` wrote."""
    settings, arrays = store.read(directory)
    try:
        return _assembled(kind, settings, arrays, device)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the model in {directory} is not one that save() wrote ({reason}); save it again") from error


def _assembled(kind: type[SpaCEX], settings: dict[str, Any], arrays: dict[str, Tensor], device: str) -> SpaCEX:
    """The model that settings and arrays from `store.read` describe."""
    # Wherever it was fitted: what is loaded works in this process.
    config, n_modules = Config.from_dict(settings["config"]).single_process(), settings["n_modules"]
    model = kind(config, n_modules=n_modules, device=device, seed=settings["seed"])
    session = FitContext.open(config, device, model.seed, progress=model.progress)
    model.n_modules_ = check_int(n_modules, name="n_modules", low=1)
    model.null_mean_, model.null_shape_ = (store.positive(settings, name) for name in ("null_mean", "null_shape"))
    model.layout_ = store.layout_of(settings["canvas"], arrays)
    model.history_ = History(store.history_of(settings["history"]))
    model.model_ = store.autoencoder_of(arrays, **attention_sizes(config)).to(session.device)
    model.mixture_ = unfitted(config)
    model.mixture_.parameters_ = store.parameters_of(arrays)
    store.check_sizes(model.layout_, model.model_, model.mixture_.parameters_, n_modules)
    return model


def attention_sizes(config: Config) -> dict[str, int]:
    """Sizes of the encoder's attention path; without learning there is none."""
    return {"width": config.d_model, "depth": config.n_layers if config.is_trained else 0, "heads": config.n_heads}
